import { type HotPatchChunkInput, ImageBuilder, type PeImage, readImage } from 'hotpatch-lab/image';

/** `mov eax, value; ret` */
export const returning = (value: number) => [0xb8, value, 0, 0, 0, 0xc3];

/** CAN_ROLL_BACK and the machine (HOT_PATCH_BASE_FLAG). */
const FLAGS = { x64: 0x12, arm64: 0x0a, x86: 0x06 } as const;

type Rva = (name: string) => number;

export interface PairOptions {
  readonly architecture?: keyof typeof FLAGS;
  readonly sequenceNumber?: number;
  /** Both images, but for what their functions return: 1 in the base, and so on. */
  parts(builder: ImageBuilder, value: number): ImageBuilder;
  /** The patch's own parts. */
  readonly more?: (builder: ImageBuilder) => ImageBuilder;
  /** Functions that lead from base to patch. */
  readonly covered?: readonly string[];
  /** What a forward record expects at the entry. */
  readonly originalBytes?: Uint8Array;
  readonly backward?: (patch: Rva, base: Rva) => readonly HotPatchChunkInput[];
}

export interface Pair {
  readonly base: PeImage;
  readonly patch: PeImage;
  /** In the base. */
  readonly rva: Rva;
  readonly patchRva: Rva;
}

/** A base and a hotpatch image for it, built in memory. Patch n returns n + 1. */
export function pair(options: PairOptions): Pair {
  const { architecture = 'x64', sequenceNumber = 1, covered = [], originalBytes, backward } = options;
  const start = (name: string, value: number) =>
    options.parts(new ImageBuilder(architecture, { name, dll: true }), value).loadConfig();
  const base = start('base.dll', 1).build();
  const image = readImage(base.bytes, { file: 'base.dll' });
  const own = start('patch.dll', sequenceNumber + 1);
  const patch = (options.more?.(own) ?? own)
    .hotPatchTable((layout) => ({
      sequenceNumber,
      ...(originalBytes === undefined ? {} : { extraPatchSize: 1 }),
      bases: [
        {
          flags: FLAGS[architecture],
          originalCheckSum: image.optionalHeader.checkSum,
          originalTimeDateStamp: image.fileHeader.timeDateStamp,
          chunks: [
            ...(backward?.(
              (name) => layout.rva(name),
              (name) => base.rva(name),
            ) ?? []),
            {
              direction: 'forward',
              type: 'FUNCTION',
              records: covered.map((name) => ({
                rva: base.rva(name),
                target: layout.rva(name),
                ...(originalBytes === undefined ? {} : { originalBytes }),
              })),
            },
          ],
        },
      ],
    }))
    .build();
  return {
    base: image,
    patch: readImage(patch.bytes, { file: `patch${sequenceNumber}.dll` }),
    rva: (name) => base.rva(name),
    patchRva: (name) => patch.rva(name),
  };
}
