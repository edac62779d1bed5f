import { expect, it } from 'vitest';
import { formatLanes, formatSchedule, type Schedule } from '../../proof/index.js';

const step = (processor: number, text: string, bytes: number[], alone = false) => ({
  actor: 'processor' as const,
  processor,
  text,
  address: 0x1000n,
  bytes: Uint8Array.from(bytes),
  ...(alone ? { alone: true as const } : {}),
});

const SCHEDULE: Schedule = {
  subject: 'two processors',
  protocol: 'windows',
  architecture: 'x64',
  processors: 2,
  fetch: 'weak',
  actions: [
    { actor: 'engine', edge: 0, text: 'cc is stored' },
    step(1, 'base!f', [0x90]),
    ...Array.from({ length: 20 }, (_, index) => step(1, `base!f+${index + 1}`, [0x90], true)),
    { actor: 'interrupt', processor: 0, text: 'base!g' },
    step(0, 'base!g', [0xcc]),
  ],
};

it('a schedule is a picture of lanes, time downward', async () => {
  expect(await formatLanes(SCHEDULE)).toEqual([
    '      engine  cpu 0   cpu 1',
    '   1    *       |       |     cc is stored',
    '   2    |       |       *     base!f                       90                   nop',
    '   3    |       |       :     runs on by itself for 20 steps, to base!f+20',
    '  23    |       !       |     is interrupted at base!g, and so serialised',
    '  24    |       *       |     base!g                       cc                   int     3',
  ]);
});

it('and a list of who does what', async () => {
  expect(await formatSchedule(SCHEDULE)).toEqual([
    '   1  engine       cc is stored',
    '   2  cpu 1        base!f                       90                   nop',
    '   3  cpu 1        runs on by itself for 20 steps, to base!f+20',
    '  23  cpu 0        is interrupted at base!g, and so serialised',
    '  24  cpu 0        base!g                       cc                   int     3',
  ]);
});
