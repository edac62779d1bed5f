import {
  appendHotPatchTable,
  encodeHotPatchTable,
  type HotPatchChunkInput,
  type HotPatchRecordInput,
  isExecutable,
  type PeImage,
  type SymbolInfo,
  type SymbolTable,
} from '../image/index.js';
import { BuildError } from './error.js';

export interface BuildSource {
  readonly image: PeImage;
  readonly symbols: SymbolTable;
}

export interface BuildInput {
  readonly base: BuildSource;
  readonly fixed: BuildSource;
  /** Names of the changed functions. One that the base does not have is new, and stays in the patch image. */
  readonly functions: readonly string[];
  readonly sequenceNumber: number;
}

export interface BuiltHotPatch {
  /** The hotpatch image: the fixed image with its table. */
  readonly bytes: Uint8Array;
  readonly chunks: readonly HotPatchChunkInput[];
}

/** Dwords of expected original bytes in each record. */
const EXTRA_PATCH_SIZE = 1;
const PADDING = 6;
const PADDING_BYTES = new Set([0xcc, 0x90, 0x00]);
const CAN_ROLL_BACK = 0x2;
const MACHINE_FLAG = { x86: 0x4, arm64: 0x8, x64: 0x10 } as const;

/** Makes a hotpatch image from a fixed build: the fixed image plus the table that ties it to its base. */
export function buildHotPatch(input: BuildInput): BuiltHotPatch {
  const chunks = [
    chunk('backward', 'FUNCTION', unchangedFunctions(input)),
    chunk('backward', 'ABSOLUTE', references(input)),
    chunk('backward', 'INDIRECT', sharedImports(input)),
    chunk('forward', 'FUNCTION', changedFunctions(input)),
  ].filter(({ records }) => records.length > 0);
  const { image } = input.base;
  const architecture = image.architecture;
  if (architecture === undefined)
    throw new BuildError('build.machine', `${image.machine} images are not supported`);
  const table = encodeHotPatchTable({
    sequenceNumber: input.sequenceNumber,
    extraPatchSize: EXTRA_PATCH_SIZE,
    bases: [
      {
        sequenceNumber: input.sequenceNumber,
        flags: CAN_ROLL_BACK | MACHINE_FLAG[architecture],
        originalCheckSum: image.optionalHeader.checkSum,
        originalTimeDateStamp: image.fileHeader.timeDateStamp,
        chunks,
      },
    ],
  });
  return { bytes: appendHotPatchTable(input.fixed.image, table), chunks };
}

function chunk(
  direction: 'forward' | 'backward',
  type: 'FUNCTION' | 'ABSOLUTE' | 'INDIRECT',
  records: readonly HotPatchRecordInput[],
): HotPatchChunkInput {
  return { direction, type, records };
}

function changedFunctions({ base, fixed, functions }: BuildInput): HotPatchRecordInput[] {
  return functions.flatMap((name) => {
    const original = base.symbols.byName(name);
    const replacement = fixed.symbols.byName(name);
    if (original === undefined || replacement === undefined) return [];
    if (!isPadded(base.image, original.rva))
      throw new BuildError(
        'build.padding',
        'the base has no six bytes of padding before this function',
        name,
      );
    return [{ rva: original.rva, target: replacement.rva, originalBytes: base.image.read(original.rva, 4) }];
  });
}

/** Functions that both builds have and the fix does not change: in the patch image they lead back to the base. */
function unchangedFunctions({ base, fixed, functions }: BuildInput): HotPatchRecordInput[] {
  const changed = new Set(functions);
  const entryPoint = fixed.image.optionalHeader.addressOfEntryPoint;
  const seen = new Set<number>([entryPoint]);
  return fixed.symbols.all.flatMap((symbol) => {
    if (changed.has(symbol.name) || seen.has(symbol.rva) || !isCode(fixed.image, symbol)) return [];
    const original = counterpart(symbol, base);
    if (original === undefined || !isPadded(fixed.image, symbol.rva)) return [];
    seen.add(symbol.rva);
    return [{ rva: symbol.rva, target: original.rva, originalBytes: fixed.image.read(symbol.rva, 4) }];
  });
}

/** Each `__ref_*` pointer of the fixed image, found by what it points at, leads to the base's variable. */
function references({ base, fixed }: BuildInput): HotPatchRecordInput[] {
  const { image } = fixed;
  return fixed.symbols.all.flatMap((reference) => {
    if (!reference.name.startsWith('__ref_')) return [];
    const pointer = readPointer(image, reference.rva);
    const rva = Number(pointer - image.optionalHeader.imageBase);
    const targets = fixed.symbols.all.filter((symbol) => symbol.rva === rva);
    const original = targets
      .map((symbol) => counterpart(symbol, base))
      .find((symbol) => symbol !== undefined);
    // A variable that is new in the fix lives in the patch image, where the pointer leads by itself.
    if (original === undefined) return [];
    return [{ rva: reference.rva, target: original.rva }];
  });
}

/** IAT entries that both images have: the base's binding is copied. New imports are bound by the loader. */
function sharedImports({ base, fixed }: BuildInput): HotPatchRecordInput[] {
  const key = (module: string, entry: { name?: string | undefined; ordinal?: number | undefined }) =>
    `${module.toLowerCase()}!${entry.name ?? `#${entry.ordinal}`}`;
  const originals = new Map(
    base.image.imports.flatMap(({ module, functions }) =>
      functions.map((entry) => [key(module, entry), entry.iatRva] as const),
    ),
  );
  return fixed.image.imports.flatMap(({ module, functions }) =>
    functions.flatMap((entry) => {
      const target = originals.get(key(module, entry));
      return target === undefined ? [] : [{ rva: entry.iatRva, target }];
    }),
  );
}

/** The symbol of the same name in the base; a static one must come from the same object when several have it. */
function counterpart(symbol: SymbolInfo, base: BuildSource): SymbolInfo | undefined {
  const candidates = base.symbols.allByName(symbol.name);
  if (candidates.length <= 1) return candidates[0];
  return candidates.find(
    (candidate) => candidate.module === symbol.module && candidate.isStatic === symbol.isStatic,
  );
}

function isCode(image: PeImage, symbol: SymbolInfo): boolean {
  const section = image.sectionAt(symbol.rva);
  return section !== undefined && isExecutable(section);
}

/** ARM64 needs no padding. */
function isPadded(image: PeImage, rva: number): boolean {
  return (
    image.architecture === 'arm64' ||
    image.read(rva - PADDING, PADDING).every((byte) => PADDING_BYTES.has(byte))
  );
}

function readPointer(image: PeImage, rva: number): bigint {
  const size = image.architecture === 'x86' ? 4 : 8;
  return image.read(rva, size).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
