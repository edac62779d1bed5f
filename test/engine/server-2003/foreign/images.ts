import { type BuiltImage, ImageBuilder, type PeImage, readImage } from '../../../../image/index.js';
import type { Processor } from '../support.js';
import { encodeForeign, type ForeignSection } from './encoder.js';

const u32 = (value: number) => [
  value & 0xff,
  (value >> 8) & 0xff,
  (value >> 16) & 0xff,
  (value >>> 24) & 0xff,
];
const EDI = [0x8b, 0xff];
const returning = (value: number) => [0xb8, ...u32(value), 0xc3];

const OPTIONS = { subsystem: 'WINDOWS_CUI', dll: true, functionPadding: 0 } as const;
const PADDED = { padding: 16 };
const TIGHT = { padding: 0, alignment: 1 };

/** Functions of every sort; `f1` returns 1001, as the counter is 1. */
export function foreignTarget(processor: Processor, timeDateStamp = 0x4100_0000): BuiltImage {
  const wide = processor === 'x64';
  const operand = (from: number, to: number, address: bigint) =>
    u32(wide ? to - from : Number(address & 0xffff_ffffn));
  return (
    new ImageBuilder(processor, { ...OPTIONS, name: 'tgt.dll', timeDateStamp })
      .code(
        'f1',
        (layout) => {
          // mov eax, [counter]; add eax, 1000
          const load = wide ? [0x8b, 0x05] : [0xa1];
          const end = layout.rva('f1') + 2 + load.length + 4;
          const to = operand(end, layout.rva('counter'), layout.address('counter'));
          return [...EDI, ...load, ...to, 0x05, ...u32(1000), 0xc3];
        },
        wide ? PADDED : { ...PADDED, relocations: [3] },
      )
      .code('f2', [...EDI, ...returning(5013)], PADDED)
      .code('spin', [...EDI, 0x31, 0xc0, 0xc3], PADDED)
      .code('one5', returning(501), TIGHT)
      .code('push1', [0x6a, 0x55, 0x59, ...returning(502)], TIGHT)
      .code('onebyte', [0x51, 0x59, ...returning(504)], { padding: 6, alignment: 1 })
      .code('crowd', [...EDI, ...returning(503)], TIGHT)
      .code('cave', new Uint8Array(64).fill(0xcc), { padding: 0, alignment: 16 })
      .code(
        'viaTable',
        (layout) => [
          0xff,
          0x25,
          ...operand(layout.rva('viaTable') + 6, layout.rva('table'), layout.address('table')),
        ],
        wide ? PADDED : { ...PADDED, relocations: [2] },
      )
      // xor ecx, ecx; mov rax, 0: zeros that are code, right before a function
      .code(
        'fall',
        [0x31, 0xc9, ...(wide ? [0x48] : []), 0xb8, 0, 0, 0, 0, ...(wide ? [0, 0, 0, 0] : [])],
        PADDED,
      )
      .code('z', [...EDI, ...returning(601)], TIGHT)
      .data('counter', u32(1))
      .pointers('table', ['f1', 'f2'], { section: '.data' })
      .build()
  );
}

/** A hotpatch image without a section: new functions, room for `.hotp1`, and eight bytes of data. */
function bare(processor: Processor): BuiltImage {
  return new ImageBuilder(processor, { ...OPTIONS, name: 'hp.dll', functionPadding: 16 })
    .code('g1', [...EDI, ...returning(9001)])
    .code('g2', [...EDI, ...returning(9002)])
    .code('g3', [...EDI, ...returning(9003)])
    .code('gfix', new Uint8Array(64).fill(0xcc))
    .data('slot', new Uint8Array(64))
    .section('.hotp1', 0x4000_0040)
    .data('hotp1', new Uint8Array(3072), { section: '.hotp1' })
    .build();
}

export type Draft = Partial<Omit<ForeignSection, 'hotpatchBase'>> & Pick<ForeignSection, 'hooks'>;

/** Changes the file after the section was written. */
export type Change = (file: {
  readonly view: DataView;
  write(rva: number, bytes: readonly number[]): void;
  rva(name: string): number;
  readonly hotp1: number;
  /** Offset of the header of the section. */
  readonly sectionHeader: number;
  readonly imageBase: bigint;
}) => void;

export function foreignHotpatch(
  processor: Processor,
  target: BuiltImage,
  draft: (rva: (name: string) => number, sizeOfImage: number) => Draft,
  change: Change = () => undefined,
): PeImage {
  const built = bare(processor);
  const rva = (name: string) => built.rva(name);
  const { imageBase, sizeOfImage } = built.image.optionalHeader;
  const identity = new Uint8Array(8);
  new DataView(identity.buffer).setUint32(0, target.image.optionalHeader.checkSum, true);
  const section = encodeForeign(
    {
      identity,
      targetBase: target.image.optionalHeader.imageBase,
      ...draft(rva, sizeOfImage),
      hotpatchBase: imageBase,
    },
    rva('hotp1'),
  );
  const bytes = built.bytes.slice();
  const write = (at: number, values: Uint8Array | readonly number[]) =>
    bytes.set(values, built.image.rvaToOffset(at) ?? 0);
  write(rva('hotp1'), section);
  change({
    view: new DataView(bytes.buffer),
    write,
    rva,
    hotp1: built.image.rvaToOffset(rva('hotp1')) ?? 0,
    sectionHeader: Buffer.from(bytes).indexOf('.hotp1\0\0'),
    imageBase,
  });
  return readImage(bytes, { file: 'hp.dll' });
}
