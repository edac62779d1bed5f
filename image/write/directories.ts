import { encodeHotPatchTable, type HotPatchTableInput } from '../hotpatch/encode.js';
import { type LoadConfigField, loadConfigStruct } from '../load-config.js';
import type { ImageArchitecture } from '../mapped-file.js';
import { IMAGE_REL_BASED, type RelocationType } from '../relocation-list.js';
import type { PointerSize } from '../struct.js';
import { IMAGE_DEBUG_TYPE } from '../winnt.js';
import { type Contents, concat, cString, type Layout, pack, u32s } from './items.js';

/** Parts of an image that are directories: their bytes as functions of the layout. */

export interface ImportSpec {
  readonly module: string;
  /** A string is a name, a number an ordinal. */
  readonly functions: readonly (string | number)[];
}

export function iatName(module: string, entry: string | number): string {
  return `__imp_${typeof entry === 'string' ? entry : `${module}#${entry}`}`;
}

export function importDirectory(imports: readonly ImportSpec[]): Contents {
  return (layout) =>
    concat([
      ...imports.map(({ module }) =>
        u32s(
          layout.rva(`import lookup ${module}`),
          0,
          0,
          layout.rva(`import module ${module}`),
          layout.rva(`import iat ${module}`),
        ),
      ),
      new Uint8Array(20),
    ]);
}

/** The lookup table and the address table begin with the same contents. */
export function importThunks({ functions, module }: ImportSpec, pointerSize: PointerSize): Contents {
  const ordinalFlag = 1n << BigInt(8 * pointerSize - 1);
  return (layout) =>
    pack(
      ...functions.map((entry) => {
        const value =
          typeof entry === 'number'
            ? ordinalFlag | BigInt(entry)
            : layout.rva(`import hint ${module} ${entry}`);
        return [value, pointerSize] as const;
      }),
      [0, pointerSize],
    );
}

export function importByName(name: string): Uint8Array {
  const bytes = concat([pack([0, 2]), cString(name)]);
  return bytes.length % 2 === 0 ? bytes : concat([bytes, new Uint8Array(1)]);
}

export interface ExportSpec {
  /** Undefined: exported by ordinal only. */
  readonly name?: string;
  readonly ordinal: number;
  /** A named part, or with `forwarder` the string itself. */
  readonly symbol?: string;
  readonly forwarder?: string;
}

/** The whole export directory in one part, strings included, so that forwarders lie inside it. */
export function exportDirectory(moduleName: string, specs: readonly ExportSpec[], self: string): Contents {
  const base = Math.min(...specs.map((spec) => spec.ordinal));
  const count = Math.max(...specs.map((spec) => spec.ordinal)) - base + 1;
  const named = specs
    .filter((spec) => spec.name !== undefined)
    .sort((a, b) => ((a.name ?? '') < (b.name ?? '') ? -1 : 1));
  const HEADER = 40;
  return (layout: Layout) => {
    const start = layout.rva(self);
    const tables = HEADER + 4 * count + 6 * named.length;
    const strings: Uint8Array[] = [];
    let at = tables;
    const intern = (text: string): number => {
      const bytes = cString(text);
      strings.push(bytes);
      at += bytes.length;
      return start + at - bytes.length;
    };
    const moduleRva = intern(moduleName);
    const addresses = Array.from({ length: count }, () => 0);
    for (const spec of specs) {
      addresses[spec.ordinal - base] =
        spec.forwarder !== undefined ? intern(spec.forwarder) : layout.rva(spec.symbol ?? spec.name ?? '');
    }
    const nameRvas = named.map((spec) => intern(spec.name ?? ''));
    return concat([
      u32s(0, 0, 0, moduleRva, base, count, named.length),
      u32s(start + HEADER, start + HEADER + 4 * count, start + HEADER + 4 * count + 4 * named.length),
      u32s(...addresses, ...nameRvas),
      pack(...named.map((spec) => [spec.ordinal - base, 2] as const)),
      ...strings,
    ]);
  };
}

/** IMAGE_BASE_RELOCATION blocks, one per page, padded to 4 bytes with an ABSOLUTE entry. */
export function baseRelocations(relocations: readonly { rva: number; type: RelocationType }[]): Uint8Array {
  const pages = new Map<number, number[]>();
  for (const { rva, type } of relocations.toSorted((a, b) => a.rva - b.rva)) {
    const page = rva - (rva % 0x1000);
    const entries = pages.get(page) ?? [];
    entries.push((IMAGE_REL_BASED[type] << 12) | (rva % 0x1000));
    pages.set(page, entries);
  }
  return concat(
    [...pages].map(([page, entries]) => {
      if (entries.length % 2 === 1) entries.push(IMAGE_REL_BASED.ABSOLUTE);
      return concat([
        u32s(page, 8 + 2 * entries.length),
        pack(...entries.map((entry) => [entry, 2] as const)),
      ]);
    }),
  );
}

/** A string is the name of a part: its address in pointer fields, its RVA in others. */
export type LoadConfigInput = Readonly<Partial<Record<LoadConfigField, number | bigint | string>>>;

/** The leading `size` bytes of the load configuration. */
export function loadConfig(pointerSize: PointerSize, size: number, fields: LoadConfigInput): Contents {
  const struct = loadConfigStruct(pointerSize);
  return (layout) => {
    const bytes = new Uint8Array(Math.max(size, struct.size));
    struct.write(bytes, 0, { size });
    for (const [name, value] of Object.entries(fields) as [LoadConfigField, number | bigint | string][]) {
      const isPointer = struct.field(name).kind === 'pointer';
      const resolved =
        typeof value !== 'string' ? value : isPointer ? layout.address(value) : layout.rva(value);
      struct.write(bytes, 0, { [name]: resolved });
    }
    return bytes.subarray(0, size);
  };
}

/** Offsets of the load configuration's fields that hold an address. */
export function loadConfigRelocations(pointerSize: PointerSize, fields: LoadConfigInput): number[] {
  const struct = loadConfigStruct(pointerSize);
  return (Object.keys(fields) as LoadConfigField[])
    .filter((name) => typeof fields[name] === 'string' && struct.field(name).kind === 'pointer')
    .map((name) => struct.offsetOf(name));
}

export function hotPatchTable(
  input: HotPatchTableInput | ((layout: Layout) => HotPatchTableInput),
): Contents {
  return (layout) => encodeHotPatchTable(typeof input === 'function' ? input(layout) : input);
}

/** IMAGE_DEBUG_TYPE_*, without the prefix. */
export type DebugType = keyof typeof IMAGE_DEBUG_TYPE;

/** IMAGE_DEBUG_DIRECTORY entries for parts of these names and sizes. */
export function debugDirectory(
  entries: readonly { type: DebugType; name: string; size: number }[],
  timeDateStamp: number,
): Contents {
  return (layout) =>
    concat(
      entries.map(({ type, name, size }) =>
        u32s(0, timeDateStamp, 0, IMAGE_DEBUG_TYPE[type], size, layout.rva(name), layout.offset(name)),
      ),
    );
}

export interface FunctionTableSpec {
  readonly name: string;
  /** ARM64 packed unwind data, or the name of the part with UNWIND_INFO or .xdata. */
  readonly unwind: number | string;
}

type FunctionEntry = (begin: number, end: number, unwind: number) => Uint8Array;

/** RUNTIME_FUNCTION (winnt.h); 32-bit images have no such table of Windows' own. */
const FUNCTION_ENTRY: Readonly<Record<ImageArchitecture, FunctionEntry>> = {
  x64: u32s,
  x86: u32s,
  arm64: (begin, _, unwind) => u32s(begin, unwind),
};

/** The function table, sorted by address as the system's search demands. */
export function functionTable(
  architecture: ImageArchitecture,
  functions: readonly FunctionTableSpec[],
): Contents {
  return (layout) =>
    concat(
      functions
        .map(({ name, unwind }) => ({
          begin: layout.rva(name),
          end: layout.rva(name) + layout.size(name),
          unwind: typeof unwind === 'string' ? layout.rva(unwind) : unwind,
        }))
        .sort((a, b) => a.begin - b.begin)
        .map(({ begin, end, unwind }) => FUNCTION_ENTRY[architecture](begin, end, unwind)),
    );
}

export function addresses(values: readonly bigint[], pointerSize: PointerSize): Uint8Array {
  return pack(...values.map((value) => [value, pointerSize] as const));
}
