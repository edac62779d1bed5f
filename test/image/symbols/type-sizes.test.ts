import { describe, expect, it } from 'vitest';
import { TypeStream } from '../../../image/index.js';

const FIRST = 0x1000;
const u16 = (value: number) => [value & 0xff, value >> 8];
const u32 = (value: number) => [...u16(value & 0xffff), ...u16(value >>> 16)];
const text = (value: string) => [...Buffer.from(`${value}\0`)];

/** A TPI stream (https://llvm.org/docs/PDB/TpiStream.html): a header of 56 bytes, then records of length, leaf, contents. */
function stream(records: readonly (readonly number[])[]): TypeStream {
  const body = records.flatMap((record) => {
    const padded = [...record, ...Array.from({ length: (2 - record.length) & 3 }, () => 0xf1)];
    return [...u16(padded.length), ...padded];
  });
  const header = [20040203, 56, FIRST, FIRST + records.length, body.length].flatMap(u32);
  return new TypeStream(Uint8Array.from([...header, ...new Array(56 - header.length).fill(0), ...body]));
}

/** LF_STRUCTURE with the property that it is defined elsewhere. */
const forwardReference = (name: string) => [
  ...u16(0x1505),
  ...u16(0),
  ...u16(0x80),
  ...u32(0),
  ...u32(0),
  ...u32(0),
  ...u16(0),
  ...text(name),
];

const INT = 0x74;
const VOID_POINTER_64 = 0x603;

/** Leaf numbers and layouts of cvinfo.h; sizes worked out by hand. */
const RECORDS = [
  { what: 'volatile int', record: [...u16(0x1001), ...u32(INT), ...u16(2)], size: 4 },
  { what: 'a pointer of eight bytes', record: [...u16(0x1002), ...u32(INT), ...u32(0x1000c)], size: 8 },
  { what: 'a pointer of four bytes', record: [...u16(0x1002), ...u32(INT), ...u32(0x800a)], size: 4 },
  {
    what: 'an array of 40 bytes',
    record: [...u16(0x1503), ...u32(INT), ...u32(0x22), ...u16(40), 0],
    size: 40,
  },
  {
    what: 'an array of 0x12345 bytes, a numeric leaf',
    record: [...u16(0x1503), ...u32(0x70), ...u32(0x22), ...u16(0x8004), ...u32(0x12345), 0],
    size: 0x12345,
  },
  {
    what: 'a structure of 24 bytes',
    record: [...u16(0x1505), ...u16(0), ...u16(0), ...u32(0), ...u32(0), ...u32(0), ...u16(24), ...text('s')],
    size: 24,
  },
  {
    what: 'that structure, before its definition',
    record: forwardReference('s'),
    size: 24,
  },
  {
    what: 'a union of 16 bytes',
    record: [...u16(0x1506), ...u16(0), ...u16(0), ...u32(0), ...u16(16), ...text('u')],
    size: 16,
  },
  {
    what: 'an enumeration of unsigned char',
    record: [...u16(0x1507), ...u16(0), ...u16(0), ...u32(0x20), ...u32(0), ...text('e')],
    size: 1,
  },
  { what: 'a procedure', record: [...u16(0x1008), ...u32(INT), 0, 0, ...u16(0), ...u32(0)], size: undefined },
  {
    what: 'a structure that nothing defines',
    record: forwardReference('x'),
    size: undefined,
  },
] as const;

describe('the size of a type in a PDB', () => {
  const types = stream(RECORDS.map(({ record }) => record));
  it.each(RECORDS.map((one, index) => ({ ...one, index: FIRST + index })))(
    '$what: $size',
    ({ index, size }) => {
      expect(types.size(index)).toBe(size);
    },
  );

  it.each([
    ['int', INT, 4],
    ['char', 0x70, 1],
    ['wchar_t', 0x71, 2],
    ['unsigned short', 0x21, 2],
    ['double', 0x41, 8],
    ['long long', 0x13, 8],
    ['void*, 64 bits', VOID_POINTER_64, 8],
    ['int*, 32 bits', 0x474, 4],
    ['void', 3, undefined],
    ['a type that there is not', FIRST + 99, undefined],
  ] as const)('of the simple type %s', (_, index, size) => {
    expect(types.size(index)).toBe(size);
  });
});
