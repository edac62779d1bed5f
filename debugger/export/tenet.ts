import type { Exit, MemoryAccess, Processor, RunOptions } from '../../cpu/index.js';
import type { Lab } from '../../lab/index.js';
import type { SliceRunner, Thread } from '../../loader/index.js';
import { hexOfValue } from '../gdb/packets.js';

/** What one thread did, as text: a line for its first state and one for each instruction. */
interface ThreadTrace {
  readonly registers: Map<string, bigint>;
  readonly lines: string[];
}

/**
 * Traces each thread for the Tenet trace explorer: every line has the registers that changed, the new program counter
 * among them, and the memory that the instruction read (`mr`) and wrote (`mw`). Tenet knows x64 and x86.
 */
export class TenetTrace implements SliceRunner {
  readonly #threads = new Map<Thread, ThreadTrace>();
  readonly #observed = new Set<Processor>();
  #accesses: string[] = [];

  attach({ kernel }: Lab): void {
    kernel.scheduler.sliceRunner = this;
  }

  /** By thread, in the order in which they first ran. */
  get threads(): ReadonlyMap<Thread, string> {
    return new Map([...this.#threads].map(([thread, { lines }]) => [thread, `${lines.join('\n')}\n`]));
  }

  runSlice(thread: Thread, processor: Processor, options: RunOptions): Exit {
    if (!this.#observed.has(processor)) {
      processor.observe({ memory: (access) => void this.#accesses.push(accessText(processor, access)) });
      this.#observed.add(processor);
    }
    const trace = this.#threads.get(thread) ?? { registers: new Map(), lines: [] };
    this.#threads.set(thread, trace);
    const limit = options.instructions ?? Number.POSITIVE_INFINITY;
    const ends = new Set(options.breakpoints);
    this.#note(trace, thread, processor);
    for (let instructions = 0; instructions < limit; ) {
      this.#accesses = [];
      const exit = processor.step();
      instructions += exit.instructions;
      if (exit.instructions > 0) this.#note(trace, thread, processor);
      if (exit.reason !== 'instructionLimit') return { ...exit, instructions };
      if (ends.has(processor.pc)) return { reason: 'breakpoint', address: processor.pc, instructions };
    }
    return { reason: 'instructionLimit', instructions: limit };
  }

  #note({ registers, lines }: ThreadTrace, { architecture }: Thread, processor: Processor): void {
    const parts: string[] = [];
    for (const name of architecture.registers) {
      if (name === 'rflags' || name === 'eflags') continue;
      const value = processor.get(name);
      if (registers.get(name) === value) continue;
      registers.set(name, value);
      parts.push(`${name}=0x${value.toString(16)}`);
    }
    parts.push(...this.#accesses);
    this.#accesses = [];
    if (parts.length > 0) lines.push(parts.join(','));
  }
}

/** Before the instruction is executed: what it will read and write. A page without memory yet reads as zeros. */
function accessText({ addressSpace }: Processor, { access, address, size, value }: MemoryAccess): string {
  const place = `0x${address.toString(16)}`;
  if (access === 'write') return `mw=${place}:${hexOfValue(value, size)}`;
  const { frame } = addressSpace.query(address);
  const bytes = frame === undefined ? new Uint8Array(size) : addressSpace.read(address, size);
  return `mr=${place}:${Buffer.from(bytes).toString('hex')}`;
}
