import { describe, expect, test } from 'vitest';
import {
  CpuError,
  instructionFacts,
  instructionLength,
  Machine,
  runSchedule,
  timeSlices,
} from '../../cpu/index.js';
import { ARCHITECTURE_NAMES, Guest } from './conformance/guest.js';

/** Negative, beyond 64 bits, not canonical, the ends of the address space, not on a page boundary. */
const ADDRESSES = [
  -1n,
  -(1n << 70n),
  0n,
  0x7bn,
  0x8000_0000_0000n,
  0x8000_0000_0000_0000n,
  (1n << 64n) - 0x1000n,
  (1n << 64n) - 1n,
  1n << 64n,
  1n << 70n,
];
const NUMBERS = [Number.NaN, -1, -0, 0.5, 2 ** 31, 2 ** 53, 2 ** 60, 1e300, -Infinity, Infinity];

type Use<T> = readonly [name: string, use: (guest: Guest, value: T) => unknown];

const none = new Uint8Array(0);
const bytes = Uint8Array.of(0xe9, 1, 2, 3, 4);

const WITH_AN_ADDRESS: readonly Use<bigint>[] = [
  ['read', ({ space }, at) => space.read(at, 9)],
  ['write', ({ space }, at) => space.write(at, bytes)],
  ['readU8', ({ space }, at) => space.readU8(at)],
  ['writeU64', ({ space }, at) => space.writeU64(at, at)],
  ['readCString', ({ space }, at) => space.readCString(at)],
  ['query', ({ space }, at) => space.query(at)],
  ['table', ({ space }, at) => space.table(at)],
  ['findFree', ({ space }, at) => space.findFree(at, 1)],
  ['writeCode', ({ machine, space }, at) => machine.writeCode(space, at, bytes)],
  ['PageTable.query', ({ table }, at) => table.query(at)],
  ['commit', ({ table }, at) => table.commit(at, 1, 'PAGE_READWRITE')],
  ['protect', ({ table }, at) => table.protect(at, 1, 'PAGE_READWRITE')],
  ['reserve', ({ table }, at) => table.reserve(at, 1)],
  ['decommit', ({ table }, at) => table.decommit(at, 1)],
  ['release', ({ table }, at) => table.release(at, 1)],
  ['service', ({ table }, at) => table.service(at, 1)],
  [
    'createPageTable',
    ({ machine }, at) => machine.createPageTable({ start: at, end: at + 0x1000n, mode: 'user', name: 'odd' }),
  ],
  [
    'run there',
    ({ processor }, at) => {
      processor.pc = at;
      return processor.run({ instructions: 3 });
    },
  ],
  ['a breakpoint', ({ processor }, at) => processor.run({ instructions: 1, breakpoints: [at] })],
  ['fetchBytes', ({ processor }, at) => processor.fetchBytes(at, 4)],
  [
    'every register',
    ({ processor, architecture }, value) => {
      for (const name of architecture.registers) processor.set(name, value);
    },
  ],
  [
    'call',
    ({ processor, architecture }, value) =>
      architecture.prepareCall(processor, {
        target: value,
        arguments: Array(10).fill(value),
        stackTop: value,
      }),
  ],
  [
    'return',
    ({ processor, architecture }, at) => {
      processor.sp = at;
      architecture.returnFromCall(processor);
    },
  ],
  [
    'argument',
    ({ processor, architecture }, at) => {
      processor.sp = at;
      return [architecture.argument(processor, 9), architecture.returnAddressAtEntry(processor)];
    },
  ],
  ['instructionLength', ({ architecture }, at) => instructionLength(architecture.name, bytes, at)],
  ['instructionFacts', ({ architecture }, at) => instructionFacts(architecture.name, none, at)],
  ['branchTarget', ({ architecture }, at) => architecture.branchTarget(bytes, at)],
];

const WITH_A_NUMBER: readonly Use<number>[] = [
  ['read', ({ space, data }, n) => space.read(data, n)],
  ['readCString', ({ space, data }, n) => space.readCString(data, n)],
  ['findFree', ({ space, data }, n) => space.findFree(data, n)],
  ['commit', ({ table, base }, n) => table.commit(base + 0x10_0000n, n, 'PAGE_READWRITE')],
  [
    'commit frames',
    ({ table, base }, n) => table.commit(base + 0x10_0000n, 1, 'PAGE_READONLY', { frames: [n] }),
  ],
  ['reserve', ({ table }, n) => table.reserve(table.range.end - 0x1000n, n)],
  ['release', ({ table, data }, n) => table.release(data, n)],
  ['service', ({ table, base }, n) => table.service(base + 0x20_0000n, n)],
  ['run', ({ processor }, n) => n !== Infinity && processor.run({ instructions: n })],
  ['fetchBytes', ({ processor, base }, n) => processor.fetchBytes(base, n)],
  ['processor', ({ machine }, n) => machine.processor(n)],
  ['argument', ({ processor, architecture }, n) => architecture.argument(processor, n)],
  ['floatArgument', ({ processor, architecture }, n) => architecture.floatArgument(processor, n)],
  ['return', ({ processor, architecture }, n) => architecture.returnFromCall(processor, { calleePops: n })],
  [
    'call',
    ({ processor, architecture, base, data }, n) =>
      architecture.prepareCall(processor, {
        target: base,
        arguments: [n, { float: n }],
        stackTop: data + 0x1000n,
      }),
  ],
  ['PhysicalMemory.bytes', ({ machine }, n) => machine.memory.bytes(n)],
  ['PhysicalMemory.release', ({ machine }, n) => machine.memory.release(n)],
  ['PhysicalMemory.write', ({ machine }, n) => machine.memory.write(2, n, bytes)],
  [
    'setSecondLevel',
    ({ machine }, n) =>
      machine.memory.setSecondLevel(n, { vtl0: { read: true, write: true, execute: true } }),
  ],
  [
    'memorySize',
    ({ machine }, memorySize) =>
      Machine.create({ architecture: machine.architecture.name, memorySize })[Symbol.dispose](),
  ],
  [
    'processors',
    ({ machine }, processors) =>
      Machine.create({ architecture: machine.architecture.name, processors, memorySize: 0x1_0000 })[
        Symbol.dispose
      ](),
  ],
  [
    'time slices',
    ({ machine }, n) => {
      const slices = timeSlices({ processors: [0], seed: n, shortest: n, longest: n });
      return runSchedule(machine.processors, [slices.next().value]);
    },
  ],
  ['schedule', ({ machine }, processor) => runSchedule(machine.processors, [{ processor, instructions: 1 }])],
];

/** Uses that end in neither a value nor a CpuError. */
function failures<T>(guest: Guest, uses: readonly Use<T>[], values: readonly T[]): string[] {
  const failed: string[] = [];
  for (const [name, use] of uses) {
    for (const value of values) {
      try {
        use(guest, value);
      } catch (error) {
        if (!(error instanceof CpuError)) failed.push(`${name} ${value}: ${error}`);
      }
    }
  }
  return failed;
}

describe.each(ARCHITECTURE_NAMES)('on %s nothing but typed errors comes', (architecture) => {
  test('of addresses that are none', () => {
    using guest = new Guest(architecture);
    expect(failures(guest, WITH_AN_ADDRESS, ADDRESSES)).toEqual([]);
  });

  test('of numbers that are none', () => {
    using guest = new Guest(architecture);
    expect(failures(guest, WITH_A_NUMBER, NUMBERS)).toEqual([]);
  });

  test('of a machine that has been disposed of', () => {
    const guest = new Guest(architecture);
    guest.machine[Symbol.dispose]();
    expect(failures(guest, WITH_AN_ADDRESS, [guest.base, guest.data])).toEqual([]);
    expect(failures(guest, WITH_A_NUMBER, [0, 1, 2])).toEqual([]);
    expect(() => guest.machine.memory.allocate()).toThrow(
      expect.objectContaining({ rule: 'machineDisposed' }),
    );
  });

  test('afterwards a guest runs as if nothing had happened', async () => {
    using guest = new Guest(architecture);
    const target = await guest.code(guest.programs.fibonacci);
    const harmless = WITH_AN_ADDRESS.filter(([name]) => !['release', 'decommit', 'protect'].includes(name));
    failures(guest, harmless, ADDRESSES);
    expect(guest.call(target, [10n])).toBe(55n);
  });
});

test.each([
  ['argumentIndex', (guest: Guest) => guest.architecture.argument(guest.processor, Infinity)],
  ['argumentIndex', (guest: Guest) => guest.architecture.floatArgument(guest.processor, Number.NaN)],
  [
    'callArgument',
    (guest: Guest) =>
      guest.architecture.prepareCall(guest.processor, {
        target: 0n,
        arguments: [Number.NaN],
        stackTop: guest.data,
      }),
  ],
] as const)('%s', (rule, use) => {
  using guest = new Guest('x64');
  expect(() => use(guest)).toThrow(expect.objectContaining({ name: 'CpuError', rule }));
});
