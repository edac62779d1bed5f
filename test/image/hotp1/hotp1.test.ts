import fc from 'fast-check';
import {
  appendHotp1Section,
  encodeHotp1,
  HOTP1_HEADER_SIZE,
  HOTPATCH_HEADER,
  type Hotp1Input,
  ImageBuilder,
  type PeImage,
  peHeaderHash2,
  readHotp1,
  readImage,
} from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { hotp1Input } from './arbitraries.js';

const plain = new ImageBuilder('x86', { name: 'plain.dll', dll: true })
  .code('g', [0xb8, 1, 0, 0, 0, 0xc3])
  .build().image;

const withSection = (input: Hotp1Input): PeImage => appendHotp1Section(plain, input);

/** What must come back: regions are sorted by page, defaults filled in, RVAs chosen by the encoder resolved. */
function expected(input: Hotp1Input, image: PeImage) {
  const hotp1 = readHotp1(image);
  const pages = new Map<number, { rva: number; type: number }[]>();
  for (const fixup of (input.fixups ?? []).toSorted((a, b) => a.rva - b.rva)) {
    const page = fixup.rva - (fixup.rva % 0x1000);
    pages.set(page, [...(pages.get(page) ?? []), fixup]);
  }
  return {
    fixupRegions: [...pages].map(([rva, fixups]) => ({ rva, fixups })),
    validations: (input.validations ?? []).map(({ source, ...rest }, index) => ({
      ...rest,
      sourceRva: typeof source === 'number' ? source : hotp1?.validations[index]?.sourceRva,
    })),
    hooks: input.hooks.map(({ validation, ...hook }) => ({
      ...hook,
      validationRva: validation === undefined ? 0 : (hotp1?.validationArrayRva ?? 0) + 12 * validation,
    })),
    origHotpBaseAddress: input.origHotpBaseAddress,
    origTargetBaseAddress: input.origTargetBaseAddress,
    targetName: input.targetName,
    moduleIdMethod: input.moduleIdMethod,
    moduleIdValue: input.moduleIdValue,
  };
}

describe('the .hotp1 section', () => {
  it('reads back as it was written, whatever it says', () => {
    fc.assert(
      fc.property(hotp1Input, (input) => {
        const image = withSection(input);
        expect(readHotp1(image)).toMatchObject(expected(input, image));
      }),
      { numRuns: 150 },
    );
  });

  it('holds the expected bytes of its validations', () => {
    fc.assert(
      fc.property(hotp1Input, (input) => {
        const image = withSection(input);
        for (const [index, { sourceRva }] of (readHotp1(image)?.validations ?? []).entries()) {
          const { source } = input.validations?.[index] ?? {};
          if (source instanceof Uint8Array)
            expect(Array.from(image.read(sourceRva, source.length))).toEqual(Array.from(source));
        }
      }),
      { numRuns: 50 },
    );
  });

  it('is laid out as documented', () => {
    expect(HOTP1_HEADER_SIZE).toBe(0x50);
    expect(HOTPATCH_HEADER.fields.map(({ name, offset }) => [name, offset])).toEqual([
      ['signature', 0x00],
      ['version', 0x04],
      ['fixupRgnCount', 0x08],
      ['fixupRgnRva', 0x0c],
      ['validationCount', 0x10],
      ['validationArrayRva', 0x14],
      ['hookCount', 0x18],
      ['hookArrayRva', 0x1c],
      ['origHotpBaseAddress', 0x20],
      ['origTargetBaseAddress', 0x28],
      ['targetNameRva', 0x30],
      ['moduleIdMethod', 0x34],
    ]);
    const bytes = encodeHotp1(
      {
        hooks: [{ type: 2, options: 0x8005, hookRva: 0x1234, hotpRva: 0x5678, validation: 0 }],
        validations: [{ source: Uint8Array.of(1, 2), targetRva: 0x1111, optionFlags: 1 }],
        fixups: [{ rva: 0x2abc, type: 1 }],
        origHotpBaseAddress: 0x10000000n,
        origTargetBaseAddress: 0x400000n,
        targetName: 'a.dll',
        moduleIdMethod: 3,
        moduleIdValue: Uint8Array.of(0x78, 0x56, 0x34, 0x12),
      },
      0x5000,
    );
    const text = Buffer.from(bytes).toString('hex');
    expect(text).toBe(
      [
        '484f5431000001000100000050500000', // HOT1, version, one fixup region
        '01000000585000000100000064500000', // one validation, one hook
        '00000010000000000000400000000000', // original base addresses
        '7650000003000000', // target name, PeChecksum
        `${'78563412'.padEnd(48, '0')}`,
        '02002000bc1a0000', // page 2 (low 20 bits), 2 entries; VA32 at +0xabc, padding
        '74500000111100000200' + '0100',
        '0200058034120000785600005850' + '0000',
        '0102' + '612e646c6c00',
      ].join(''),
    );
  });

  it('is not there in other images', () => expect(readHotp1(plain)).toBeUndefined());

  it('refuses what has no place in it', () => {
    const input = {
      hooks: [],
      origHotpBaseAddress: 0n,
      origTargetBaseAddress: 0n,
      targetName: 'a',
      moduleIdMethod: 0,
    };
    const hook = { type: 0x10000, hookRva: 0, hotpRva: 0 };
    expect(() => encodeHotp1({ ...input, hooks: [hook] }, 0)).toThrow('hook 0, type: 65536');
    expect(() => encodeHotp1({ ...input, moduleIdValue: new Uint8Array(25) }, 0)).toThrow('25 bytes');
    const many = Array.from({ length: 4095 }, (_, rva) => ({ rva, type: 1 }));
    expect(() => encodeHotp1({ ...input, fixups: many }, 0)).toThrow('4095 fixups');
  });
});

describe('the hash of the PE headers', () => {
  it('is the same wherever the image would be loaded, and another one for another build', () => {
    const build = (options: { imageBase?: bigint; timeDateStamp?: number }) =>
      new ImageBuilder('x86', { name: 'a.dll', dll: true, ...options }).code('f', [0xc3]).build().bytes;
    const hash = (bytes: Uint8Array, change: (view: DataView) => void = () => undefined) => {
      const copy = bytes.slice();
      change(new DataView(copy.buffer));
      return Buffer.from(peHeaderHash2(readImage(copy, { file: 'a.dll' }))).toString('hex');
    };
    const bytes = build({});
    const optionalHeader = new DataView(bytes.buffer).getUint32(0x3c, true) + 24;
    expect(hash(bytes)).toHaveLength(40);
    expect(hash(bytes, (view) => view.setUint32(optionalHeader + 28, 0x7000000, true))).toBe(hash(bytes));
    expect(hash(build({ timeDateStamp: 0x60000001 }))).not.toBe(hash(bytes));
  });
});
