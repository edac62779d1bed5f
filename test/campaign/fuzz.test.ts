import { describe, expect, it } from 'vitest';
import { differenceOf, type Ended, GuestBench, snippet } from '../../campaign/fuzz/guest.js';
import { ImageFuzz } from '../../campaign/fuzz/image.js';
import { lifeBase, lifePatch, liveThrough } from '../../campaign/fuzz/life.js';
import { Random } from '../../campaign/random.js';
import { ImageBuilder } from '../../image/index.js';

const ARCHITECTURES = ['x64', 'arm64', 'x86'] as const;

/** `mov eax, 5; ret` and the same on ARM64. */
const RETURN_5 = {
  x64: [0xb8, 5, 0, 0, 0, 0xc3],
  x86: [0xb8, 5, 0, 0, 0, 0xc3],
  arm64: [0xa0, 0x00, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6],
} as const;

describe.each(ARCHITECTURES)('the life of a hotpatch image on %s', (architecture) => {
  const base = lifeBase(architecture);
  const patch = lifePatch(architecture, base);

  it('of one that is whole: it is applied and taken back', () => {
    expect(liveThrough(base, patch.bytes)).toEqual({ outcome: 'applied, taken back' });
  });

  it('of one that is cut, or for another base: it is refused, or waits', () => {
    expect(liveThrough(base, patch.bytes.slice(0, 700)).outcome).toMatch(/^refused /);
    const bytes = patch.bytes.slice();
    const table = patch.image.rvaToOffset(patch.image.loadConfig?.hotPatchTableOffset ?? 0) ?? 0;
    // OriginalTimeDateStamp of IMAGE_HOT_PATCH_BASE: the first place of the table that has the base's.
    const stamp = Buffer.alloc(4);
    stamp.writeUInt32LE(base.image.fileHeader.timeDateStamp);
    const at = Buffer.from(bytes).indexOf(stamp, table);
    bytes[at] = (bytes[at] ?? 0) ^ 0x40;
    expect(liveThrough(base, bytes)).toEqual({ outcome: 'deferred' });
  });

  it('tells when functions do not return what they did', () => {
    const other = new ImageBuilder(architecture, { name: 'base.sys' })
      .code('f', [...RETURN_5[architecture]])
      .code('h', [...RETURN_5[architecture]])
      .code('k', [...RETURN_5[architecture]])
      .export('f')
      .loadConfig()
      .build();
    expect(liveThrough(other, patch.bytes).problem).toMatchObject({
      message: expect.stringContaining('f gives 5, not 1'),
    });
  });
});

describe.each(ARCHITECTURES)('snippets of %s', (architecture) => {
  it('end the same way at once and step by step', () => {
    using bench = new GuestBench(architecture);
    const outcomes = new Set<string>();
    for (let number = 1; number <= 150; number++) {
      const random = new Random(number);
      const result = bench.run(snippet(architecture, random), random);
      expect(result.problem, `snippet ${number}`).toBeUndefined();
      outcomes.add(result.outcome);
    }
    expect([...outcomes]).toEqual(
      expect.arrayContaining(['exception invalidOpcode', 'fault read notCommitted']),
    );
  });
});

it('tells what two runs do not have in common', () => {
  const run: Ended = {
    exit: { reason: 'returned', instructions: 3 },
    registers: '1,2',
    memory: Buffer.from([1, 2, 3]),
  };
  expect(differenceOf(run, { ...run, exit: { instructions: 3, reason: 'returned' } })).toBeUndefined();
  expect(differenceOf(run, { ...run, exit: { reason: 'returned', instructions: 4 } })).toMatch(/at once/);
  expect(differenceOf(run, { ...run, registers: '1,3' })).toMatch(/registers/);
  expect(differenceOf(run, { ...run, memory: Buffer.from([1, 2, 4]) })).toMatch(/byte 2/);
});

describe('the case of a number', () => {
  it('is the same whatever was tried before it, also of a file in a Buffer', () => {
    const seed = () => ({ name: 'base.sys', bytes: Buffer.from(lifeBase('x86').bytes) });
    using used = new ImageFuzz([seed()]);
    for (let number = 0; number < 20; number++) used.run(number);
    using fresh = new ImageFuzz([seed()]);
    expect(used.run(20)).toEqual(fresh.run(20));
    expect(used.run(3)).toEqual(fresh.run(3));
  });
});
