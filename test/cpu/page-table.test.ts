import { describe, expect, test } from 'vitest';
import {
  type CommitOptions,
  equalSnapshots,
  Machine,
  type PageProtection,
  type PageTable,
} from '../../cpu/index.js';

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

  test.each<[string, PageProtection, CommitOptions, boolean]>([
    ['PAGE_WRITECOPY over frames of others', 'PAGE_WRITECOPY', { frames: [0] }, true],
    ['PAGE_EXECUTE_WRITECOPY over frames of others', 'PAGE_EXECUTE_WRITECOPY', { frames: [0] }, true],
    ['PAGE_WRITECOPY with a frame of its own', 'PAGE_WRITECOPY', {}, false],
    ['PAGE_READWRITE over frames of others', 'PAGE_READWRITE', { frames: [0] }, false],
    ['PAGE_READONLY, as told', 'PAGE_READONLY', { frames: [0], copyOnWrite: true }, true],
    ['PAGE_WRITECOPY, unless told', 'PAGE_WRITECOPY', { frames: [0], copyOnWrite: false }, false],
  ])('is copy-on-write or not: %s', (_, protection, options, copyOnWrite) => {
    const { machine, table } = open();
    using _machine = machine;
    table.commit(START, 1, protection, options);
    expect(table.query(START).copyOnWrite).toBe(copyOnWrite);
  });

  test('that is demand-zero has no frame until it is accessed, unless it is given one', () => {
    const { machine, table, space } = open();
    using _machine = machine;
    const { framesInUse } = machine.memory;
    table.commit(START, 1, 'PAGE_READWRITE', { demandZero: true });
    expect(table.query(START)).toStrictEqual({
      state: 'committed',
      protection: 'PAGE_READWRITE',
      copyOnWrite: false,
      guard: false,
      service: false,
    });
    expect(machine.memory.framesInUse).toBe(framesInUse);
    space.readU8(START);
    expect(machine.memory.framesInUse).toBe(framesInUse + 1);
    const { frame = -1 } = table.query(START);
    table.commit(START + PAGE, 1, 'PAGE_READWRITE', { demandZero: true, frames: [frame] });
    expect(table.query(START + PAGE).frame).toBe(frame);
  });

  test('of a service shows the breakpoints that all of them share', () => {
    const { machine, table, space } = open();
    using _machine = machine;
    const { memory, serviceFrame } = machine;
    const before = memory.references(serviceFrame);
    table.service(START, 2);
    expect(memory.references(serviceFrame)).toBe(before + 2);
    expect(space.read(START + PAGE - 2n, 4)).toEqual(Uint8Array.of(0xcc, 0xcc, 0xcc, 0xcc));
    table.release(START, 2);
    expect(memory.references(serviceFrame)).toBe(before);
  });

  test.each<[string, (table: PageTable) => void]>([
    ['committed', (table) => table.commit(START, 2, 'PAGE_READWRITE')],
    ['made a service page', (table) => table.service(START, 2)],
  ])('that was reserved is not reserved any more when it is %s', (_, use) => {
    const [reserved, free] = [open(), open()];
    using _reserved = reserved.machine;
    using _free = free.machine;
    reserved.table.reserve(START, 2);
    for (const { table } of [reserved, free]) use(table);
    expect([START, START + PAGE].map((at) => reserved.table.isReserved(Number(at / PAGE)))).toEqual([
      false,
      false,
    ]);
    expect(reserved.machine.hash()).toBe(free.machine.hash());
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
  ['reserve twice', 'pageInUse', (t) => t.reserve(START + PAGE, 2)],
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
  [
    'protect pages of which the last is not committed',
    'notCommitted',
    (t) => t.protect(START, 2, 'PAGE_READONLY'),
  ],
])('a page table refuses to %s and stays as it was', (_, name, use) => {
  const { machine, table } = open();
  using _machine = machine;
  table.commit(START, 1, 'PAGE_READWRITE');
  table.reserve(START + 2n * PAGE, 1);
  const before = machine.hash();
  expect(() => use(table)).toThrow(rule(name));
  expect(machine.hash()).toBe(before);
});

const CHANGES: readonly [string, (table: PageTable, address: bigint) => void][] = [
  ['reserve', (table, at) => table.reserve(at, 1)],
  ['commit', (table, at) => table.commit(at, 1, 'PAGE_READONLY')],
  ['service', (table, at) => table.service(at, 1)],
  ['decommit', (table, at) => table.decommit(at, 1)],
  ['release', (table, at) => table.release(at, 1)],
  ['protect', (table, at) => table.protect(at, 1, 'PAGE_READONLY', { guard: true })],
  ['touch', (table, at) => void table.resolve(Number(at / PAGE), false)],
  ['write to', (table, at) => void table.resolve(Number(at / PAGE), true)],
];

/** Three pages that the change applies to, of which it changes the second. */
function neighbours(change: string) {
  const opened = open();
  const { table } = opened;
  if (['decommit', 'release', 'protect'].includes(change)) table.commit(START, 3, 'PAGE_READWRITE');
  if (change === 'touch') table.commit(START, 3, 'PAGE_READWRITE', { demandZero: true });
  if (change === 'write to') table.commit(START, 3, 'PAGE_WRITECOPY', { frames: [0, 0, 0] });
  const state = () => [0n, 1n, 2n].map((index) => table.query(START + index * PAGE));
  return { ...opened, state };
}

describe.each(CHANGES)('to %s a page', (name, change) => {
  test('leaves its neighbours as they were', () => {
    const { machine, table, state } = neighbours(name);
    using _machine = machine;
    const [first, second, third] = state();
    change(table, START + PAGE);
    expect(state()).toEqual([first, expect.anything(), third]);
    expect(state()[1]).not.toEqual(second);
  });

  test('is undone when a snapshot is restored', () => {
    const { machine, table, state } = neighbours(name);
    using _machine = machine;
    const snapshot = machine.snapshot();
    const [before, reserved] = [state(), table.isReserved(Number(START / PAGE) + 1)];
    for (let time = 0; time < 2; time++) {
      change(table, START + PAGE);
      expect(equalSnapshots(machine.snapshot(), snapshot)).toBe(false);
      machine.restore(snapshot);
      expect([state(), table.isReserved(Number(START / PAGE) + 1)]).toEqual([before, reserved]);
    }
  });
});

test.each(CHANGES.slice(0, 3))('to %s a page is allowed between pages in use', (_, change) => {
  const { machine, table } = open();
  using _machine = machine;
  table.commit(START, 1, 'PAGE_READWRITE');
  table.reserve(START + 2n * PAGE, 1);
  table.commit(START + 4n * PAGE, 1, 'PAGE_READWRITE');
  change(table, START + PAGE);
  change(table, START + 3n * PAGE);
  expect([1n, 3n].map((page) => table.query(START + page * PAGE).state)).not.toContain('free');
});

test('pages are listed in ascending order', () => {
  const { machine, table } = open();
  using _machine = machine;
  const pages = [5n, 300n, 2n, 40n, 0n];
  for (const page of pages) table.commit(START + page * PAGE, 1, 'PAGE_READONLY');
  expect([...table.entries()].map(({ address }) => (address - START) / PAGE)).toEqual([
    0n,
    2n,
    5n,
    40n,
    300n,
  ]);
});

describe('a range of addresses', () => {
  const TOP = 1n << 64n;
  const create = (start: bigint, end: bigint) => {
    using machine = Machine.create({ architecture: 'x64', memorySize: 1 << 16 });
    return machine.createPageTable({ start, end, mode: 'user', name: 'odd' });
  };

  test.each([
    [-PAGE, PAGE],
    [TOP, TOP + PAGE],
    [0n, TOP + PAGE],
    [PAGE, PAGE],
    [2n * PAGE, PAGE],
    [1n, PAGE],
    [0n, PAGE + 1n],
  ])('is none of pages: %d to %d', (start, end) => {
    expect(() => create(start, end)).toThrow(rule('pageRange'));
  });

  test.each([
    [0n, PAGE, 0, 0],
    [0n, TOP, 0, 2 ** 52 - 1],
    [TOP - PAGE, TOP, 2 ** 52 - 1, 2 ** 52 - 1],
  ])('has pages: %d to %d', (start, end, firstPage, lastPage) => {
    expect(create(start, end)).toMatchObject({ firstPage, lastPage });
  });
});
