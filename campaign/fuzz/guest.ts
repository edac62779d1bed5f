import {
  type AddressSpace,
  type ArchitectureName,
  CpuError,
  type Exit,
  Machine,
  type MachineSnapshot,
  PAGE_SIZE,
  type Processor,
} from '../../cpu/index.js';
import type { Random } from '../random.js';
import type { CaseResult } from './fuzzer.js';

/** Instructions that a snippet may execute: as many as are counted by blocks, docs/limitations.md. */
const LIMIT = 1000;
/** The instruction behind which TF raises it is counted by a long run, and not by a short one. */
const SINGLE_STEP = 'exception debug';
/** Longer runs are not repeated step by step. */
const MOST_STEPS = 200;
const CODE_BYTES = 48;
const DATA_PAGES = 2;
const STACK_PAGES = 2;

/** Where a snippet lies and what it may touch: kernel space on x64 and ARM64, user mode on x86, as their images are. */
const PLACES: Readonly<
  Record<ArchitectureName, { readonly base: bigint; readonly end: bigint; readonly mode: 'kernel' | 'user' }>
> = {
  x64: { base: 0xffff_f800_0000_0000n, end: 0xffff_f880_0000_0000n, mode: 'kernel' },
  arm64: { base: 0xffff_f800_0000_0000n, end: 0xffff_f880_0000_0000n, mode: 'kernel' },
  x86: { base: 0x1_0000n, end: 0x7fff_0000n, mode: 'user' },
};

/** What became of a snippet: `returned`, `fault read notCommitted`, `exception invalidOpcode` … */
export type SnippetResult = Omit<CaseResult, 'input'>;

/**
 * A machine for snippets of machine code. Each runs twice from the same state, at once and instruction by instruction: both
 * must end the same way, with the same registers and memory.
 */
export class GuestBench implements Disposable {
  readonly #machine: Machine;
  readonly #space: AddressSpace;
  readonly #fresh: MachineSnapshot;
  readonly #code: bigint;
  readonly #data: bigint;
  readonly #stackTop: bigint;

  constructor(readonly architecture: ArchitectureName) {
    const { base, end, mode } = PLACES[architecture];
    this.#machine = Machine.create({ architecture, memorySize: 1 << 20 });
    const table = this.#machine.createPageTable({ start: base, end, mode, name: 'snippets' });
    this.#space = this.#machine.createAddressSpace('snippets', [table]);
    const page = BigInt(PAGE_SIZE);
    this.#code = base + 0x10n * page;
    this.#data = base + 0x20n * page;
    const stack = base + 0x30n * page;
    this.#stackTop = stack + BigInt(STACK_PAGES) * page;
    table.commit(this.#code, 1, 'PAGE_EXECUTE_READ');
    table.commit(this.#data, DATA_PAGES, 'PAGE_READWRITE');
    table.commit(stack, STACK_PAGES, 'PAGE_READWRITE');
    this.#processor.addressSpace = this.#space;
    this.#fresh = this.#machine.snapshot();
  }

  get #processor(): Processor {
    return this.#machine.processor(0);
  }

  /** Runs the snippet with registers that are numbers, or pointers to memory that it may write. */
  run(code: Uint8Array, random: Random): SnippetResult {
    const registers = this.#machine.architecture.registers
      .slice(0, -2)
      .filter((name) => name !== this.#machine.architecture.stackPointer)
      .map((name) => [name, this.#value(random)] as const);
    try {
      const whole = this.#end(code, registers, (processor) => processor.run({ instructions: LIMIT }));
      const outcome = outcomeOf(whole.exit);
      if (whole.exit.instructions > MOST_STEPS || outcome === SINGLE_STEP) return { outcome };
      const stepped = this.#end(code, registers, stepThrough);
      const difference = differenceOf(whole, stepped);
      return difference === undefined
        ? { outcome }
        : { outcome, problem: { rule: 'guest.stepped', message: difference } };
    } catch (error) {
      if (error instanceof CpuError) return { outcome: `refused ${error.rule}` };
      const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      return { outcome: 'threw', problem: { rule: 'guest.threw', message } };
    }
  }

  #value(random: Random): bigint {
    switch (random.below(4)) {
      case 0:
        return this.#data + BigInt(random.below(DATA_PAGES * PAGE_SIZE));
      case 1:
        return BigInt(random.below(256));
      case 2:
        return BigInt(random.next());
      default:
        return (BigInt(random.next()) << 32n) | BigInt(random.next());
    }
  }

  #end(
    code: Uint8Array,
    registers: readonly (readonly [string, bigint])[],
    run: (processor: Processor) => Exit,
  ): Ended {
    const machine = this.#machine;
    machine.restore(this.#fresh);
    const processor = this.#processor;
    machine.writeCode(this.#space, this.#code, code);
    machine.architecture.prepareCall(processor, {
      target: this.#code,
      arguments: [],
      stackTop: this.#stackTop,
    });
    for (const [name, value] of registers)
      if (!(name === 'lr' || name === 'x30'))
        processor.set(name, BigInt.asUintN(machine.architecture.addressBits, value));
    const exit = run(processor);
    const memory = Buffer.concat([
      this.#space.read(this.#data, DATA_PAGES * PAGE_SIZE),
      this.#space.read(this.#stackTop - BigInt(STACK_PAGES * PAGE_SIZE), STACK_PAGES * PAGE_SIZE),
      this.#space.read(this.#code, PAGE_SIZE),
    ]);
    return { exit, registers: this.#registers(exit), memory };
  }

  #registers(exit: Exit): string {
    const registers = this.#processor.generalRegisters();
    const flags = registers.length - 1;
    if (['fault', 'exception', 'systemCall'].includes(exit.reason))
      registers[flags] = (registers[flags] ?? 0n) & ~FLAGS_LOST_IN_BLOCKS[this.architecture];
    return [...registers].map((value) => value.toString(16)).join();
  }

  [Symbol.dispose](): void {
    this.#machine[Symbol.dispose]();
  }
}

/** How a run ended, and what it left. */
export interface Ended {
  readonly exit: Exit;
  readonly registers: string;
  readonly memory: Buffer;
}

/** The same, one instruction at a time. */
function stepThrough(processor: Processor): Exit {
  let instructions = 0;
  while (instructions <= MOST_STEPS) {
    const exit = processor.run({ instructions: 1 });
    instructions += exit.instructions;
    if (exit.reason !== 'instructionLimit') return { ...exit, instructions };
    if (exit.instructions === 0) throw new Error('a step that executed nothing');
  }
  return { reason: 'instructionLimit', instructions };
}

/**
 * Flags of x86 behind which Unicorn is not to be asked when a fault, an exception or a system call ends a run in the
 * middle of a block
 * (docs/limitations.md#processors): CF, PF, AF, ZF, SF, OF.
 */
const FLAGS_LOST_IN_BLOCKS: Readonly<Record<ArchitectureName, bigint>> = {
  x64: 0x8d5n,
  x86: 0x8d5n,
  arm64: 0n,
};

/** What is not the same of two runs. */
export function differenceOf(whole: Ended, stepped: Ended): string | undefined {
  const [a, b] = [whole, stepped].map(({ exit }) => exitText(exit));
  if (a !== b) return `ends with ${a} at once, with ${b} step by step`;
  if (whole.registers !== stepped.registers)
    return `registers are ${whole.registers} at once, ${stepped.registers} step by step`;
  const at = whole.memory.findIndex((byte, index) => byte !== stepped.memory[index]);
  return at < 0 ? undefined : `byte ${at} of memory is another one step by step`;
}

/** Members in the order of their names. */
function exitText(exit: Exit): string {
  const plain = (_name: string, value: unknown): unknown =>
    typeof value === 'bigint' ? `0x${value.toString(16)}` : value;
  return JSON.stringify(Object.fromEntries(Object.entries(exit).sort(([a], [b]) => (a < b ? -1 : 1))), plain);
}

function outcomeOf(exit: Exit): string {
  if (exit.reason === 'fault') return `fault ${exit.fault.access} ${exit.fault.cause}`;
  if (exit.reason === 'exception') return `exception ${exit.name}`;
  return exit.reason;
}

/** What begins instructions of some interest on x86, beside any byte: two-byte opcodes, prefixes, arithmetic, moves, string operations. */
const X86_STARTS: readonly (readonly number[])[] = [
  [0x0f],
  [0x66],
  [0xf2],
  [0xf3],
  [0xf0],
  [0x66, 0x0f],
  [0xf2, 0x0f],
  [0xf3, 0x0f],
  [0x0f, 0x38],
  [0x0f, 0x3a],
  [0xc5],
  [0xc4],
  [0x01],
  [0x03],
  [0x29],
  [0x31],
  [0x33],
  [0x39],
  [0x83],
  [0x81],
  [0x88],
  [0x89],
  [0x8a],
  [0x8b],
  [0x8d],
  [0xc1],
  [0xd3],
  [0xf7],
  [0xff],
  [0xfe],
  [0x50],
  [0x58],
  [0x74],
  [0x75],
  [0xeb],
  [0xe8],
  [0xf3, 0xa4],
  [0xf3, 0xab],
  [0xa5],
  [0xae],
  [0xa6],
];

function x86Bytes(random: Random, wide: readonly number[]): Uint8Array {
  const bytes: number[] = [];
  while (bytes.length < CODE_BYTES) {
    if (random.once(4)) bytes.push(random.below(256));
    if (wide.length > 0 && random.once(2)) bytes.push(0x40 | random.below(16));
    bytes.push(...(X86_STARTS[random.below(X86_STARTS.length)] ?? []));
    // ModRM: often two registers, often memory at a register with a short displacement.
    const kind = random.below(3);
    if (kind === 0) bytes.push(0xc0 | random.below(64));
    else if (kind === 1) bytes.push(0x40 | random.below(64), random.below(64));
    else for (let more = random.below(6); more > 0; more--) bytes.push(random.below(256));
  }
  return Uint8Array.from(bytes.slice(0, CODE_BYTES));
}

/** Words of ARM64 whose bits below the mask are free: arithmetic, moves, loads and stores, branches, vectors. */
const ARM64_WORDS: readonly (readonly [value: number, free: number])[] = [
  [0x0b000000, 0xe01fffff],
  [0x4b000000, 0xe01fffff],
  [0x0a000000, 0xe0ffffff],
  [0x11000000, 0xe03fffff],
  [0x52800000, 0xe07fffff],
  [0x13000000, 0xe07fffff],
  [0x1ac00000, 0xe01fffff],
  [0x1b000000, 0xe0ffffff],
  [0x38000000, 0xc0ffffff],
  [0x39000000, 0xc0ffffff],
  [0x28000000, 0xc3ffffff],
  [0x08000000, 0xc0ffffff],
  [0x18000000, 0xc00000ff],
  [0x10000000, 0xe00fffff],
  [0x54000000, 0x000001ef],
  [0x14000000, 0x8000000f],
  [0x34000000, 0x810001ff],
  [0x36000000, 0x81f801ff],
  [0x0e000000, 0x71ffffff],
  [0x1e000000, 0xe0ffffff],
  [0xd5000000, 0x003fffff],
];

function arm64Bytes(random: Random): Uint8Array {
  const view = new DataView(new ArrayBuffer(CODE_BYTES));
  for (let at = 0; at < CODE_BYTES; at += 4) {
    const [value, free] = random.once(6)
      ? [0, 0xffff_ffff]
      : (ARM64_WORDS[random.below(ARM64_WORDS.length)] ?? [0, 0]);
    view.setUint32(at, (value | (random.next() & free)) >>> 0, true);
  }
  return new Uint8Array(view.buffer);
}

const REX = Array.from({ length: 16 }, (_, low) => 0x40 | low);

const SNIPPETS: Readonly<Record<ArchitectureName, (random: Random) => Uint8Array>> = {
  x64: (random) => x86Bytes(random, REX),
  x86: (random) => x86Bytes(random, []),
  arm64: arm64Bytes,
};

/** Machine code at random: some of it any bytes, most of it the beginnings of instructions. */
export function snippet(architecture: ArchitectureName, random: Random): Uint8Array {
  return random.once(8) ? random.bytes(CODE_BYTES) : SNIPPETS[architecture](random);
}
