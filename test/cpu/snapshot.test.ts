import { describe, expect, test } from 'vitest';
import { equalSnapshots, hashSnapshot, Machine, type PageTableRange } from '../../cpu/index.js';
import { ARCHITECTURE_NAMES, Guest } from './conformance/guest.js';

const START = 0x10_0000n;
const PAGE = 0x1000n;

function open(range: Partial<PageTableRange> = {}) {
  const machine = Machine.create({ architecture: 'x64', memorySize: 1 << 18 });
  const table = machine.createPageTable({
    start: START,
    end: 2n * START,
    mode: 'user',
    name: 'test',
    ...range,
  });
  return { machine, table, space: machine.createAddressSpace('test', [table]) };
}

test('snapshots share the pages that have not changed', () => {
  const { machine, table, space } = open();
  using _machine = machine;
  table.commit(START, 2, 'PAGE_READWRITE');
  space.writeU8(START, 1);
  space.writeU8(START + PAGE, 1);
  const first = machine.snapshot();
  expect(machine.snapshot().pages).toBe(first.pages);
  space.writeU8(START + PAGE, 2);
  const second = machine.snapshot();
  const [kept = -1, changed = -1] = [...table.entries()].map(({ frame }) => frame);
  expect(second.pages[kept]).toBe(first.pages[kept]);
  expect(second.pages[changed]).not.toEqual(first.pages[changed]);
});

test('a frame that was given back and handed out again is restored as the zeros that it was', () => {
  const { machine, table, space } = open();
  using _machine = machine;
  table.commit(START, 1, 'PAGE_READWRITE');
  space.writeU8(START, 7);
  machine.snapshot();
  table.release(START, 1);
  table.commit(START, 1, 'PAGE_READWRITE');
  const zeroed = machine.snapshot();
  expect(machine.hash()).toBe(hashSnapshot(zeroed));
  space.writeU8(START, 9);
  machine.restore(zeroed);
  expect(space.readU8(START)).toBe(0);
});

test('a frame that was handed out after a snapshot is free when it is restored', () => {
  const { machine, table, space } = open();
  using _machine = machine;
  const snapshot = machine.snapshot();
  const { framesInUse } = machine.memory;
  for (let time = 0; time < 3; time++) {
    table.commit(START, 40, 'PAGE_READWRITE');
    space.writeU8(START, 7);
    machine.restore(snapshot);
    expect(machine.memory.framesInUse).toBe(framesInUse);
  }
  table.commit(START, 40, 'PAGE_READWRITE');
  expect(space.readU8(START)).toBe(0);
  expect(new Set([...table.entries()].map(({ frame }) => frame)).size).toBe(40);
});

describe('the hash of a machine', () => {
  test.each<[string, Partial<PageTableRange>]>([
    ['start', { start: START - PAGE }],
    ['end', { end: 3n * START }],
    ['mode', { mode: 'kernel' }],
    ['trust level', { vtl: 1 }],
    ['name', { name: 'other' }],
  ])("tells a page table's %s", (_, range) => {
    const [one, other] = [open(), open(range)];
    using _one = one.machine;
    using _other = other.machine;
    expect(one.machine.hash()).not.toBe(other.machine.hash());
  });

  test('does not tell in which order pages were committed or reserved', () => {
    const [one, other] = [open(), open()];
    using _one = one.machine;
    using _other = other.machine;
    const pages = [3n, 20n, 100n, 7n];
    for (const [{ table }, order] of [
      [one, pages],
      [other, pages.toReversed()],
    ] as const) {
      for (const page of order) {
        table.commit(START + page * PAGE, 1, 'PAGE_READWRITE', { demandZero: true });
        table.reserve(START + (page + 1n) * PAGE, 1);
      }
    }
    expect(equalSnapshots(one.machine.snapshot(), other.machine.snapshot())).toBe(true);
    other.table.release(START + 4n * PAGE, 1);
    expect(equalSnapshots(one.machine.snapshot(), other.machine.snapshot())).toBe(false);
  });

  test('of an earlier snapshot is that of then, and the processor stays where it is', () => {
    using guest = new Guest('x64');
    const { machine, processor } = guest;
    processor.set('rbx', 1n);
    const snapshot = machine.snapshot();
    const hash = hashSnapshot(snapshot);
    processor.set('rbx', 2n);
    expect(hashSnapshot(snapshot)).toBe(hash);
    expect(processor.get('rbx')).toBe(2n);
    expect(equalSnapshots(snapshot, machine.snapshot())).toBe(false);
  });
});

describe.each(ARCHITECTURE_NAMES)('the hash of a %s machine', (architecture) => {
  /** Calls functions that do the same in one page each, and stands at the beginning of the first. */
  async function hashAfter(instructionFetch: 'coherent' | 'weak', calls: readonly number[]) {
    using guest = new Guest(architecture, { instructionFetch });
    const targets: bigint[] = [];
    for (let page = 0; page < 3; page++) targets.push(await guest.code(guest.programs.constant(1)));
    for (const index of calls) guest.call(targets[index] ?? 0n);
    guest.prepare(targets[0] ?? 0n);
    return guest.machine.hash();
  }

  test('tells which pages a weak processor has fetched, not in which order', async () => {
    const hash = await hashAfter('weak', [0, 1, 2, 0]);
    expect(await hashAfter('weak', [2, 1, 0])).toBe(hash);
    expect(await hashAfter('weak', [1, 0])).not.toBe(hash);
  });

  test('does not tell which pages a coherent processor has fetched', async () => {
    expect(await hashAfter('coherent', [1, 0])).toBe(await hashAfter('coherent', [0, 1, 2, 0]));
  });
});
