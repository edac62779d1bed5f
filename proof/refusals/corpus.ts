import type { HotPatchBaseInput, HotPatchChunkInput } from '../../image/index.js';
import { type Damage, type Draft, forward, MANY, record } from './damage.js';

/** Offsets in a table of version 4 with one base and one chunk (winnt.h; docs/fidelity.md#the-hotpatch-table). */
const INFO = {
  version: 0x00,
  size: 0x04,
  sequenceNumber: 0x08,
  baseImageList: 0x0c,
  baseImageCount: 0x10,
  bufferOffset: 0x14,
  extraPatchSize: 0x18,
  flags: 0x20,
};
const BASE_LIST = 0x24;
const BASE = {
  flags: 0x2c,
  codeIntegrityInfo: 0x38,
  codeIntegritySize: 0x3c,
  patchTable: 0x40,
  bufferOffset: 0x44,
};
const CHUNK = 0x48;
const END = 0x54;

const hex = (value: number): string => `0x${(value >>> 0).toString(16)}`;

/** One dword of the table is another one. */
const dword = (what: string, offset: number, value: number, rule: string): Damage => ({
  name: `${what} is ${hex(value)}`,
  rule,
  file: ({ view, table }) => view.setUint32(table + offset, value, true),
});

const dwords = (what: string, offset: number, rule: string, ...values: number[]): Damage[] =>
  values.map((value) => dword(what, offset, value, rule));

const withBase =
  (
    change: (draft: Draft, base: HotPatchBaseInput) => Partial<HotPatchBaseInput>,
  ): NonNullable<Damage['table']> =>
  (draft) => ({
    ...draft.table,
    bases: draft.table.bases.map((base) => ({ ...base, ...change(draft, base) })),
  });

const withChunks = (chunks: (draft: Draft) => readonly HotPatchChunkInput[]) =>
  withBase((draft) => ({ chunks: chunks(draft) }));

const one = (
  direction: 'forward' | 'backward',
  type: HotPatchChunkInput['type'],
  records: HotPatchChunkInput['records'],
): HotPatchChunkInput => ({ direction, type, records });

const FUNCTION = 0x0001c000;
const header = (bits: number): number => (FUNCTION | bits | 1) >>> 0;

const infoDamages: readonly Damage[] = [
  ...dwords('version', INFO.version, 'hotPatch.version', 0, 5, 0x10000, 0xffffffff),
  ...dwords('Size', INFO.size, 'hotPatch.size', 0, 0x13, 0x23),
  ...dwords('Size', INFO.size, 'hotPatch.bounds', 0x10000, 0x7fffffff, 0xffffffff),
  dword('SequenceNumber', INFO.sequenceNumber, 0, 'hotPatch.sequenceNumber'),
  ...dwords(
    'BaseImageList',
    INFO.baseImageList,
    'hotPatch.baseImageList',
    0x58,
    0x1000,
    0xfffffffc,
    0xffffffff,
  ),
  dword('BaseImageCount', INFO.baseImageCount, 0, 'hotPatch.baseImageCount'),
  ...dwords('BaseImageCount', INFO.baseImageCount, 'hotPatch.baseImageList', 0x100, 0x40000000, 0xffffffff),
  ...dwords('BufferOffset', INFO.bufferOffset, 'hotPatch.bufferOffset', 0x58, 0x1000, 0xffffffff),
  ...dwords('ExtraPatchSize', INFO.extraPatchSize, 'chunk.bounds', 2, 0x1000, 0x3fffffff),
  ...dwords('flags', INFO.flags, 'hotPatch.flags', 4, 8, 0x80000000),
  dword('flags', INFO.flags, 2, 'hotPatch.hotSwap'),
];

const baseDamages: readonly Damage[] = [
  ...dwords('base offset', BASE_LIST, 'base.bounds', 0x3c, 0x1000, 0xfffffff0, 0xffffffff),
  ...dwords('base flags', BASE.flags, 'base.flags', 0x20, 0x40, 0x80000000),
  ...dwords('base flags of another machine', BASE.flags, 'base.machine', 0x04, 0x08, 0x0c),
  {
    name: 'code integrity outside',
    rule: 'base.codeIntegrity',
    file: ({ view, table }) => {
      view.setUint32(table + BASE.codeIntegrityInfo, 0x1000, true);
      view.setUint32(table + BASE.codeIntegritySize, 52, true);
    },
  },
  {
    name: 'code integrity wraps',
    rule: 'base.codeIntegrity',
    file: ({ view, table }) => {
      view.setUint32(table + BASE.codeIntegrityInfo, 0xfffffff0, true);
      view.setUint32(table + BASE.codeIntegritySize, 52, true);
    },
  },
  ...dwords('PatchTable', BASE.patchTable, 'base.patchTable', 0x58, 0x1000, 0xfffffffc, 0xffffffff),
  ...dwords('base BufferOffset', BASE.bufferOffset, 'base.bufferOffset', 0x58, 0xffffffff),
  {
    name: 'wrong SHA-256 of the base file',
    rule: 'identity.hash',
    table: withBase(() => ({ hashes: { sha256: new Uint8Array(32).fill(1), sha1: new Uint8Array(20) } })),
  },
  {
    name: 'two bases',
    rule: 'hotPatch.baseImageCount',
    table: ({ table }) => ({ ...table, bases: [...table.bases, ...table.bases] }),
  },
];

const chunkDamages: readonly Damage[] = [
  ...[0x1000, 0x2000, 0x100000, 0x400000, 0x2000000, 0x8000000, 0x20000000].map((bit) =>
    dword('RESERVED bit', CHUNK, header(bit), 'chunk.reserved'),
  ),
  ...[8, 9, 12, 15].map((type) => dword('type', CHUNK, ((type << 16) | 0xc001) >>> 0, 'chunk.type')),
  dword('OBLIGATORY', CHUNK, header(0x40000000), 'chunk.obligatory'),
  dword('FUNCTION without SOURCE_RVA', CHUNK, 0x00014001, 'chunk.rvaBits'),
  dword('FUNCTION without TARGET_RVA', CHUNK, 0x00018001, 'chunk.rvaBits'),
  ...[2, 0x10, 0xfff].map((count) => dword('record count', CHUNK, (FUNCTION | count) >>> 0, 'chunk.bounds')),
  dword('end of the stream', END, 0x0001c001, 'chunk.bounds'),
  ...(['ABSOLUTE', 'REL32', 'CALL_TARGET', 'NO_CALL_TARGET', 'DYNAMIC_VALUE'] as const).map(
    (type): Damage => ({
      name: `forward ${type}`,
      rule: 'chunk.forward',
      table: withChunks(({ base, layout }) => [
        one('forward', type, [record(base.rva('f'), layout.rva('g'))]),
      ]),
    }),
  ),
  {
    name: 'forward INDIRECT',
    rule: 'chunk.forwardIndirect',
    table: withChunks(({ base, layout }) => [
      one('forward', 'INDIRECT', [record(base.rva('table'), layout.rva('variable'))]),
    ]),
  },
];

const forwardTo = (what: string, rule: string, rva: (draft: Draft) => number): Damage => ({
  name: `forward from ${what}`,
  rule,
  table: withChunks((draft) => [forward(record(rva(draft), draft.layout.rva('g')))]),
});

const targetOf = (what: string, rule: string, rva: (draft: Draft) => number): Damage => ({
  name: `target ${what}`,
  rule,
  table: withChunks((draft) => [forward(record(draft.base.rva('f'), rva(draft)))]),
});

const backward = (
  what: string,
  type: HotPatchChunkInput['type'],
  rule: string,
  to: (draft: Draft) => [number, number],
): Damage => ({
  name: `backward ${type} ${what}`,
  rule,
  table: withChunks((draft) => [
    one('backward', type, [record(...to(draft))]),
    forward(record(draft.base.rva('f'), draft.layout.rva('g'))),
  ]),
});

const sizeOf = ({ base }: Draft): number => base.image.optionalHeader.sizeOfImage;

const recordDamages: readonly Damage[] = [
  ...[0, 1, 0xf].map((rva) => forwardTo(hex(rva), 'record.function', () => rva)),
  forwardTo('the last byte of the image', 'record.function', (draft) => sizeOf(draft) - 1),
  ...[0xffffffff, 0xfffffffe, 0x80000000].map((rva) => forwardTo(hex(rva), 'record.function', () => rva)),
  forwardTo('the headers', 'record.section', () => 0x100),
  forwardTo('data', 'record.code', ({ base }) => base.rva('table') + 8),
  forwardTo('constants', 'record.code', ({ base }) => base.rva('constant') + 16),
  forwardTo(
    'the first byte of the code, whose padding is in the headers',
    'record.section',
    ({ base }) => base.image.sections[0]?.virtualAddress ?? 0,
  ),
  targetOf('in data', 'record.targetCode', ({ layout }) => layout.rva('variable')),
  targetOf('in constants', 'record.targetCode', ({ layout }) => layout.rva('constant')),
  targetOf('in the headers', 'record.targetCode', () => 0x40),
  ...[0x100000, 0x7fffffff, 0xfffffff9, 0xffffffff].map((rva) =>
    targetOf(hex(rva), 'record.target', () => rva),
  ),
  {
    name: 'other bytes at the entry',
    rule: 'record.originalBytes',
    table: (draft) => ({
      ...withChunks(({ base, layout }) => [
        forward(record(base.rva('f'), layout.rva('g'), Uint8Array.of(0x90, 0x90))),
      ])(draft),
      extraPatchSize: 1,
    }),
  },
  {
    name: 'one bit of the entry differs',
    rule: 'record.originalBytes',
    table: (draft) => ({
      ...withChunks(({ base, layout }) => [
        forward(record(base.rva('f'), layout.rva('g'), Uint8Array.of(0xb8, 0x00))),
      ])(draft),
      extraPatchSize: 1,
    }),
  },
  {
    name: 'the same function twice',
    rule: 'record.duplicate',
    table: withChunks(({ base, layout }) => [
      forward(record(base.rva('f'), layout.rva('g')), record(base.rva('f'), layout.rva('g'))),
    ]),
  },
  {
    name: 'the same function twice, in two chunks',
    rule: 'record.duplicate',
    table: withChunks(({ base, layout }) => [
      forward(record(base.rva('f'), layout.rva('g'))),
      forward(record(base.rva('f'), layout.rva('stub'))),
    ]),
  },
  ...[1, 5, 7].map(
    (distance): Damage => ({
      name: `two functions ${distance} bytes apart`,
      rule: 'record.duplicate',
      table: withChunks(({ base, layout }) => [
        forward(record(base.rva('f'), layout.rva('g')), record(base.rva('f') + distance, layout.rva('g'))),
      ]),
    }),
  ),
  {
    name: 'forward and back again',
    rule: 'record.pingPong',
    table: withChunks(({ base, layout }) => [
      one('backward', 'FUNCTION', [record(layout.rva('stub'), base.rva('f'))]),
      forward(record(base.rva('f'), layout.rva('g'))),
    ]),
  },
  backward('from data', 'FUNCTION', 'record.code', ({ base, layout }) => [
    layout.rva('variable') + 8,
    base.rva('h'),
  ]),
  backward('to data', 'FUNCTION', 'record.targetCode', ({ base, layout }) => [
    layout.rva('stub'),
    base.rva('table'),
  ]),
  backward('outside', 'FUNCTION', 'record.function', ({ base }) => [0x7fffffff, base.rva('h')]),
  backward('to the end of the base', 'ABSOLUTE', 'record.target', (draft) => [
    draft.layout.rva('variable'),
    sizeOf(draft) - 4,
  ]),
  backward('far outside', 'ABSOLUTE', 'record.extent', ({ base }) => [0x7ffffff0, base.rva('table')]),
  backward('in the headers', 'ABSOLUTE', 'record.section', ({ base }) => [0x100, base.rva('table')]),
  backward('outside', 'INDIRECT', 'record.extent', ({ base }) => [0xfffffff0, base.rva('table')]),
  backward('from outside', 'INDIRECT', 'record.target', ({ layout }) => [layout.rva('variable'), 0x7fffffff]),
  backward('outside', 'REL32', 'record.extent', ({ base }) => [0xfffffffd, base.rva('h')]),
  backward('to outside', 'REL32', 'record.target', ({ layout }) => [layout.rva('variable'), 0xfffffff0]),
  backward('index -1', 'DYNAMIC_VALUE', 'record.dynamicValue', ({ layout }) => [
    layout.rva('variable'),
    0xffffffff,
  ]),
  ...[1, 8, 15].map((by) =>
    backward(`${by} bytes off`, 'CALL_TARGET', 'record.callTarget', ({ layout }) => [
      layout.rva('g') + by,
      layout.rva('g') + by,
    ]),
  ),
  {
    name: 'overlapping pointers',
    rule: 'record.duplicate',
    table: withChunks(({ base, layout }) => [
      one('backward', 'ABSOLUTE', [
        record(layout.rva('variable'), base.rva('table')),
        record(layout.rva('variable') + 4, base.rva('table')),
      ]),
      forward(record(base.rva('f'), layout.rva('g'))),
    ]),
  },
];

const imageDamages: readonly Damage[] = [
  {
    name: 'no load configuration',
    rule: 'loadConfig.absent',
    file: ({ view, loadConfigDirectory }) => view.setBigUint64(loadConfigDirectory, 0n, true),
  },
  ...[0, 0xf3, 0x1000].map(
    (size): Damage => ({
      name: `directory size ${hex(size)}`,
      rule: 'loadConfig.directorySize',
      file: ({ view, loadConfigDirectory }) => view.setUint32(loadConfigDirectory + 4, size, true),
    }),
  ),
  {
    name: 'load configuration too short',
    rule: 'loadConfig.size',
    file: ({ view, loadConfig, loadConfigDirectory }) => {
      view.setUint32(loadConfig, 0xf0, true);
      view.setUint32(loadConfigDirectory + 4, 0xf0, true);
    },
  },
  {
    name: 'no HotPatchTableOffset',
    rule: 'hotPatch.absent',
    file: ({ view, loadConfig }) => view.setUint32(loadConfig + 0xf0, 0, true),
  },
  ...[0xfffffff8, 0xffffffff, 0x00ffffff].map(
    (offset): Damage => ({
      name: `HotPatchTableOffset ${hex(offset)}`,
      rule: 'hotPatch.offset',
      file: ({ view, loadConfig }) => view.setUint32(loadConfig + 0xf0, offset, true),
    }),
  ),
  {
    name: 'section both writable and executable',
    rule: 'sectionWritableAndExecutable',
    status: 'STATUS_INVALID_PAGE_PROTECTION',
    build: (builder) => builder.section('.text', 0xe0000020),
  },
  {
    name: 'no relocations',
    rule: 'relocationsStripped',
    status: 'STATUS_CONFLICTING_ADDRESSES',
    options: { relocationsStripped: true },
  },
];

const engineDamages: readonly Damage[] = [
  forwardTo('a function of one byte', 'function.firstInstruction', ({ base }) => base.rva('tiny')),
  forwardTo('a function that begins with push rbp', 'function.firstInstruction', ({ base }) =>
    base.rva('pushed'),
  ),
  forwardTo('a function without padding', 'function.padding', ({ base }) => base.rva('crowded')),
  forwardTo('a function that somebody hooked', 'function.mismatch', ({ base }) => base.rva('hooked')),
  {
    name: 'more functions than the HPAT holds',
    rule: 'hpat.full',
    status: 'STATUS_PATCH_CONFLICT',
    table: withChunks(({ base, layout }) => [
      forward(
        ...Array.from({ length: MANY }, (_, index) => record(base.rva(`many${index}`), layout.rva('g'))),
      ),
    ]),
  },
  {
    name: 'older than the one in force',
    rule: 'sequence.lowerThanRegistered',
    status: 'STATUS_REQUEST_OUT_OF_SEQUENCE',
    after: 2,
  },
  {
    name: 'needs an earlier one',
    rule: 'sequence.minimum',
    status: 'STATUS_REQUEST_OUT_OF_SEQUENCE',
    table: ({ table }) => ({ ...table, minSequenceNumber: 1 }),
  },
  {
    name: 'needs a later one',
    rule: 'sequence.minimum',
    status: 'STATUS_REQUEST_OUT_OF_SEQUENCE',
    after: 1,
    table: ({ table }) => ({ ...table, sequenceNumber: 5, minSequenceNumber: 2 }),
  },
  {
    name: 'leaves one out',
    rule: 'sequence.order',
    status: 'STATUS_REQUEST_OUT_OF_SEQUENCE',
    table: ({ table }) => ({ ...table, sequenceNumber: 2, flags: 1 }),
  },
  {
    name: 'hotpatching is off',
    rule: 'hotPatching.disabled',
    status: 'STATUS_NOT_SUPPORTED',
    boot: { hotPatchTableSize: 0 },
  },
  {
    name: 'no virtualization-based security',
    rule: 'hotPatching.disabled',
    status: 'STATUS_NOT_SUPPORTED',
    boot: { vbs: false },
  },
];

const FAILING_CALLOUT = [0xb8, 0x01, 0x00, 0x00, 0xc0, 0xc3]; // mov eax, STATUS_UNSUCCESSFUL; ret
const FAR_AWAY = 0xffff_f802_1000_0000n;

const otherDamages: readonly Damage[] = [
  {
    name: 'the callout refuses it before anything of the base is changed',
    rule: 'callout.failed',
    status: 'STATUS_UNSUCCESSFUL',
    build: (builder) => builder.code('__PatchMainCallout__', FAILING_CALLOUT).export('__PatchMainCallout__'),
  },
  {
    name: 'a driver that imports from its base',
    rule: 'patch.importsBase',
    status: 'STATUS_INVALID_IMAGE_FORMAT',
    build: (builder) => builder.import('base.sys', ['f']),
  },
  {
    name: 'a distance that does not fit into 32 bits',
    rule: 'record.relativeRange',
    status: 'STATUS_CONFLICTING_ADDRESSES',
    baseAt: FAR_AWAY,
    table: withChunks(({ base, layout }) => [
      one('backward', 'REL32', [record(layout.rva('variable'), base.rva('h'))]),
      forward(record(base.rva('f'), layout.rva('g'))),
    ]),
  },
  {
    name: 'an ARM64 patch of an x64 base',
    rule: 'identity.machine',
    patchArchitecture: 'arm64',
  },
  {
    name: 'an x86 patch of an x64 base',
    rule: 'identity.machine',
    patchArchitecture: 'x86',
  },
  {
    name: 'an x64 patch of an ARM64 base',
    rule: 'identity.machine',
    architecture: 'arm64',
    patchArchitecture: 'x64',
  },
];

const armDamages: readonly Damage[] = [
  {
    name: 'location off a word',
    rule: 'record.alignment',
    architecture: 'arm64',
    table: withChunks(({ base, layout }) => [forward(record(base.rva('f') + 2, layout.rva('g')))]),
  },
  {
    name: 'target off a word',
    rule: 'record.alignment',
    architecture: 'arm64',
    table: withChunks(({ base, layout }) => [forward(record(base.rva('f'), layout.rva('g') + 1))]),
  },
  {
    name: 'x64 flag in an ARM64 image',
    rule: 'base.machine',
    architecture: 'arm64',
    table: withBase(() => ({ flags: 0x10 })),
  },
  {
    name: 'x64 flag in an x86 image',
    rule: 'base.machine',
    architecture: 'x86',
    table: withBase(() => ({ flags: 0x10 })),
  },
  {
    name: 'a function of one byte, x86',
    rule: 'function.firstInstruction',
    architecture: 'x86',
    table: withChunks(({ base, layout }) => [forward(record(base.rva('tiny'), layout.rva('g')))]),
  },
];

/** Every hotpatch image that must be refused, and why. */
export const DAMAGES: readonly Damage[] = [
  ...infoDamages,
  ...baseDamages,
  ...chunkDamages,
  ...recordDamages,
  ...imageDamages,
  ...engineDamages,
  ...otherDamages,
  ...armDamages,
];
