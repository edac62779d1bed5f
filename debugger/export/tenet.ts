import type { MemoryAccess, Processor } from '../../cpu/index.js';
import type { Lab } from '../../lab/index.js';
import type { SliceObserver, Thread } from '../../loader/index.js';
import { hexOfValue } from '../gdb/packets.js';

/** What one thread did, as text: a line for its first state and one for each instruction. */
interface ThreadTrace {
  /** Names of the registers that are traced. */
  readonly names: readonly string[];
  readonly registers: Map<string, bigint>;
  readonly lines: string[];
}

/**
 * Traces each thread for the Tenet trace explorer: every line has the registers that changed, the new program counter
 * among them, and the memory that the instruction read (`mr`) and wrote (`mw`). Tenet knows x64 and x86.
 */
export class TenetTrace implements SliceObserver {
  readonly #threads = new Map<Thread, ThreadTrace>();
  readonly #observed = new Set<Processor>();
  /** Of the thread that runs. */
  #trace: ThreadTrace | undefined;
  #accesses: string[] = [];

  attach({ kernel }: Lab): void {
    kernel.scheduler.watch(this);
  }

  /** By thread, in the order in which they first ran. */
  get threads(): ReadonlyMap<Thread, string> {
    return new Map([...this.#threads].map(([thread, { lines }]) => [thread, `${lines.join('\n')}\n`]));
  }

  sliceBegins(thread: Thread, processor: Processor): void {
    this.#observe(processor);
    this.#trace = this.#traceOf(thread);
    this.#note(processor);
  }

  #observe(processor: Processor): void {
    if (this.#observed.has(processor)) return;
    this.#observed.add(processor);
    let begun = 0;
    processor.observe({
      // What the instruction before did is there to be read now.
      instruction: () => {
        begun += 1;
        this.#note(processor);
      },
      memory: (access) => void this.#accesses.push(accessText(processor, access)),
      segment: (completed) => {
        // The last instruction did not complete: it has done nothing.
        if (completed < begun) this.#accesses = [];
        else this.#note(processor);
        begun = 0;
      },
    });
  }

  #traceOf(thread: Thread): ThreadTrace {
    const known = this.#threads.get(thread);
    if (known !== undefined) return known;
    const names = thread.architecture.registers.filter((name) => name !== 'rflags' && name !== 'eflags');
    const trace = { names, registers: new Map(), lines: [] };
    this.#threads.set(thread, trace);
    return trace;
  }

  #note(processor: Processor): void {
    if (this.#trace === undefined) return;
    const { names, registers, lines } = this.#trace;
    const parts: string[] = [];
    for (const name of names) {
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
