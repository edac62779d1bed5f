import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IMAGE_REL_BASED, RELOCATION_SIZE, type Relocation } from '../../image/index.js';
import { RelocationListBuilder } from '../../image/relocation-list.js';

function listOf(relocations: readonly Relocation[]) {
  const builder = new RelocationListBuilder(relocations.length + 3);
  for (const { rva, type, low } of relocations) builder.add(rva, IMAGE_REL_BASED[type], low);
  return builder.build();
}

const relocation = fc.oneof(
  fc.record({ rva: fc.nat(200), type: fc.constantFrom('DIR64', 'HIGHLOW', 'HIGH', 'LOW') }),
  fc.record({ rva: fc.nat(200), type: fc.constant('HIGHADJ' as const), low: fc.nat(0xffff) }),
) as fc.Arbitrary<Relocation>;
const relocations = fc.array(relocation, { maxLength: 30 });

describe('A list of relocations', () => {
  test('gives back what was put in, in every way of asking', () => {
    fc.assert(
      fc.property(relocations, (all) => {
        const list = listOf(all);
        const isWide = ({ type }: Relocation) => type === 'DIR64';
        expect([...list]).toEqual(all);
        expect(list.length).toBe(all.length);
        expect(all.map((_, index) => list.at(index))).toEqual(all);
        expect([list.at(-1), list.at(all.length)]).toEqual([undefined, undefined]);
        expect(list.map(({ rva }, index) => [rva, index])).toEqual(all.map(({ rva }, index) => [rva, index]));
        expect(list.filter(isWide)).toEqual(all.filter(isWide));
        expect(list.some(isWide)).toBe(all.some(isWide));
      }),
    );
  });

  test('finds those that touch a range, whatever the order in the file', () => {
    fc.assert(
      fc.property(relocations, fc.nat(210), fc.nat(12), (all, rva, length) => {
        const touching = all
          .filter((each) => each.rva < rva + length && each.rva + RELOCATION_SIZE[each.type] > rva)
          .toSorted((a, b) => a.rva - b.rva);
        expect(listOf(all).in(rva, length)).toEqual(touching);
      }),
    );
  });
});
