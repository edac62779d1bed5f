import { type BootOptions, Lab } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { hotPatchReserveSize } from '../../loader/index.js';
import { fixture } from '../support.js';

describe('the reserve for HPAT pages', () => {
  it.each([
    [0, 0],
    [1, 0x2000],
    [0x1000, 0x2000],
    [0x1001, 0x4000],
    [0x8000, 0x10000],
    [0x1000_0000, 0x2000_0000],
  ])('HotPatchTableSize 0x%x gives 0x%x bytes', (size, reserve) => {
    expect(hotPatchReserveSize(size)).toBe(reserve);
    expect(reserve % 0x2000).toBe(0);
  });

  it.each([-1, 0.5, Number.NaN, 0x1000_0001, 2 ** 40])('refuses %s', (size) => {
    expect(() => hotPatchReserveSize(size)).toThrow('boot.option');
  });
});

describe('slots of the HPAT', () => {
  it('go to and fro between index and address; a data page is never a code slot', async () => {
    using machine = await reserved({});
    const { hpat } = machine;
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
    expect(hpat.indexOf(hpat.base + BigInt(hpat.reserveSize))).toBeUndefined();
    expect(hpat.indexOf(hpat.base - 8n)).toBeUndefined();
  });

  it('are pointers and nothing else in the layout `pointers`', async () => {
    using machine = await reserved({ hpatLayout: 'pointers' });
    const { hpat } = machine;
    expect(hpat.capacity).toBe(6 * 512);
    for (const n of [0, 1, 511, 512, 1024, 3071]) {
      const slot = hpat.base + BigInt(8 * n);
      expect([hpat.codeSlot(n), hpat.dataSlot(n)]).toEqual([undefined, slot]);
      expect([hpat.indexOf(slot), hpat.indexOf(slot + 4n)]).toEqual([n, undefined]);
    }
    expect(hpat.indexOf(hpat.base + BigInt(hpat.reserveSize))).toBeUndefined();
  });

  it.each(['pairs', 'pointers'] as const)('are those that there are: %s', async (hpatLayout) => {
    using machine = await reserved({ hpatLayout });
    const { hpat } = machine;
    for (const index of [-1, 0.5, Number.NaN, hpat.capacity, 2 ** 40])
      expect(() => hpat.dataSlot(index)).toThrow(
        `HPAT slot ${index} is not one of the ${hpat.capacity} there are`,
      );
  });
});

describe('pages of the HPAT', () => {
  const CODE = 'PAGE_EXECUTE_READ';
  const DATA = 'PAGE_READONLY';
  it.each([
    ['pairs', [CODE, DATA, CODE, DATA, CODE, DATA]],
    ['pointers', [DATA, DATA, DATA, DATA, DATA, DATA]],
  ] as const)('have memory from the first patch on: %s', async (hpatLayout, protections) => {
    using machine = await reserved({ hpatLayout });
    const { hpat, space } = machine;
    const pages = protections.map((_, page) => hpat.base + BigInt(page * 0x1000));
    const states = () => pages.map((page) => space.query(page));
    expect([hpat.committed, states().map(({ state }) => state)]).toEqual([
      false,
      pages.map(() => 'reserved'),
    ]);
    hpat.commit(0xcc);
    expect([hpat.committed, states().map(({ protection }) => protection)]).toEqual([true, protections]);
    expect(pages.map((page) => space.read(page + 0xfffn, 1)[0])).toEqual(
      protections.map((protection) => (protection === CODE ? 0xcc : 0)),
    );
    hpat.decommit();
    expect([hpat.committed, states().map(({ state }) => state)]).toEqual([
      false,
      pages.map(() => 'reserved'),
    ]);
    hpat.decommit();
    expect([hpat.committed, states().map(({ state }) => state)]).toEqual([
      false,
      pages.map(() => 'reserved'),
    ]);
  });

  it('keep what they have when they are given memory again', async () => {
    using machine = await reserved({});
    const { hpat, space } = machine;
    hpat.commit(0xcc);
    space.write(hpat.dataSlot(5), Uint8Array.of(1, 2, 3));
    hpat.commit(0xcc);
    expect([...space.read(hpat.dataSlot(5), 3)]).toEqual([1, 2, 3]);
  });
});

async function reserved(options: Partial<BootOptions>) {
  const lab = await Lab.boot({ architecture: 'x64', hotPatchTableSize: 0x3000, ...options });
  const { hpat, domain } = await lab.loadDriver(fixture('x64/base/packets.sys'));
  if (hpat === undefined) throw new Error('no HPAT');
  return { hpat, space: domain.addressSpace, [Symbol.dispose]: () => lab[Symbol.dispose]() };
}
