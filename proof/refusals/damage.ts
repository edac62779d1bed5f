import type { ArchitectureName } from '../../cpu/index.js';
import {
  type BuiltImage,
  type HotPatchBaseInput,
  type HotPatchChunkInput,
  type HotPatchTableInput,
  ImageBuilder,
  type ImageBuilderOptions,
  type Layout,
  PADDING_NEEDED,
  type PeImage,
  readImage,
} from '../../image/index.js';
import type { BootOptions } from '../../loader/index.js';

/** A hotpatch image under construction that a damage may change in any way before it is read. */
export interface Draft {
  readonly base: BuiltImage;
  readonly layout: Layout;
  table: HotPatchTableInput;
}

/** The finished file, and where its parts lie in it. */
export interface DraftFile {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** File offsets. */
  readonly table: number;
  readonly loadConfig: number;
  readonly loadConfigDirectory: number;
  readonly optionalHeader: number;
}

/** One way in which a hotpatch image is wrong. */
export interface Damage {
  readonly name: string;
  /** The rule that must refuse it: of `image/hotpatch/rules.ts`, of the engine, or of the loader. */
  readonly rule: string;
  /** NTSTATUS; default: that of the rule. */
  readonly status?: string;
  readonly architecture?: ArchitectureName;
  /** Of the patch, when it is not that of the base. */
  readonly patchArchitecture?: ArchitectureName;
  /** Where the base is loaded, far from where patch images are. */
  readonly baseAt?: bigint;
  /** Changes what the table says. */
  readonly table?: (draft: Draft) => HotPatchTableInput;
  /** Changes bytes of the file. */
  readonly file?: (file: DraftFile) => void;
  /** Adds to the image. */
  readonly build?: (builder: ImageBuilder) => void;
  readonly options?: ImageBuilderOptions;
  readonly boot?: Partial<BootOptions>;
  /** Sequence number of a good patch that is applied first. */
  readonly after?: number;
}

/** Code that is the same at every address: `mov eax, n; ret` and its like. */
const RETURN: Readonly<Record<ArchitectureName, (n: number) => number[]>> = {
  x64: (n) => [0xb8, n, 0, 0, 0, 0xc3],
  x86: (n) => [0xb8, n, 0, 0, 0, 0xc3],
  arm64: (n) => [(n << 5) & 0xff, n >> 3, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6],
};

export const MANY = 513;

/** The base that all damaged patches are for. */
export function damageBase(architecture: ArchitectureName): BuiltImage {
  const builder = new ImageBuilder(architecture, { name: 'base.sys' })
    .code('f', RETURN[architecture](1))
    .code('h', RETURN[architecture](2))
    .data('table', new Uint8Array(32))
    .data('constant', [1, 2, 3, 4], { section: '.rdata' })
    .export('f')
    .loadConfig();
  if (PADDING_NEEDED[architecture] !== 0)
    builder
      .code('tiny', [0xc3])
      .code('crowded', RETURN[architecture](3), { padding: 0, alignment: 1 })
      .code('hooked', [0xeb, 0xf0, 0xc3])
      .code('filler', new Uint8Array(8).fill(0x90), { padding: 0, alignment: 1 })
      .code('pushed', [0x55, 0xc3]);
  for (let index = 0; index < MANY; index++) builder.code(`many${index}`, RETURN[architecture](4));
  return builder.build();
}

export const record = (rva: number, target: number, originalBytes?: Uint8Array) =>
  originalBytes === undefined ? { rva, target } : { rva, target, originalBytes };

export const forward = (...records: HotPatchChunkInput['records']): HotPatchChunkInput => ({
  direction: 'forward',
  type: 'FUNCTION',
  records,
});

const MACHINE_FLAG = { x86: 0x04, arm64: 0x08, x64: 0x10 } as const;
const CAN_ROLL_BACK = 0x02;

/** A patch that redirects `f`, with nothing wrong. */
function goodTable(architecture: ArchitectureName, base: BuiltImage, layout: Layout, sequenceNumber: number) {
  const only: HotPatchBaseInput = {
    flags: MACHINE_FLAG[architecture] | CAN_ROLL_BACK,
    originalTimeDateStamp: base.image.fileHeader.timeDateStamp,
    originalCheckSum: base.image.optionalHeader.checkSum,
    chunks: [forward(record(base.rva('f'), layout.rva('g')))],
  };
  return { sequenceNumber, bases: [only] };
}

/** The damaged patch; `undefined` as damage makes the good one. */
export function buildDamaged(base: BuiltImage, damage: Damage | undefined, sequenceNumber = 1): PeImage {
  const { options = {}, table, file, build } = damage ?? {};
  const architecture = damage?.patchArchitecture ?? damage?.architecture ?? 'x64';
  const name = options.name ?? 'patch.sys';
  const builder = new ImageBuilder(architecture, { timeDateStamp: 0x60000000, ...options, name })
    .code('g', RETURN[architecture](9))
    .code('stub', RETURN[architecture](8))
    .data('variable', new Uint8Array(32))
    .data('constant', [1, 2, 3, 4, 5, 6, 7, 8], { section: '.rdata' })
    .export('g');
  builder.hotPatchTable((layout) => {
    const good = goodTable(architecture, base, layout, sequenceNumber);
    return table === undefined ? good : table({ base, layout, table: good });
  });
  build?.(builder);
  const built = builder.build();
  if (file === undefined) return built.image;
  const bytes = built.bytes.slice();
  file(locate(bytes, built));
  return readImage(bytes, { file: name });
}

const PE_SIGNATURE_AND_FILE_HEADER = 24;
const LOAD_CONFIG_DIRECTORY = 10;

function locate(bytes: Uint8Array, { image, rva }: BuiltImage): DraftFile {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const optionalHeader = view.getUint32(0x3c, true) + PE_SIGNATURE_AND_FILE_HEADER;
  const directories = optionalHeader + (image.pointerSize === 8 ? 112 : 96);
  const offset = (name: string): number => {
    const at = image.rvaToOffset(rva(name));
    if (at === undefined) throw new RangeError(`${name} is not in the file`);
    return at;
  };
  return {
    bytes,
    view,
    table: offset('hotpatch table'),
    loadConfig: offset('load config'),
    loadConfigDirectory: directories + 8 * LOAD_CONFIG_DIRECTORY,
    optionalHeader,
  };
}
