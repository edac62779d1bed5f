import { describe, expect, test } from 'vitest';
import { Machine, runSchedule, type Slice, timeSlices } from '../../../cpu/index.js';
import { ARCHITECTURE_NAMES, Guest } from './guest.js';

const PROCESSORS = 4;
const TIMES = 200n;
const ALL = [0, 1, 2, 3];

describe.each(ARCHITECTURE_NAMES)('four processors on %s', (architecture) => {
  async function count(program: 'count' | 'countAtomically', seed: number) {
    using guest = new Guest(architecture, { processors: PROCESSORS });
    const target = await guest.code(guest.programs[program]);
    const { processors } = guest.machine;
    for (const processor of processors) guest.prepare(target, [guest.data, TIMES], processor);
    const outcome = runSchedule(processors, timeSlices({ processors: ALL, seed }));
    expect([...outcome.parked.values()].map(({ reason }) => reason)).toEqual(ALL.map(() => 'returned'));
    return {
      total: guest.readWord(guest.data),
      instructions: outcome.instructions,
      hash: guest.machine.hash(),
    };
  }

  test('lose no atomic increment, whatever the schedule', async () => {
    for (const seed of [1, 2, 3]) {
      expect((await count('countAtomically', seed)).total).toBe(BigInt(PROCESSORS) * TIMES);
    }
  });

  test('lose plain increments, the same ones for the same seed', async () => {
    const first = await count('count', 1);
    expect(first.total).toBeLessThan(BigInt(PROCESSORS) * TIMES);
    expect(first.total).toBeGreaterThanOrEqual(TIMES);
    expect(await count('count', 1)).toEqual(first);
    expect((await count('count', 2)).total).not.toBe(first.total);
  });

  test('follow an explicit schedule', async () => {
    using guest = new Guest(architecture, { processors: 2 });
    const target = await guest.code(guest.programs.store);
    const [first, second] = guest.machine.processors;
    if (first === undefined || second === undefined) throw new Error('two processors');
    guest.prepare(target, [guest.data, 1n], first);
    guest.prepare(target, [guest.data, 2n], second);
    const length = architecture === 'x86' ? 4 : 2;
    const schedule: Slice[] = [
      { processor: 1, instructions: length - 1 },
      { processor: 0, instructions: length + 1 },
      { processor: 1, instructions: 2 },
    ];
    const outcome = runSchedule(guest.machine.processors, schedule);
    expect(outcome.instructions).toBe(2 * length);
    expect(guest.readWord(guest.data)).toBe(1n);
  });
});

test.each(ARCHITECTURE_NAMES)('64 processors on %s share one memory', async (architecture) => {
  using guest = new Guest(architecture, { processors: 64 });
  const target = await guest.code(guest.programs.countAtomically);
  for (const processor of guest.machine.processors) guest.call(target, [guest.data, 3n], processor);
  expect(guest.readWord(guest.data)).toBe(192n);
});

test('ARM64 processors have the large system extensions and pointer authentication', async () => {
  using guest = new Guest('arm64');
  // ldadd x1, x2, [x0]; paciasp; mov x3, x30; autiasp; eor x0, x3, x30; ret
  const target = await guest.code(
    '.word 0xf8210002\n.word 0xd503233f\nmov x3, x30\n.word 0xd50323bf\neor x0, x3, x30\nret',
  );
  guest.space.writeU64(guest.data, 40n);
  expect(guest.start(target, [guest.data, 2n])).toEqual({ reason: 'returned', instructions: 6 });
  expect(guest.space.readU64(guest.data)).toBe(42n);
  expect(guest.processor.get('x2')).toBe(40n);
});

test.each([0, 65, 1.5])('a machine does not have %d processors', (processors) => {
  expect(() => Machine.create({ architecture: 'x64', processors })).toThrow(
    expect.objectContaining({ rule: 'processorCount' }),
  );
});
