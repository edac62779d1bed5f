import { describe, expect, test } from 'vitest';
import { equalSnapshots } from '../../../cpu/index.js';
import { ARCHITECTURE_NAMES, Guest } from './guest.js';

describe.each(ARCHITECTURE_NAMES)('snapshots on %s', (architecture) => {
  async function counting() {
    const guest = new Guest(architecture, { processors: 2 });
    const target = await guest.code(guest.programs.count);
    for (const processor of guest.machine.processors) guest.prepare(target, [guest.data, 50n], processor);
    return guest;
  }

  /** Runs both processors in turn to the end and gives the states on the way. */
  function finish(guest: Guest): string[] {
    const hashes: string[] = [];
    for (let round = 0; round < 30; round++) {
      for (const processor of guest.machine.processors) processor.run({ instructions: 7 });
      hashes.push(guest.machine.hash());
    }
    return hashes;
  }

  test('a restored machine goes through exactly the same states', async () => {
    using guest = await counting();
    guest.processor.run({ instructions: 33 });
    const snapshot = guest.machine.snapshot();
    const hash = guest.machine.hash();
    const states = finish(guest);
    expect(new Set(states).size).toBe(states.length);
    for (let time = 0; time < 3; time++) {
      guest.machine.restore(snapshot);
      expect(guest.machine.hash()).toBe(hash);
      expect(finish(guest)).toEqual(states);
    }
  });

  test('two machines that do the same are equal, state by state', async () => {
    using one = await counting();
    using other = await counting();
    expect(finish(one)).toEqual(finish(other));
    expect(equalSnapshots(one.machine.snapshot(), other.machine.snapshot())).toBe(true);
    other.space.writeU8(other.data + 0x1fffn, 1);
    expect(equalSnapshots(one.machine.snapshot(), other.machine.snapshot())).toBe(false);
  });

  test.each([
    ['memory', (guest: Guest) => guest.space.writeU8(guest.data, 1)],
    ['a register', (guest: Guest) => guest.processor.set(guest.architecture.registers[1] ?? '', 1n)],
    ['pc', (guest: Guest) => (guest.processor.pc += 4n)],
    [
      'a vector register',
      (guest: Guest) => guest.processor.set(architecture === 'arm64' ? 'q7' : 'xmm7', 1n << 100n),
    ],
    ['the trust level', (guest: Guest) => (guest.processor.vtl = 1)],
    ['a protection', (guest: Guest) => guest.table.protect(guest.data, 1, 'PAGE_READONLY')],
    ['a reservation', (guest: Guest) => guest.table.reserve(guest.base + 0x8_0000n, 1)],
    ['a new page', (guest: Guest) => guest.table.commit(guest.base + 0x8_0000n, 1, 'PAGE_READWRITE')],
    ['code', (guest: Guest) => guest.machine.writeCode(guest.space, guest.base, Uint8Array.of(1, 2, 3, 4))],
    ['a released page', (guest: Guest) => guest.table.release(guest.data, 1)],
    [
      'the second level',
      (guest: Guest) =>
        guest.machine.memory.setSecondLevel(guest.space.query(guest.data).frame ?? 0, {
          vtl0: { read: true, write: false, execute: false },
        }),
    ],
    ['the address space', (guest: Guest) => (guest.processor.addressSpace = guest.machine.emptyAddressSpace)],
    ['the tables of a space', (guest: Guest) => guest.space.setTables([])],
  ] satisfies [string, (guest: Guest) => unknown][])('%s is part of the state', async (_, change) => {
    using guest = await counting();
    const snapshot = guest.machine.snapshot();
    const hash = guest.machine.hash();
    change(guest);
    expect(guest.machine.hash()).not.toBe(hash);
    guest.machine.restore(snapshot);
    expect(guest.machine.hash()).toBe(hash);
    expect(guest.start(guest.base, [guest.data, 2n])).toMatchObject({ reason: 'returned' });
    expect(guest.readWord(guest.data)).toBe(2n);
  });

  test('code that was executed after the snapshot is forgotten', async () => {
    using guest = new Guest(architecture);
    const target = await guest.code(guest.programs.constant(1));
    const other = await guest.code(guest.programs.constant(2));
    expect(guest.call(target)).toBe(1n);
    const snapshot = guest.machine.snapshot();
    for (let time = 0; time < 2; time++) {
      guest.machine.writeCode(guest.space, target, guest.space.read(other, 4));
      expect(guest.call(target)).toBe(2n);
      guest.machine.restore(snapshot);
      expect(guest.call(target)).toBe(1n);
    }
  });

  test('what a processor writes right after the snapshot is undone', async () => {
    using guest = new Guest(architecture);
    const target = await guest.code(guest.programs.count);
    guest.prepare(target, [guest.data, 100n]);
    guest.processor.run({ instructions: 20 });
    const snapshot = guest.machine.snapshot();
    const before = guest.readWord(guest.data);
    for (let time = 0; time < 3; time++) {
      guest.processor.run({ instructions: 30 });
      expect(guest.readWord(guest.data)).toBeGreaterThan(before);
      guest.machine.restore(snapshot);
      expect(guest.readWord(guest.data)).toBe(before);
    }
  });

  test('snapshots of a tree of states are restored in any order', async () => {
    using guest = await counting();
    const root = guest.machine.snapshot();
    const branches = [1, 2, 3].map((steps) => {
      guest.machine.restore(root);
      guest.processor.run({ instructions: steps * 11 });
      guest.table.commit(guest.base + 0x8_0000n, steps, 'PAGE_READWRITE');
      return { snapshot: guest.machine.snapshot(), hash: guest.machine.hash() };
    });
    for (const index of [2, 0, 1, 1, 0, 2]) {
      const branch = branches[index];
      if (branch === undefined) continue;
      guest.machine.restore(branch.snapshot);
      expect(guest.machine.hash()).toBe(branch.hash);
    }
  });

  test('belong to their machine', async () => {
    using guest = await counting();
    using other = await counting();
    expect(() => guest.machine.restore(other.machine.snapshot())).toThrow(
      expect.objectContaining({ rule: 'foreignSnapshot' }),
    );
  });
});
