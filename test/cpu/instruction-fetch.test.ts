import { describe, expect, test } from 'vitest';
import { assemble } from '../../cpu/assembler.js';
import type { ArchitectureName, InstructionFetchMode } from '../../cpu/index.js';
import { ARCHITECTURE_NAMES, Guest } from './conformance/guest.js';

/** A function that returns 1, and one that the processors run in between. */
async function open(architecture: ArchitectureName, instructionFetch: InstructionFetchMode = 'weak') {
  const guest = new Guest(architecture, { instructionFetch, processors: 2 });
  const [first, second] = guest.machine.processors;
  if (first === undefined || second === undefined) throw new Error('two processors');
  const target = await guest.code(guest.programs.constant(1));
  const patch = async (value: number, at = target) =>
    guest.machine.writeCode(
      guest.space,
      at,
      (await assemble(architecture, guest.programs.constant(value), { address: at })).subarray(0, 4),
    );
  const run = (processor = first) => Number(guest.call(target, [], processor));
  return { guest, first, second, target, patch, run };
}

describe.each(ARCHITECTURE_NAMES)('a weak %s processor', (architecture) => {
  test('has not fetched what it fetched after a snapshot, once that is restored', async () => {
    const { guest, patch, run } = await open(architecture);
    using _guest = guest;
    const before = guest.machine.snapshot();
    run();
    guest.machine.restore(before);
    await patch(2);
    expect(run()).toBe(2);
  });

  test('has fetched what it fetched before a snapshot, once that is restored', async () => {
    const { guest, patch, run } = await open(architecture);
    using _guest = guest;
    run();
    const fetched = guest.machine.snapshot();
    guest.machine.serialise();
    guest.machine.restore(fetched);
    await patch(2);
    expect(run()).toBe(1);
  });

  test('has fetched what it fetches again after it was serialised', async () => {
    const { guest, patch, run } = await open(architecture);
    using _guest = guest;
    run();
    guest.machine.serialise();
    run();
    await patch(2);
    expect(run()).toBe(1);
  });

  test('that returns from an exception does so once', async () => {
    const { guest, patch, run } = await open(architecture);
    using _guest = guest;
    const trap = await guest.code(guest.programs.exceptions.undefined);
    expect(guest.start(trap).reason).toBe('exception');
    expect(run()).toBe(1);
    await patch(2);
    expect(run()).toBe(1);
  });

  test('returns from an exception again when that moment is restored', async () => {
    const { guest, first, patch, run, target } = await open(architecture);
    using _guest = guest;
    const trap = await guest.code(guest.programs.exceptions.undefined);
    const invalidate = architecture === 'arm64' ? await guest.code('ic ivau, x0\nret') : undefined;
    run();
    await patch(2);
    if (invalidate !== undefined) guest.start(invalidate, [target]);
    guest.start(trap);
    const exception = guest.machine.snapshot();
    for (let time = 0; time < 2; time++) {
      expect(run()).toBe(2);
      expect(first.fetchUnit.views.size).toBe(0);
      guest.machine.restore(exception);
    }
  });

  test('gives back its copy of the old page when it sees the new one', async () => {
    const { guest, patch, run } = await open(architecture);
    using _guest = guest;
    run();
    const { framesInUse } = guest.machine.memory;
    await patch(2);
    expect(guest.machine.memory.framesInUse).toBe(framesInUse + 1);
    guest.machine.serialise();
    expect(guest.machine.memory.framesInUse).toBe(framesInUse);
  });
});

test.each(['x64', 'x86'] as const)(
  'a weak %s processor that stores to a page sees the page as it is, not only what it stored',
  async (architecture) => {
    const guest = new Guest(architecture, { instructionFetch: 'weak' });
    using _guest = guest;
    const target = await guest.code(guest.programs.constant(1), 'PAGE_EXECUTE_READWRITE');
    const store = await guest.code(guest.programs.store);
    guest.call(target);
    const bytes = await assemble(architecture, guest.programs.constant(2), { address: target });
    guest.machine.writeCode(guest.space, target, bytes);
    expect(guest.call(target)).toBe(1n);
    guest.start(store, [target + 0x100n, 0n]);
    expect(guest.call(target)).toBe(2n);
  },
);

describe('a weak ARM64 processor', () => {
  const STEPS = {
    isb: 'isb\nret',
    'ic ivau': 'ic ivau, x0\nret',
    'ic iallu': 'ic iallu\nret',
    'ic ialluis': 'ic ialluis\nret',
    trap: '.word 0',
  };
  type Step = keyof typeof STEPS;

  async function openArm() {
    const opened = await open('arm64');
    const addresses = new Map<string, bigint>();
    for (const [name, source] of Object.entries(STEPS)) addresses.set(name, await opened.guest.code(source));
    const take = (step: Step, at = opened.target, processor = opened.first) =>
      opened.guest.start(addresses.get(step) ?? 0n, [at], processor);
    const write = async (address: bigint, source: string) =>
      opened.guest.machine.writeCode(
        opened.guest.space,
        address,
        await assemble('arm64', source, { address }),
      );
    return { ...opened, take, write };
  }

  test.each<{ what: string; steps: readonly (Step | 'patch')[]; seen: number }>([
    { what: 'the line is invalidated before the patch', steps: ['ic ivau', 'patch', 'isb'], seen: 1 },
    { what: 'all is invalidated before the patch', steps: ['ic iallu', 'patch', 'isb'], seen: 1 },
    { what: 'an exception follows the invalidation', steps: ['patch', 'ic ivau', 'trap'], seen: 2 },
    { what: 'an exception comes before it', steps: ['patch', 'trap', 'ic ivau'], seen: 1 },
    { what: 'all processors are to invalidate all', steps: ['patch', 'ic ialluis', 'isb'], seen: 2 },
  ])('when $what: sees $seen', async ({ steps, seen }) => {
    const { guest, patch, run, take } = await openArm();
    using _guest = guest;
    run();
    for (const step of steps) {
      if (step === 'patch') await patch(2);
      else take(step);
    }
    expect(run()).toBe(seen);
  });

  test.each<{ step: Step; seenBySecond: number }>([
    { step: 'ic ivau', seenBySecond: 2 },
    { step: 'ic iallu', seenBySecond: 1 },
    { step: 'ic ialluis', seenBySecond: 2 },
  ])('after $step of another sees $seenBySecond behind its own isb', async ({ step, seenBySecond }) => {
    const { guest, target, second, patch, run, take } = await openArm();
    using _guest = guest;
    run();
    run(second);
    await patch(2);
    take(step);
    expect(run(second)).toBe(1);
    take('isb', target, second);
    expect(run(second)).toBe(seenBySecond);
  });

  test('invalidates every line with ic iallu', async () => {
    const { guest, take, write } = await openArm();
    using _guest = guest;
    const lines = Array.from({ length: 64 }, (_, line) => `movz w9, #${line}\n${'nop\n'.repeat(15)}`);
    const source = `${lines.join('')}mov w0, w9\nret`;
    const target = await guest.code(source);
    expect(guest.call(target)).toBe(63n);
    await write(target + 63n * 64n, 'movz w9, #100');
    take('ic iallu');
    take('isb');
    expect(guest.call(target)).toBe(100n);
  });

  test('refreshes the lines that were invalidated, once, and those alone', async () => {
    const { guest, take, write } = await openArm();
    using _guest = guest;
    // w0 = first + second, each constant in a line of its own.
    const target = await guest.code(`movz w0, #1\n${'nop\n'.repeat(15)}add w0, w0, #0x10\nret`);
    const [first, second] = [target, target + 64n];
    expect(guest.call(target)).toBe(0x11n);
    await write(first, 'movz w0, #2');
    await write(second, 'add w0, w0, #0x20');
    expect(guest.call(target)).toBe(0x11n);
    take('ic ivau', first);
    take('isb');
    expect(guest.call(target)).toBe(0x12n);
    await write(first, 'movz w0, #3');
    take('isb');
    expect(guest.call(target)).toBe(0x12n);
    take('ic ivau', second);
    take('isb');
    expect(guest.call(target)).toBe(0x22n);
  });

  test('has not fetched a page any more of which it holds nothing old', async () => {
    const { guest, first, patch, run, take } = await openArm();
    using _guest = guest;
    run();
    const { framesInUse } = guest.machine.memory;
    await patch(2);
    take('ic ivau');
    take('isb');
    expect([first.fetchUnit.views.size, guest.machine.memory.framesInUse]).toEqual([0, framesInUse]);
    await patch(3);
    expect(run()).toBe(3);
  });

  test('has pending invalidations as a snapshot says', async () => {
    const { guest, patch, run, take } = await openArm();
    using _guest = guest;
    run();
    await patch(2);
    const patched = guest.machine.snapshot();
    take('ic ivau');
    const invalidated = guest.machine.snapshot();
    guest.machine.restore(patched);
    take('isb');
    expect(run()).toBe(1);
    guest.machine.restore(invalidated);
    take('isb');
    expect(run()).toBe(2);
    guest.machine.restore(invalidated);
    take('isb');
    expect(run()).toBe(2);
  });

  test('has no pending invalidation of a page that was given back', async () => {
    const { guest, target, patch, run, take, write } = await openArm();
    using _guest = guest;
    run();
    await patch(2);
    take('ic ivau');
    const { frame } = guest.table.query(target);
    guest.table.release(target, 1);
    guest.machine.memory.allocate(); // where the old code was kept
    guest.table.commit(target, 1, 'PAGE_EXECUTE_READ');
    expect(guest.table.query(target).frame).toBe(frame);
    await write(target, guest.programs.constant(1));
    expect(run()).toBe(1);
    await patch(2);
    take('isb');
    expect(run()).toBe(1);
  });

  test('invalidates nothing where nothing is committed', async () => {
    const { guest, patch, run, take } = await openArm();
    using _guest = guest;
    run();
    await patch(2);
    take('ic ivau', guest.table.range.end + 0x1000n);
    take('isb');
    expect(run()).toBe(1);
  });

  test.each([
    { what: 'that it fetched before', isFetched: true, source: 'str w1, [x2]\nbr x0' },
    {
      what: 'that it fetched after an earlier store to the page',
      isFetched: false,
      source: [
        ...['mov x19, x30', 'mov x3, x0', 'str w1, [x2, #0x800]', 'blr x3'],
        ...['str w1, [x2]', 'mov x30, x19', 'br x3'],
      ].join('\n'),
    },
  ])('does not see its own store to code $what', async ({ isFetched, source }) => {
    for (const isAliased of [false, true]) {
      using guest = new Guest('arm64', { instructionFetch: 'weak' });
      const target = await guest.code(guest.programs.constant(1), 'PAGE_EXECUTE_READWRITE');
      const alias = guest.base + 0x8_0000n;
      guest.table.commit(alias, 1, 'PAGE_READWRITE', { frames: [guest.table.query(target).frame ?? -1] });
      const modify = await guest.code(source);
      if (isFetched) guest.call(target);
      expect(guest.call(modify, [target, MOVZ_W0_2, isAliased ? alias : target])).toBe(1n);
      expect(guest.space.readU32(target)).toBe(Number(MOVZ_W0_2));
    }
  });
});

const MOVZ_W0_2 = 0x5280_0040n;
