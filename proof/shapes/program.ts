import {
  type ArchitectureName,
  arm64Encoder,
  assemble,
  type X86Encoder,
  x64Encoder,
  x86Encoder,
} from '../../cpu/index.js';
import {
  type BuiltImage,
  type Contents,
  ImageBuilder,
  PADDING_NEEDED,
  type PeImage,
} from '../../image/index.js';

/** Assembly text that runs at any address, or a call or jump to a function of the same image. */
export type Piece = string | { readonly call: string } | { readonly jump: string };

export interface FunctionSource {
  readonly name: string;
  readonly code: readonly Piece[];
  /** Where the entry lies: default at a multiple of 16. */
  readonly placement?: Placement;
}

/** The entry is at `offset` bytes behind a multiple of `modulo`, which is at most 4096. */
export interface Placement {
  readonly modulo: number;
  readonly offset: number;
}

export interface PatchSource {
  readonly functions: readonly FunctionSource[];
  /** By function of the base: the function of the patch image that takes its place. */
  readonly forward: Readonly<Record<string, string>>;
  /** By function of the patch image: the function of the base that it stands for. */
  readonly backward?: Readonly<Record<string, string>>;
}

/** Kinds of image: a driver, a DLL of a process, or its EXE. */
export type ImageForm = 'driver' | 'dll' | 'exe';

const FORM_OPTIONS = {
  driver: { extension: 'sys', subsystem: 'NATIVE', dll: false },
  dll: { extension: 'dll', subsystem: 'WINDOWS_CUI', dll: true },
  exe: { extension: 'exe', subsystem: 'WINDOWS_CUI', dll: false },
} as const;

interface Assembled {
  readonly source: FunctionSource;
  readonly parts: readonly (Uint8Array | { readonly form: 'call' | 'jump'; readonly target: string })[];
  readonly size: number;
}

const BRANCH_SIZE = { x64: 5, x86: 5, arm64: 4 } as const;

export async function buildBase(
  architecture: ArchitectureName,
  functions: readonly FunctionSource[],
  form: ImageForm = 'driver',
): Promise<BuiltImage> {
  const { extension, ...options } = FORM_OPTIONS[form];
  const builder = new ImageBuilder(architecture, { name: `base.${extension}`, ...options });
  await addFunctions(builder, architecture, functions);
  builder.data('counter', new Uint8Array(8));
  for (const { name } of functions) builder.export(name);
  return builder.loadConfig().build();
}

/** A hotpatch image for `base`; `sequenceNumber` 1 is the first. */
export async function buildPatch(
  architecture: ArchitectureName,
  base: BuiltImage,
  { functions, forward, backward = {} }: PatchSource,
  sequenceNumber: number,
  form: ImageForm = 'driver',
): Promise<PeImage> {
  const { extension, ...options } = FORM_OPTIONS[form];
  const name = `patch${sequenceNumber}.${extension}`;
  const timeDateStamp = 0x60000000 + sequenceNumber;
  const builder = new ImageBuilder(architecture, { name, timeDateStamp, ...options });
  await addFunctions(builder, architecture, functions);
  builder.data('unused', new Uint8Array(8));
  for (const { name: exported } of functions) builder.export(exported);
  builder.hotPatchTable((layout) => ({
    sequenceNumber,
    bases: [
      {
        flags: MACHINE_FLAG[architecture] | CAN_ROLL_BACK,
        originalTimeDateStamp: base.image.fileHeader.timeDateStamp,
        originalCheckSum: base.image.optionalHeader.checkSum,
        chunks: [
          {
            direction: 'backward' as const,
            type: 'FUNCTION' as const,
            records: Object.entries(backward).map(([from, to]) => ({
              rva: layout.rva(from),
              target: base.rva(to),
            })),
          },
          {
            direction: 'forward' as const,
            type: 'FUNCTION' as const,
            records: Object.entries(forward).map(([from, to]) => ({
              rva: base.rva(from),
              target: layout.rva(to),
            })),
          },
        ].filter(({ records }) => records.length > 0),
      },
    ],
  }));
  return builder.build().image;
}

const MACHINE_FLAG = { x86: 0x04, arm64: 0x08, x64: 0x10 } as const;
const CAN_ROLL_BACK = 0x02;

async function addFunctions(
  builder: ImageBuilder,
  architecture: ArchitectureName,
  functions: readonly FunctionSource[],
): Promise<void> {
  const assembled = await Promise.all(functions.map((source) => assembleFunction(architecture, source)));
  let at = 0;
  for (const one of assembled) {
    const { modulo, offset } = one.source.placement ?? { modulo: 16, offset: 0 };
    const least = at + PADDING_NEEDED[architecture];
    const entry = least + ((((offset - least) % modulo) + modulo) % modulo);
    builder.code(one.source.name, contents(architecture, one), { alignment: 1, padding: entry - at });
    at = entry + one.size;
  }
}

async function assembleFunction(architecture: ArchitectureName, source: FunctionSource): Promise<Assembled> {
  const parts = await Promise.all(
    source.code.map(async (piece) => {
      if (typeof piece === 'string') return assemble(architecture, piece, { address: 0n });
      return 'call' in piece
        ? ({ form: 'call', target: piece.call } as const)
        : ({ form: 'jump', target: piece.jump } as const);
    }),
  );
  const size = parts.reduce(
    (sum, part) => sum + (part instanceof Uint8Array ? part.length : BRANCH_SIZE[architecture]),
    0,
  );
  return { source, parts, size };
}

function contents(architecture: ArchitectureName, { source, parts, size }: Assembled): Contents {
  return (layout) => {
    const bytes = new Uint8Array(size);
    let at = 0;
    for (const part of parts) {
      const from = layout.address(source.name) + BigInt(at);
      const branch =
        part instanceof Uint8Array
          ? part
          : encode(architecture, part.form, from, layout.address(part.target));
      bytes.set(branch, at);
      at += branch.length;
    }
    return bytes;
  };
}

function encode(architecture: ArchitectureName, form: 'call' | 'jump', from: bigint, to: bigint): Uint8Array {
  return BRANCHES[architecture][form](from, to);
}

type Branches = Readonly<Record<'call' | 'jump', (from: bigint, to: bigint) => Uint8Array>>;

const x86Branches = ({ call, nearJump }: X86Encoder): Branches => ({ call, jump: nearJump });

const BRANCHES: Readonly<Record<ArchitectureName, Branches>> = {
  x64: x86Branches(x64Encoder),
  x86: x86Branches(x86Encoder),
  arm64: { call: arm64Encoder.call, jump: arm64Encoder.branch },
};
