import { describe, expect, test } from 'vitest';
import { Machine, type PageTable } from '../../src/cpu/index.js';

const START = 0x10_0000n;
const END = 0x100_0000n;
const PAGE = 0x1000n;
const rule = (name: string) => expect.objectContaining({ rule: name });

function open() {
  const machine = Machine.create({ architecture: 'x64', memorySize: 1 << 20 });
  const table = machine.createPageTable({ start: START, end: END, mode: 'user', name: 'test' });
  return { machine, table, space: machine.createAddressSpace('test', [table]) };
}

describe('a page', () => {
  test('is free, reserved, committed, and back', () => {
    const { machine, table } = open();
    using _machine = machine;
    const state = () => table.query(START + 5n).state;
    const frames = machine.memory.framesInUse;
    expect(state()).toBe('free');
    table.reserve(START, 1);
    expect(state()).toBe('reserved');
    table.commit(START, 1, 'PAGE_READWRITE');
    expect(state()).toBe('committed');
    expect(machine.memory.framesInUse).toBe(frames + 1);
    table.decommit(START, 1);
    expect(state()).toBe('reserved');
    table.release(START, 1);
    expect(state()).toBe('free');
    expect(machine.memory.framesInUse).toBe(frames);
  });

  test('comes zeroed, also when its frame has been used before', () => {
    const { machine, table, space } = open();
    using _machine = machine;
    table.commit(START, 1, 'PAGE_READWRITE');
    space.writeU64(START, 0xffff_ffff_ffff_ffffn);
    table.release(START, 1);
    table.commit(START, 1, 'PAGE_READWRITE');
    expect(space.readU64(START)).toBe(0n);
  });

  test('shares its frame until a write, when it is copy-on-write', () => {
    const { machine, table, space } = open();
    using _machine = machine;
    table.commit(START, 1, 'PAGE_READWRITE');
    space.writeU32(START, 7);
    const frame = table.query(START).frame ?? -1;
    table.commit(START + PAGE, 1, 'PAGE_WRITECOPY', { frames: [frame] });
    expect(machine.memory.references(frame)).toBe(2);
    expect(space.readU32(START + PAGE)).toBe(7);
    space.writeU32(START + PAGE, 8);
    expect(machine.memory.references(frame)).toBe(1);
    expect([space.readU32(START), space.readU32(START + PAGE)]).toEqual([7, 8]);
  });

  test('loses its guard when it is protected again', () => {
    const { machine, table } = open();
    using _machine = machine;
    table.commit(START, 1, 'PAGE_READWRITE', { guard: true });
    expect(table.query(START).guard).toBe(true);
    table.protect(START, 1, 'PAGE_READWRITE');
    expect(table.query(START).guard).toBe(false);
  });
});

test.each<[string, string, (table: PageTable) => void]>([
  ['commit twice', 'pageInUse', (t) => t.commit(START, 1, 'PAGE_READONLY')],
  ['reserve a committed page', 'pageInUse', (t) => t.reserve(START, 1)],
  ['make a committed page a service page', 'pageInUse', (t) => t.service(START, 1)],
  ['commit beyond the end', 'pageRange', (t) => t.commit(END - PAGE, 2, 'PAGE_READONLY')],
  ['commit before the start', 'pageRange', (t) => t.commit(START - PAGE, 1, 'PAGE_READONLY')],
  ['commit half a page', 'pageRange', (t) => t.commit(START + 0x2800n, 1, 'PAGE_READONLY')],
  ['commit no page', 'pageRange', (t) => t.commit(START + PAGE, 0, 'PAGE_READONLY')],
  ['commit a part of a page', 'pageRange', (t) => t.commit(START + PAGE, 1.5, 'PAGE_READONLY')],
  [
    'commit with an unknown protection',
    'pageProtection',
    (t) => t.commit(START + PAGE, 1, 'PAGE_GUARD' as 'PAGE_READONLY'),
  ],
  [
    'commit too few frames',
    'commitFrames',
    (t) => t.commit(START + PAGE, 2, 'PAGE_READONLY', { frames: [0] }),
  ],
  [
    'commit a frame that is not in use',
    'frameNotInUse',
    (t) => t.commit(START + PAGE, 1, 'PAGE_READONLY', { frames: [99] }),
  ],
  ['commit more than there is', 'noMemory', (t) => t.commit(START + PAGE, 1000, 'PAGE_READONLY')],
  [
    'protect a page that is not committed',
    'notCommitted',
    (t) => t.protect(START + PAGE, 1, 'PAGE_READONLY'),
  ],
])('a page table refuses to %s and stays as it was', (_, name, use) => {
  const { machine, table } = open();
  using _machine = machine;
  table.commit(START, 1, 'PAGE_READWRITE');
  const before = machine.hash();
  expect(() => use(table)).toThrow(rule(name));
  expect(machine.hash()).toBe(before);
});

describe('the kernel model', () => {
  test('reads and writes across pages, all or nothing', () => {
    const { machine, table, space } = open();
    using _machine = machine;
    table.commit(START, 2, 'PAGE_READONLY');
    space.write(START + PAGE - 2n, Uint8Array.of(1, 2, 3, 4));
    expect([...space.read(START + PAGE - 3n, 6)]).toEqual([0, 1, 2, 3, 4, 0]);
    const end = START + 2n * PAGE;
    expect(() => space.write(end - 2n, Uint8Array.of(9, 9, 9))).toThrow(rule('notCommitted'));
    expect(space.readU16(end - 2n)).toBe(0);
    expect(() => space.read(end - 2n, 3)).toThrow(
      expect.objectContaining({ rule: 'notCommitted', address: end }),
    );
  });

  test('does not write to executable pages', () => {
    const { machine, table, space } = open();
    using _machine = machine;
    table.commit(START, 1, 'PAGE_EXECUTE_READWRITE');
    expect(() => space.writeU8(START, 1)).toThrow(rule('executableWrite'));
    machine.writeCode(space, START, Uint8Array.of(1));
    expect(space.readU8(START)).toBe(1);
  });

  test('tells who wrote which code over which', () => {
    const { machine, table, space } = open();
    using _machine = machine;
    table.commit(START, 1, 'PAGE_EXECUTE_READ');
    const seen: unknown[] = [];
    const listener = machine.onCodeWrite(({ address, bytes, before, writer }) =>
      seen.push([address, [...bytes], [...before], writer]),
    );
    machine.writeCode(space, START, Uint8Array.of(1, 2));
    machine.writeCode(space, START + 1n, Uint8Array.of(3), { writer: 'vtl1' });
    listener[Symbol.dispose]();
    machine.writeCode(space, START, Uint8Array.of(4));
    expect(seen).toEqual([
      [START, [1, 2], [0, 0], 'alias'],
      [START + 1n, [3], [2], 'vtl1'],
    ]);
  });

  test('finds free addresses', () => {
    const { machine, table, space } = open();
    using _machine = machine;
    table.reserve(START, 2);
    table.commit(START + 3n * PAGE, 1, 'PAGE_READONLY');
    expect(space.findFree(START, 1)).toBe(START + 2n * PAGE);
    expect(space.findFree(START, 2)).toBe(START + 4n * PAGE);
    expect(space.findFree(START, 2, 0x1_0000n)).toBe(START + 0x1_0000n);
    expect(space.findFree(START, 10_000)).toBeUndefined();
  });

  test('has tables that do not overlap', () => {
    const { machine, table } = open();
    using _machine = machine;
    const other = machine.createPageTable({
      start: END - PAGE,
      end: END + PAGE,
      mode: 'user',
      name: 'other',
    });
    expect(() => machine.createAddressSpace('both', [other, table])).toThrow(rule('overlappingTables'));
  });
});
