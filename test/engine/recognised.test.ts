import { recogniseEntry } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { DEMO_FUNCTIONS } from './forms.js';
import { type Bench, bench, CELLS, type Place } from './kinds.js';

/** What Microsoft's own recogniser takes for a hotpatch of the system; it knows neither retpoline's slots nor the layout `pointers`. */
const RECOGNISED = new Set(['x64', 'x86', 'ARM64']);

const READABLE = 0x1000n;

function recognised({ demo }: Place, name: string, images: 'x64' | 'x86' | 'arm64') {
  const { addressSpace } = demo.domain;
  const read = (address: bigint, length: number) => {
    const inPage = Number(READABLE - (address & (READABLE - 1n)));
    if (addressSpace.query(address).state !== 'committed') return new Uint8Array();
    return addressSpace.read(address, Math.min(length, inPage));
  };
  return recogniseEntry(images, read, demo.symbol(name));
}

function functionsOf({ demo }: Place): string[] {
  return demo.symbols.all.filter(({ kind }) => kind === 'function').map(({ name }) => name);
}

const hotpatched = (machine: Bench, images: 'x64' | 'x86' | 'arm64') =>
  machine.places.map((place) =>
    functionsOf(place)
      .filter((name) => recognised(place, name, images).kind === 'hotpatch')
      .sort(),
  );

describe.each(CELLS.filter(({ form }) => RECOGNISED.has(form.name)))('$name', (cell) => {
  it('every entry that is patched is an OS patch to an independent recogniser, and no other, before and after', async () => {
    using machine = await bench(cell);
    const all = machine.places.map(functionsOf);
    expect(all.flat().length).toBeGreaterThan(DEMO_FUNCTIONS.length);
    const none = machine.places.map(() => []);
    expect(hotpatched(machine, cell.images)).toEqual(none);
    const patch = machine.load();
    expect(hotpatched(machine, cell.images)).toEqual(machine.places.map(() => [...DEMO_FUNCTIONS].sort()));
    for (const place of machine.places) {
      const found = recognised(place, 'leaf_opaque', cell.images);
      const { hpat } = place.demo;
      const index = found.kind === 'hotpatch' ? hpat?.indexOf(found.codeSlot) : undefined;
      expect(found).toEqual({
        kind: 'hotpatch',
        codeSlot: hpat?.codeSlot(index ?? -1),
        dataSlot: hpat?.dataSlot(index ?? -1),
      });
    }
    machine.lab.engine.unload(patch);
    expect(hotpatched(machine, cell.images)).toEqual(none);
  });
});

describe('what is no hotpatch of the system', () => {
  const bytes = (at: bigint, ...values: number[]) => ({ at, values });
  const memory =
    (...parts: { at: bigint; values: number[] }[]) =>
    (address: bigint, length: number) => {
      const part = parts.find(({ at, values }) => address >= at && address < at + BigInt(values.length));
      if (part === undefined) return new Uint8Array();
      const from = Number(address - part.at);
      return Uint8Array.from(part.values.slice(from, from + length));
    };
  const word = (value: number) => [
    value & 0xff,
    (value >> 8) & 0xff,
    (value >> 16) & 0xff,
    (value >>> 24) & 0xff,
  ];
  const slot = (operand: number) => [0xff, 0x25, ...word(operand)];
  const E = 0x1000n;
  // e9 to 0x3000, five bytes before the entry.
  const padded = bytes(E - 5n, 0xe9, ...word(0x2000), 0xeb, 0xf9, 0x48, 0x83, 0xec, 0x28);

  it.each([
    ['an OS patch', 'x64', [padded, bytes(0x3000n, ...slot(0xffa))], 'hotpatch'],
    ['a data slot elsewhere', 'x64', [padded, bytes(0x3000n, ...slot(0xff2))], 'hook'],
    ['no slot at all', 'x64', [padded, bytes(0x3000n, 0x48, 0x83, 0xec, 0x28, 0x90, 0x90)], 'hook'],
    ['an OS patch of x86', 'x86', [padded, bytes(0x3000n, ...slot(0x4000))], 'hotpatch'],
    ['x64’s displacement on x86', 'x86', [padded, bytes(0x3000n, ...slot(0xffa))], 'hook'],
    ['a jump of five bytes', 'x64', [bytes(E, 0xe9, ...word(0x2000), 0x90)], 'hook'],
    ['a jump through a pointer', 'x64', [bytes(E, ...slot(2))], 'hook'],
    ['a loop at the entry', 'x64', [bytes(E, 0xeb, 0x10, 0x90, 0x90, 0x90, 0x90)], 'none'],
    ['an ordinary function', 'x64', [bytes(E, 0x48, 0x83, 0xec, 0x28, 0x90, 0x90)], 'none'],
    ['no memory', 'x64', [], 'none'],
    [
      'an OS patch of ARM64',
      'arm64',
      [bytes(E, ...word(0x1400_0800)), bytes(0x3000n, ...word(0x5800_8010), ...word(0xd61f_0200))],
      'hotpatch',
    ],
    [
      'a branch backwards to such a slot',
      'arm64',
      [bytes(E, ...word(0x17ff_fe00)), bytes(0x800n, ...word(0x5800_8010), ...word(0xd61f_0200))],
      'hook',
    ],
    [
      'another register',
      'arm64',
      [bytes(E, ...word(0x1400_0800)), bytes(0x3000n, ...word(0x5800_8011), ...word(0xd61f_0220))],
      'hook',
    ],
    ['ldr x17; br x17', 'arm64', [bytes(E, ...word(0x5800_0051), ...word(0xd61f_0220))], 'hook'],
    ['an ordinary function of ARM64', 'arm64', [bytes(E, ...word(0xa9bf_7bfd))], 'none'],
  ] as const)('%s', (_name, machine, parts, kind) => {
    expect(recogniseEntry(machine, memory(...parts), E).kind).toBe(kind);
  });
});
