import { HotPatchError, Lab, type LoadedImage } from 'hotpatch-lab';
import { type HotPatchChunkInput, ImageBuilder, readImage } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';

/** Records that would reach what is none of the patch's, or come back for ever: refused before anything is stored. */

const ARCHITECTURES = ['x64', 'arm64', 'x86'] as const;
type Name = (typeof ARCHITECTURES)[number];

/** CAN_ROLL_BACK and the machine (HOT_PATCH_BASE_FLAG). */
const FLAGS: Readonly<Record<Name, number>> = { x64: 0x12, arm64: 0x0a, x86: 0x06 };
const u32 = (value: number) => [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, value >>> 24];
const movReturn = (value: number) => [0xb8, value, 0, 0, 0, 0xc3];
/** `return value;` */
const CODE: Readonly<Record<Name, (value: number) => number[]>> = {
  x64: movReturn,
  x86: movReturn,
  arm64: (value) => [...u32(0x5280_0000 | (value << 5)), ...u32(0xd65f_03c0)],
};
/** Offset of SizeOfImage behind the PE signature: the same in PE32 and PE32+. */
const SIZE_OF_IMAGE = 24 + 56;

type Rva = (name: string) => number;
type Chunks = (patch: Rva, base: Rva, sizeOfPatch: number) => readonly HotPatchChunkInput[];

interface Setting {
  /** Bytes that the base claims behind its last section. */
  readonly tail?: number;
}

function setUp(architecture: Name, chunks: Chunks, { tail = 0 }: Setting = {}) {
  const parts = (name: string, value: number) =>
    new ImageBuilder(architecture, { name, dll: true })
      .code('f', CODE[architecture](value))
      .code('g', CODE[architecture](7), { alignment: 16 })
      .data('pointer', new Uint8Array(64))
      .export('f')
      .export('g')
      .guardFunctions(['f', 'g'])
      .loadConfig();
  const base = parts('base.dll', 1).build();
  const bytes = Buffer.from(base.bytes);
  const field = bytes.readUInt32LE(0x3c) + SIZE_OF_IMAGE;
  bytes.writeUInt32LE(bytes.readUInt32LE(field) + tail, field);
  const image = readImage(bytes, { file: 'base.dll' });
  const size = parts('patch.dll', 2).build().image.optionalHeader.sizeOfImage;
  const patch = parts('patch.dll', 2)
    .hotPatchTable((layout) => ({
      sequenceNumber: 1,
      bases: [
        {
          flags: FLAGS[architecture],
          originalCheckSum: image.optionalHeader.checkSum,
          originalTimeDateStamp: image.fileHeader.timeDateStamp,
          chunks: [
            ...chunks(
              (name) => layout.rva(name),
              (name) => base.rva(name),
              size,
            ),
            {
              direction: 'forward',
              type: 'FUNCTION',
              records: [{ rva: base.rva('f'), target: layout.rva('f') }],
            },
          ],
        },
      ],
    }))
    .build();
  const lab = Lab.boot({ architecture, kernelControlFlowGuard: true });
  const loaded = lab.kernel.loadImage(image, { initialize: false });
  return {
    lab,
    loaded,
    load: () => lab.engine.load(readImage(patch.bytes, { file: 'patch.dll' })),
    [Symbol.dispose]: () => lab[Symbol.dispose](),
  };
}

/** Refused with this, and the base runs what it ran. */
function expectRefusal(
  { lab, loaded, load }: { lab: Lab; loaded: LoadedImage; load: () => unknown },
  rule: string,
  status: readonly [name: string, value: number],
  record = 'chunk 0, record 0',
): void {
  expect(load).toThrow(HotPatchError);
  expect(load).toThrow(
    expect.objectContaining({
      rule,
      status: { name: status[0], value: status[1] },
      image: 'patch.dll',
      place: expect.stringContaining(record),
    }),
  );
  expect(lab.call(loaded.symbol('f'))).toBe(1);
  expect(loaded.codeBytes()).toEqual(loaded.codeBytesBeforePatch);
  expect(loaded.domain.images).toEqual([loaded]);
}

const FORMAT = ['STATUS_INVALID_IMAGE_FORMAT', 0xc000007b] as const;
const CONFLICT = ['STATUS_CONFLICTING_ADDRESSES', 0xc0000018] as const;

describe.each(ARCHITECTURES)('records are refused on %s', (architecture) => {
  it.each([
    ['the first byte behind the patch image', (size: number) => size],
    ['an image 16 MB above it', () => 0x100_0000],
    ['the last RVA there is', () => 0xffff_fff0],
  ])('NO_CALL_TARGET of %s: call targets of others stay', (_what, rva) => {
    using machine = setUp(architecture, (_patch, _base, size) => [
      {
        direction: 'backward',
        type: 'NO_CALL_TARGET',
        records: [{ rva: rva(size), target: rva(size) }],
      },
    ]);
    const { guard } = machine.loaded.domain;
    expect(guard.isValidTarget(machine.loaded.symbol('g'))).toBe(true);
    expectRefusal(machine, 'record.target', FORMAT);
    expect(guard.isValidTarget(machine.loaded.symbol('g'))).toBe(true);
  });

  it('NO_CALL_TARGET whose location alone lies outside', () => {
    using machine = setUp(architecture, () => [
      { direction: 'backward', type: 'NO_CALL_TARGET', records: [{ rva: 0x100_0000, target: 0x1000 }] },
    ]);
    expectRefusal(machine, 'record.extent', FORMAT);
  });

  it('DYNAMIC_VALUE twice at one place', () => {
    using machine = setUp(architecture, (patch) => [
      {
        direction: 'backward',
        type: 'DYNAMIC_VALUE',
        records: [
          { rva: patch('pointer'), target: 0 },
          { rva: patch('pointer'), target: 0 },
        ],
      },
    ]);
    expectRefusal(machine, 'record.duplicate', CONFLICT, 'chunk 0, record 1');
  });

  it('DYNAMIC_VALUE over the second half of a pointer', () => {
    using machine = setUp(architecture, (patch, base) => [
      { direction: 'backward', type: 'ABSOLUTE', records: [{ rva: patch('pointer'), target: base('f') }] },
      { direction: 'backward', type: 'DYNAMIC_VALUE', records: [{ rva: patch('pointer') + 2, target: 0 }] },
    ]);
    expectRefusal(machine, 'record.duplicate', CONFLICT, 'chunk 1, record 0');
  });

  it('DYNAMIC_VALUE over the jump that a callee gets', () => {
    using machine = setUp(architecture, (patch, base) => [
      { direction: 'backward', type: 'FUNCTION', records: [{ rva: patch('g'), target: base('g') }] },
      { direction: 'backward', type: 'DYNAMIC_VALUE', records: [{ rva: patch('g'), target: 0 }] },
    ]);
    expectRefusal(machine, 'record.duplicate', CONFLICT, 'chunk 1, record 0');
  });

  it.each([
    ['in the middle of it', 0x1000],
    ['at its end', 0x4000 - 8],
  ])('INDIRECT to a part of the base that is not mapped, %s', (_where, into) => {
    using machine = setUp(
      architecture,
      (patch, base) => [
        {
          direction: 'backward',
          type: 'INDIRECT',
          records: [
            { rva: patch('pointer'), target: Math.ceil(base('pointer') / 0x1000) * 0x1000 + 0x1000 + into },
          ],
        },
      ],
      { tail: 0x8000 },
    );
    expectRefusal(machine, 'record.target', FORMAT);
  });

  it('a backward FUNCTION to a part of the base that is not mapped', () => {
    using machine = setUp(
      architecture,
      (patch, base) => [
        {
          direction: 'backward',
          type: 'FUNCTION',
          records: [{ rva: patch('g'), target: Math.ceil(base('pointer') / 0x1000) * 0x1000 + 0x2000 }],
        },
      ],
      { tail: 0x8000 },
    );
    expectRefusal(machine, 'record.targetCode', ['STATUS_INVALID_PAGE_PROTECTION', 0xc0000045]);
  });

  it('a backward FUNCTION to the entry of a function that leads into the patch', () => {
    using machine = setUp(architecture, (patch, base) => [
      { direction: 'backward', type: 'FUNCTION', records: [{ rva: patch('g'), target: base('f') }] },
    ]);
    expectRefusal(machine, 'record.pingPong', CONFLICT);
  });
});

// ARM64 has no jump before the entry.
describe.each(['x64', 'x86'] as const)(
  'the padding of a patched function is no target on %s',
  (architecture) => {
    it.each([1, 2, 3, 4, 5, 6])('%i byte(s) before the entry', (distance) => {
      using machine = setUp(architecture, (patch, base) => [
        {
          direction: 'backward',
          type: 'FUNCTION',
          records: [{ rva: patch('g'), target: base('f') - distance }],
        },
      ]);
      expectRefusal(machine, 'record.pingPong', CONFLICT);
    });

    it('what lies before the padding is nobody’s', () => {
      using machine = setUp(architecture, (patch, base) => [
        { direction: 'backward', type: 'FUNCTION', records: [{ rva: patch('g'), target: base('g') }] },
      ]);
      expect(machine.load()).toMatchObject({ state: 'applied' });
      expect(machine.lab.call(machine.loaded.symbol('f'))).toBe(2);
    });
  },
);
