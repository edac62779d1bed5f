import { afterAll, describe, expect, test } from 'vitest';
import {
  appendHotPatchTable,
  encodeHotPatchTable,
  HOT_PATCH_RULES,
  type HotPatchChunkInput,
  type HotPatchTableInput,
  type ImageArchitecture,
  ImageBuilder,
  type PeImage,
  readImage,
  validateHotPatch,
} from '../../image/index.js';

const RET: Record<ImageArchitecture, number[]> = {
  x64: [0x66, 0x90, 0xc3],
  x86: [0x66, 0x90, 0xc3],
  arm64: [0xc0, 0x03, 0x5f, 0xd6],
};

function builder(architecture: ImageArchitecture, name: string): ImageBuilder {
  return new ImageBuilder(architecture, { name })
    .code('first', RET[architecture])
    .code('second', RET[architecture])
    .data('variable', new Uint8Array(64))
    .pointers('slots', ['variable', 'first'])
    .loadConfig();
}

const baseOf = (architecture: ImageArchitecture) => builder(architecture, 'base.sys').build();
const x64Base = baseOf('x64');

interface Change {
  architecture?: ImageArchitecture;
  table?: Partial<HotPatchTableInput>;
  base?: Partial<HotPatchTableInput['bases'][number]>;
  chunks?: readonly HotPatchChunkInput[];
  /** Changes the bytes of the encoded table, given as 32-bit words. */
  words?: (words: Uint32Array) => void;
  /** Changes the finished image. */
  image?: (bytes: Uint8Array, image: PeImage) => void;
}

const FIRST = x64Base.rva('first');
const SECOND = x64Base.rva('second');
const VARIABLE = x64Base.rva('variable');
const forward = (...records: HotPatchChunkInput['records'][number][]): HotPatchChunkInput => ({
  direction: 'forward',
  type: 'FUNCTION',
  records,
});
const backward = (
  type: HotPatchChunkInput['type'],
  ...records: HotPatchChunkInput['records'][number][]
): HotPatchChunkInput => ({
  direction: 'backward',
  type,
  records,
});

/** A valid hotpatch image for `baseOf`, with a change. */
function patchWith(change: Change = {}): PeImage {
  const architecture = change.architecture ?? 'x64';
  const base = baseOf(architecture).image;
  const fixed = builder(architecture, 'patch.sys').build().image;
  const table = encodeHotPatchTable({
    sequenceNumber: 1,
    ...change.table,
    bases: change.table?.bases ?? [
      {
        originalTimeDateStamp: base.fileHeader.timeDateStamp,
        originalCheckSum: base.optionalHeader.checkSum,
        chunks: change.chunks ?? [
          forward({ rva: FIRST, target: FIRST }),
          backward('ABSOLUTE', { rva: VARIABLE, target: VARIABLE }),
        ],
        ...change.base,
      },
    ],
  });
  change.words?.(new Uint32Array(table.buffer));
  const bytes = appendHotPatchTable(fixed, table);
  change.image?.(bytes, readImage(bytes));
  return readImage(bytes, { file: 'patch.sys' });
}

const INFO = {
  version: 0,
  size: 1,
  sequenceNumber: 2,
  baseImageList: 3,
  baseImageCount: 4,
  bufferOffset: 5,
} as const;
/** Indexes into the words of a version 4 table with one base. */
const BASE = 10;
const CHUNK = BASE + 8;

function setU32(bytes: Uint8Array, offset: number, value: number): void {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(offset, value, true);
}

const loadConfigOffset = (image: PeImage) => image.rvaToOffset(image.loadConfig?.rva ?? 0) ?? 0;
const directoryOffset = (image: PeImage, index: number) =>
  image.headers.sectionTableOffset - 8 * 16 + 8 * index;

/** For each rule: a hotpatch image that breaks it, the place that is named, and further rules that fall with it. */
const cases: readonly [
  rule: string,
  change: Change,
  place: string | RegExp,
  alsoBroken?: readonly string[],
][] = [
  [
    'image.machine',
    { image: (bytes, image) => bytes.set([0xc4, 0x01], image.headers.fileHeaderOffset) },
    'file header +0x0',
  ],
  [
    'loadConfig.absent',
    { image: (bytes, image) => setU32(bytes, directoryOffset(image, 10), 0) },
    'data directory 10',
  ],
  [
    'loadConfig.directorySize',
    { image: (bytes, image) => setU32(bytes, directoryOffset(image, 10) + 4, 0x70) },
    'data directory 10',
  ],
  [
    'loadConfig.size',
    { image: (bytes, image) => setU32(bytes, loadConfigOffset(image), 0xf0) },
    'load config +0x0',
    ['loadConfig.directorySize'],
  ],
  [
    'loadConfig.bounds',
    { image: (bytes, image) => setU32(bytes, loadConfigOffset(image), 0x100000) },
    'load config +0x0',
    ['loadConfig.directorySize'],
  ],
  [
    'hotPatch.absent',
    { image: (bytes, image) => setU32(bytes, loadConfigOffset(image) + 0xf0, 0) },
    'load config +0xf0',
  ],
  [
    'hotPatch.offset',
    { image: (bytes, image) => setU32(bytes, loadConfigOffset(image) + 0xf0, 0xfffffff8) },
    'load config +0xf0',
  ],
  ['hotPatch.version', { words: (words) => words.set([5], INFO.version) }, 'hotpatch table +0x0'],
  ['hotPatch.size', { words: (words) => words.set([0x23], INFO.size) }, 'hotpatch table +0x4'],
  ['hotPatch.bounds', { words: (words) => words.set([0x10000], INFO.size) }, 'hotpatch table +0x4'],
  ['hotPatch.sequenceNumber', { table: { sequenceNumber: 0 } }, 'hotpatch table'],
  ['hotPatch.flags', { table: { flags: 4 } }, 'hotpatch table'],
  ['hotPatch.hotSwap', { table: { flags: 2 } }, 'hotpatch table'],
  ['hotPatch.bufferOffset', { table: { bufferOffset: 0x1000 } }, 'hotpatch table'],
  [
    'hotPatch.baseImageList',
    { words: (words) => words.set([0xfffffffc], INFO.baseImageList) },
    'hotpatch table +0xc',
  ],
  ['hotPatch.baseImageCount', { table: { bases: [] } }, 'hotpatch table'],
  [
    'base.bounds',
    { words: (words) => words.set([words[INFO.size] ?? 0], BASE - 1) },
    'hotpatch table, base 0',
  ],
  ['base.flags', { base: { flags: 0x20 } }, 'hotpatch table, base 0'],
  ['base.machine', { base: { flags: 8 } }, 'hotpatch table, base 0'],
  [
    'base.codeIntegrity',
    { words: (words) => words.set([0x40, 0x1000], BASE + 4) },
    'hotpatch table, base 0 +0x10',
  ],
  ['base.bufferOffset', { base: { bufferOffset: 0x1000 } }, 'hotpatch table, base 0'],
  [
    'base.patchTable',
    { words: (words) => words.set([words[INFO.size] ?? 0], BASE + 6) },
    'hotpatch table, base 0 +0x18',
  ],
  [
    'image.chpe',
    { image: (bytes, image) => setU32(bytes, loadConfigOffset(image) + 0xc8, 1) },
    'load config',
  ],
  [
    'chunk.header',
    { words: (words) => words.set([0x8001c000], words.length - 1) },
    'hotpatch table, base 0, chunk 3',
  ],
  ['chunk.bounds', { words: (words) => words.set([0x1c0ff], CHUNK) }, 'hotpatch table, base 0, chunk 0'],
  ['chunk.reserved', { words: (words) => words.set([0x0001d001], CHUNK) }, 'hotpatch table, base 0, chunk 0'],
  ['chunk.type', { words: (words) => words.set([0x8008c001], CHUNK) }, 'hotpatch table, base 0, chunk 0'],
  ['chunk.noExtent', { words: (words) => words.set([0x8006c001], CHUNK) }, 'hotpatch table, base 0, chunk 0'],
  ['chunk.rvaBits', { words: (words) => words.set([0x80018001], CHUNK) }, 'hotpatch table, base 0, chunk 0'],
  [
    'chunk.obligatory',
    { chunks: [{ ...forward({ rva: FIRST, target: FIRST }), obligatory: true }] },
    'hotpatch table, base 0, chunk 0',
  ],
  [
    'chunk.forwardIndirect',
    { chunks: [{ direction: 'forward', type: 'INDIRECT', records: [{ rva: VARIABLE, target: VARIABLE }] }] },
    'hotpatch table, base 0, chunk 0',
  ],
  [
    'chunk.forward',
    { chunks: [{ direction: 'forward', type: 'ABSOLUTE', records: [{ rva: VARIABLE, target: VARIABLE }] }] },
    'hotpatch table, base 0, chunk 0',
  ],
  [
    'record.function',
    { chunks: [forward({ rva: 0xc, target: FIRST })] },
    'hotpatch table, base 0, chunk 0, record 0',
  ],
  ['record.extent', { chunks: [backward('REL32', { rva: 0x100000, target: FIRST })] }, /chunk 0, record 0$/],
  [
    'record.target',
    { chunks: [backward('ABSOLUTE', { rva: VARIABLE, target: 0xfffffffc })] },
    /chunk 0, record 0$/,
  ],
  [
    'record.dynamicValue',
    { chunks: [backward('DYNAMIC_VALUE', { rva: VARIABLE, target: 0xffffffff })] },
    /record 0$/,
  ],
  ['record.section', { chunks: [backward('ABSOLUTE', { rva: 0x80, target: VARIABLE })] }, /record 0$/],
  ['record.section', { chunks: [forward({ rva: 0x1004, target: FIRST })] }, /record 0$/],
  ['record.code', { chunks: [forward({ rva: VARIABLE + 16, target: FIRST })] }, /record 0$/],
  ['record.targetCode', { chunks: [forward({ rva: FIRST, target: VARIABLE })] }, /record 0$/],
  [
    'record.alignment',
    {
      architecture: 'arm64',
      chunks: [forward({ rva: baseOf('arm64').rva('first') + 2, target: baseOf('arm64').rva('first') })],
    },
    /record 0$/,
  ],
  [
    'record.callTarget',
    { chunks: [backward('CALL_TARGET', { rva: FIRST + 8, target: FIRST + 8 })] },
    /record 0$/,
  ],
  [
    'record.duplicate',
    { chunks: [forward({ rva: FIRST, target: FIRST }, { rva: FIRST, target: SECOND })] },
    /record 1$/,
  ],
  [
    'record.pingPong',
    {
      chunks: [forward({ rva: FIRST, target: FIRST }), backward('FUNCTION', { rva: SECOND, target: FIRST })],
    },
    /chunk 1, record 0$/,
  ],
  [
    'record.originalBytes',
    {
      table: { extraPatchSize: 1 },
      chunks: [forward({ rva: FIRST, target: FIRST, originalBytes: Uint8Array.of(0x66, 0x91) })],
    },
    /record 0$/,
  ],
  [
    'identity.checkSum',
    { base: { originalCheckSum: x64Base.image.optionalHeader.checkSum + 1 } },
    'hotpatch table, base 0',
  ],
  ['identity.timeDateStamp', { base: { originalTimeDateStamp: 0x5f000001 } }, 'hotpatch table, base 0'],
  [
    'identity.hash',
    { base: { hashes: { sha256: new Uint8Array(32), sha1: new Uint8Array(20) } } },
    'hotpatch table, base 0',
  ],
];

describe('a rule for each way in which a hotpatch image can be wrong', () => {
  const covered = new Set<string>();

  test.each(cases)('%s', (rule, change, place, alsoBroken = []) => {
    const patch = patchWith(change);
    const base = baseOf(change.architecture ?? 'x64').image;
    const findings = validateHotPatch(patch, base);
    expect(findings.map((found) => found.rule).sort()).toEqual([rule, ...alsoBroken].sort());
    const found = findings.find((candidate) => candidate.rule === rule);
    if (typeof place === 'string') expect(found?.place).toBe(place);
    else expect(found?.place).toMatch(place);
    covered.add(rule);
  });

  test('identity.machine: a patch for another machine', () => {
    const found = validateHotPatch(patchWith(), baseOf('arm64').image);
    expect(found.map(({ rule, status }) => [rule, status.name])).toContainEqual([
      'identity.machine',
      'STATUS_BAD_DEVICE_TYPE',
    ]);
    covered.add('identity.machine');
  });

  test('record.relocation: a base relocation changes the expected bytes', () => {
    const code = [0xa1, 0, 0, 0, 0, 0xc3]; // mov eax,[address]; ret
    const image = new ImageBuilder('x86')
      .code('reads', code, { relocations: [1] })
      .loadConfig()
      .build();
    const { fileHeader, optionalHeader } = image.image;
    const table = encodeHotPatchTable({
      sequenceNumber: 1,
      extraPatchSize: 1,
      bases: [
        {
          originalTimeDateStamp: fileHeader.timeDateStamp,
          originalCheckSum: optionalHeader.checkSum,
          chunks: [
            forward({
              rva: image.rva('reads'),
              target: image.rva('reads'),
              originalBytes: Uint8Array.from(code.slice(0, 4)),
            }),
          ],
        },
      ],
    });
    const patch = readImage(appendHotPatchTable(image.image, table));
    expect(validateHotPatch(patch, image.image).map(({ rule, severity }) => [rule, severity])).toEqual([
      ['record.relocation', 'warning'],
    ]);
    covered.add('record.relocation');
  });

  test.each(['x64', 'arm64', 'x86'] as const)('a valid patch for %s breaks none', (architecture) => {
    const base = baseOf(architecture);
    const originalBytes = Uint8Array.from(RET[architecture]);
    const chunks = [
      forward({ rva: base.rva('first'), target: base.rva('first'), originalBytes }),
      backward('FUNCTION', { rva: base.rva('second'), target: base.rva('second'), originalBytes }),
      backward('ABSOLUTE', { rva: base.rva('variable'), target: base.rva('variable') }),
      backward('INDIRECT', { rva: base.rva('variable') + 8, target: base.rva('slots') }),
      backward('CALL_TARGET', { rva: base.rva('second'), target: base.rva('second') }),
    ];
    expect(
      validateHotPatch(patchWith({ architecture, chunks, table: { extraPatchSize: 1 } }), base.image),
    ).toEqual([]);
  });

  afterAll(() => {
    expect([...covered].sort()).toEqual(HOT_PATCH_RULES.map(({ id }) => id).sort());
  });
});
