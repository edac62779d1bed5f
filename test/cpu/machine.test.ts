import { describe, expect, test } from 'vitest';
import { type AddressSpace, type ArchitectureName, type CpuError, Machine } from '../../cpu/index.js';
import { type UnicornFunctions, unicorn } from '../../cpu/unicorn/library.js';
import { ARCHITECTURE_NAMES, Guest } from './conformance/guest.js';

const PAGE = 0x1000n;
/** unicorn.h. */
const UC_ERR_NOMEM = 1;
const rule = (name: string) => expect.objectContaining({ rule: name });

test('a machine has what it was asked for', () => {
  const options = { architecture: 'arm64', processors: 3, memorySize: 0x8000, seed: 5, vbs: true } as const;
  using machine = Machine.create({ ...options, instructionFetch: 'weak' });
  expect({
    architecture: machine.architecture.name,
    processors: machine.processors.length,
    memorySize: machine.memory.buffer.byteLength,
    seed: machine.seed,
    vbs: machine.vbs,
  }).toEqual(options);
  expect(machine.instructionFetch.mode).toBe('weak');
});

test('a machine of which nothing is asked has one processor that fetches what is stored', () => {
  using machine = Machine.create({ architecture: 'x64' });
  expect([machine.processors.length, machine.seed, machine.vbs]).toEqual([1, 1, false]);
  expect(machine.memory.buffer.byteLength).toBe(64 << 20);
  expect(machine.instructionFetch.mode).toBe('coherent');
});

test.each([-1, 2, 0.5, Number.NaN])('a machine of two has no processor %d', (index) => {
  using machine = Machine.create({ architecture: 'x64', processors: 2, memorySize: 0x8000 });
  expect(machine.processors.map((_, known) => machine.processor(known).index)).toEqual([0, 1]);
  expect(() => machine.processor(index)).toThrow(rule('noSuchProcessor'));
});

test('a machine that cannot be made closes the processors that it has', () => {
  const own = unicorn();
  const mapped: bigint[] = [];
  const unmapped: bigint[] = [];
  const unicornFunctions: UnicornFunctions = {
    ...own,
    mapMemory(engine, ...rest) {
      if (mapped.length === 1) return UC_ERR_NOMEM;
      mapped.push(engine);
      return own.mapMemory(engine, ...rest);
    },
    unmapMemory(engine, ...rest) {
      unmapped.push(engine);
      return own.unmapMemory(engine, ...rest);
    },
  };
  const create = () =>
    Machine.create({ architecture: 'x64', processors: 2, memorySize: 0x8000, unicornFunctions });
  expect(create).toThrow(rule('unicorn'));
  expect(mapped).toHaveLength(1);
  expect(unmapped).toEqual(mapped);
});

test.each<[ArchitectureName, number[]]>([
  ['x64', [0xcc, 0xcc, 0xcc, 0xcc]],
  ['arm64', [0x00, 0x00, 0x3e, 0xd4]],
  ['x86', [0xcc, 0xcc, 0xcc, 0xcc]],
])('service pages of %s are full of breakpoints', (architecture, breakpoint) => {
  using guest = new Guest(architecture);
  const service = guest.base + 0x8_0000n;
  guest.table.service(service, 1);
  for (const at of [0n, 0x800n, PAGE - 4n])
    expect([...guest.space.read(service + at, 4)]).toEqual(breakpoint);
});

test('who listens hears who wrote which code over which, until he stops', () => {
  using machine = Machine.create({ architecture: 'x64', memorySize: 0x1_0000 });
  const tables = (['user', 'kernel'] as const).map((mode, index) => {
    const start = 0x10_0000n * BigInt(index + 1);
    const table = machine.createPageTable({ start, end: start + PAGE, mode, name: mode });
    table.commit(start, 1, 'PAGE_EXECUTE_READ');
    return table;
  });
  const space = machine.createAddressSpace('test', tables);
  const [user, kernel] = tables.map(({ range }) => range.start);
  const seen: unknown[] = [];
  const listener = machine.onCodeWrite(({ space: { name }, address, bytes, before, writer }) =>
    seen.push([name, address, [...bytes], [...before], writer]),
  );
  const write = (address = 0n, bytes: number[] = [], options?: { writer: 'vtl1' | 'alias' }) =>
    machine.writeCode(space, address, Uint8Array.from(bytes), options);
  write(user, [1, 2]);
  write((user ?? 0n) + 1n, [3], { writer: 'vtl1' });
  write(kernel, [4]);
  write(kernel, [5], { writer: 'alias' });
  listener[Symbol.dispose]();
  write(user, [6]);
  expect(seen).toEqual([
    ['test', user, [1, 2], [0, 0], 'alias'],
    ['test', (user ?? 0n) + 1n, [3], [2], 'vtl1'],
    ['test', kernel, [4], [0], 'vtl1'],
    ['test', kernel, [5], [4], 'alias'],
  ]);
});

describe('a machine that has been disposed of', () => {
  const USES: readonly [string, (guest: Guest, space: AddressSpace) => unknown][] = [
    ['write code', ({ machine, base }, space) => machine.writeCode(space, base, Uint8Array.of(1))],
    ['write no code', ({ machine, base }, space) => machine.writeCode(space, base, Uint8Array.of())],
    ['take a snapshot', ({ machine }) => machine.snapshot()],
    ['serialise', ({ machine }) => machine.serialise()],
    ['commit', ({ table, base }) => table.commit(base, 1, 'PAGE_READWRITE')],
    ['run', ({ processor }) => processor.run()],
    ['allocate', ({ machine }) => machine.memory.allocate()],
  ];
  test.each(USES)('refuses to %s', (_, use) => {
    const guest = new Guest('x64');
    guest.machine[Symbol.dispose]();
    expect(() => use(guest, guest.space)).toThrow(rule('machineDisposed'));
  });

  test('refuses to restore a snapshot, and says that it has been disposed of', () => {
    const guest = new Guest('x64');
    const snapshot = guest.machine.snapshot();
    guest.machine[Symbol.dispose]();
    expect(() => guest.machine.restore(snapshot)).toThrow(
      expect.objectContaining<Partial<CpuError>>({
        rule: 'machineDisposed',
        message: expect.stringContaining('restore a snapshot'),
      }),
    );
  });
});

describe.each(ARCHITECTURE_NAMES)('while a processor runs on %s', (architecture) => {
  test('restoring a snapshot is refused, and memory stays as it is', async () => {
    using guest = new Guest(architecture);
    const { machine, space, data } = guest;
    const target = await guest.code(guest.programs.constant(4));
    const snapshot = machine.snapshot();
    space.writeU8(data, 7);
    {
      using _observer = guest.processor.observe({ instruction: () => machine.restore(snapshot) });
      expect(() => guest.call(target)).toThrow(rule('processorRunning'));
    }
    expect(space.readU8(data)).toBe(7);
    expect(guest.call(target)).toBe(4n);
  });
});

test.each(ARCHITECTURE_NAMES)('the general registers of %s are read at once', (architecture) => {
  using guest = new Guest(architecture);
  const { processor } = guest;
  for (const [index, name] of guest.architecture.registers.entries())
    if (!['rflags', 'eflags', 'pstate', 'nzcv'].includes(name)) processor.set(name, BigInt(index + 3));
  expect([...processor.generalRegisters()]).toEqual(
    guest.architecture.registers.map((name) => processor.get(name)),
  );
});
