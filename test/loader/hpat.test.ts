import { Lab } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { hotPatchReserveSize } from '../../src/loader/index.js';
import { fixture } from '../support.js';

describe('the reserve for HPAT pages', () => {
  it.each([
    [0, 0],
    [1, 0x2000],
    [0x1000, 0x2000],
    [0x1001, 0x4000],
    [0x8000, 0x10000],
  ])('HotPatchTableSize 0x%x gives 0x%x bytes', (size, reserve) => {
    expect(hotPatchReserveSize(size)).toBe(reserve);
    expect(reserve % 0x2000).toBe(0);
  });

  it.each([-1, 0.5, Number.NaN, 2 ** 40])('refuses %s', (size) => {
    expect(() => hotPatchReserveSize(size)).toThrow(RangeError);
  });
});

describe('slots of the HPAT', () => {
  it('go to and fro between index and address; a data page is never a code slot', async () => {
    using lab = await Lab.boot({ architecture: 'x64', hotPatchTableSize: 0x3000 });
    const { hpat } = await lab.loadDriver(fixture('x64/base/packets.sys'));
    if (hpat === undefined) throw new Error('no HPAT');
    expect(hpat.capacity).toBe(3 * 512);
    const codeSlot = (n: number) => hpat.codeSlot(n) ?? 0n;
    const offsets = [0, 1, 511, 512, 1023, 1024, 1535].map((n) => Number(codeSlot(n) - hpat.base));
    expect(offsets).toEqual([0, 8, 0xff8, 0x2000, 0x2ff8, 0x4000, 0x4ff8]);
    for (let n = 0; n < hpat.capacity; n++) {
      expect(hpat.indexOf(codeSlot(n))).toBe(n);
      expect(hpat.dataSlot(n)).toBe(codeSlot(n) + 0x1000n);
      expect(hpat.indexOf(hpat.dataSlot(n))).toBeUndefined();
      expect(hpat.indexOf(codeSlot(n) + 4n)).toBeUndefined();
    }
    expect(() => hpat.codeSlot(hpat.capacity)).toThrow(RangeError);
    expect(hpat.indexOf(hpat.base + BigInt(hpat.reserveSize))).toBeUndefined();
  });
});
