import { Budget } from './budget.js';
import type { PeImage } from './image.js';
import { ByteReader } from './reader.js';
import { hex, nameOf } from './text.js';
import { IMAGE_DYNAMIC_RELOCATION } from './winnt.js';

/** IMAGE_DYNAMIC_RELOCATION_*, without the prefix. */
export type DynamicRelocationName = keyof typeof IMAGE_DYNAMIC_RELOCATION;

/** One place that the loader may rewrite, decoded as its symbol demands. */
export type DynamicFixup =
  /** Symbol 3: a call or jump through the import address table. iatIndex 0x7ffff: none. */
  | {
      readonly kind: 'importControlTransfer';
      readonly rva: number;
      readonly indirectCall: boolean;
      readonly iatIndex: number;
    }
  /** Symbol 4: any other indirect call or jump. */
  | {
      readonly kind: 'indirControlTransfer';
      readonly rva: number;
      readonly indirectCall: boolean;
      readonly rexWPrefix: boolean;
      readonly cfgCheck: boolean;
    }
  /** Symbol 5: a jump through a register into a switch table. */
  | { readonly kind: 'switchTableBranch'; readonly rva: number; readonly registerNumber: number }
  /** Symbol 6: a difference between the ARM64 and the ARM64EC view of an ARM64X image. */
  | { readonly kind: 'arm64x'; readonly rva: number; readonly change: 'zeroFill'; readonly size: number }
  | { readonly kind: 'arm64x'; readonly rva: number; readonly change: 'value'; readonly value: Uint8Array }
  | { readonly kind: 'arm64x'; readonly rva: number; readonly change: 'delta'; readonly delta: number }
  /** Symbol 8: a call through the import address table in an ARM64 kernel image. iatIndex 0x7fff: none. */
  | {
      readonly kind: 'arm64KernelImportCall';
      readonly rva: number;
      readonly indirectCall: boolean;
      readonly registerIndex: number;
      readonly delayLoad: boolean;
      readonly iatIndex: number;
    };

/** Symbol 7: a function with alternatives of which the loader picks one (IMAGE_FUNCTION_OVERRIDE_DYNAMIC_RELOCATION). */
export interface FunctionOverride {
  /** RVA of the function that is replaced. */
  readonly originalRva: number;
  /** RVAs of the alternatives. */
  readonly rvas: readonly number[];
  /** Places that lead to it, with the type of each relocation. */
  readonly fixups: readonly { readonly rva: number; readonly type: number }[];
}

/** IMAGE_DYNAMIC_RELOCATION: all places of one symbol. */
export interface DynamicRelocation {
  /** Number of the symbol, or an address. */
  readonly symbol: bigint;
  /** Undefined for symbols that are addresses or not known. */
  readonly name?: DynamicRelocationName;
  /** The fixup data behind the header, whatever the symbol. */
  readonly data: Uint8Array;
  /** The places, with what each symbol says of them. */
  readonly fixups: readonly DynamicFixup[];
  /** Of symbol 7; otherwise empty. */
  readonly functionOverrides: readonly FunctionOverride[];
}

/**
 * The dynamic value relocation table (IMAGE_DYNAMIC_RELOCATION_TABLE, winnt.h, versions 1 and 2), at
 * DynamicValueRelocTableOffset in section DynamicValueRelocTableSection, or at DynamicValueRelocTable before that
 * existed.
 */
export function readDynamicRelocations(image: PeImage): DynamicRelocation[] {
  const rva = tableRva(image);
  if (rva === undefined) return [];
  const place = 'dynamic value relocation table';
  const head = image.readerAt(rva, 8, place);
  const version = head.u32At(0);
  const size = head.u32At(4);
  if (version !== 1 && version !== 2) throw head.error('dynamicRelocations.version', `version ${version}`, 0);
  const table = image.tableAt(rva + 8, size, place);
  const budget = new Budget(place, image.bytes.length, image.file);
  const relocations: DynamicRelocation[] = [];
  while (table.remaining >= image.pointerSize + 4) {
    relocations.push(version === 1 ? readVersion1(table, image, budget) : readVersion2(table, image, budget));
  }
  return relocations;
}

function tableRva(image: PeImage): number | undefined {
  const config = image.loadConfig;
  if (config === undefined) return undefined;
  if (config.dynamicValueRelocTableSection !== 0) {
    const section = image.sections[config.dynamicValueRelocTableSection - 1];
    if (section === undefined) {
      throw image.error(
        'dynamicRelocations.section',
        `load config +${hex(config.offsetOf('dynamicValueRelocTableSection'))}`,
        `there is no section ${config.dynamicValueRelocTableSection}`,
      );
    }
    return section.virtualAddress + config.dynamicValueRelocTableOffset;
  }
  if (config.dynamicValueRelocTable === 0n) return undefined;
  return image.vaToRva(config.dynamicValueRelocTable, 'load config, DynamicValueRelocTable');
}

function symbolAt(table: ByteReader, image: PeImage): bigint {
  return image.pointerSize === 8 ? table.u64() : BigInt(table.u32());
}

/** IMAGE_DYNAMIC_RELOCATION32/64: Symbol, BaseRelocSize, then the blocks. */
function readVersion1(table: ByteReader, image: PeImage, budget: Budget): DynamicRelocation {
  const symbol = symbolAt(table, image);
  const data = table.take(table.u32());
  return decode(symbol, data, image, budget);
}

/** IMAGE_DYNAMIC_RELOCATION32/64_V2: HeaderSize, FixupInfoSize, Symbol, SymbolGroup, Flags. */
function readVersion2(table: ByteReader, image: PeImage, budget: Budget): DynamicRelocation {
  const start = table.position;
  const headerSize = table.u32();
  const fixupInfoSize = table.u32();
  const symbol = symbolAt(table, image);
  if (headerSize < 16 + image.pointerSize) {
    throw table.error('dynamicRelocations.header', `HeaderSize ${hex(headerSize)}`, start);
  }
  table.position = start;
  table.skip(headerSize);
  return decode(symbol, table.take(fixupInfoSize), image, budget);
}

function decode(symbol: bigint, data: Uint8Array, image: PeImage, budget: Budget): DynamicRelocation {
  const name =
    symbol < 0x100n
      ? (nameOf(Number(symbol), IMAGE_DYNAMIC_RELOCATION) as DynamicRelocationName | undefined)
      : undefined;
  const reader = new ByteReader(data, `dynamic relocations of symbol ${name ?? hex(symbol)}`, image.file);
  const base = { symbol, ...(name === undefined ? {} : { name }), data };
  switch (name) {
    case 'GUARD_IMPORT_CONTROL_TRANSFER':
      return { ...base, fixups: blocks(reader, budget, importControlTransfer), functionOverrides: [] };
    case 'GUARD_INDIR_CONTROL_TRANSFER':
      return { ...base, fixups: blocks(reader, budget, indirControlTransfer), functionOverrides: [] };
    case 'GUARD_SWITCHTABLE_BRANCH':
      return { ...base, fixups: blocks(reader, budget, switchTableBranch), functionOverrides: [] };
    case 'ARM64X':
      return { ...base, fixups: blocks(reader, budget, arm64x), functionOverrides: [] };
    case 'ARM64_KERNEL_IMPORT_CALL_TRANSFER':
      return { ...base, fixups: blocks(reader, budget, arm64KernelImportCall), functionOverrides: [] };
    case 'FUNCTION_OVERRIDE':
      return { ...base, fixups: [], functionOverrides: functionOverrides(reader, budget) };
    default:
      return { ...base, fixups: [], functionOverrides: [] };
  }
}

/** IMAGE_BASE_RELOCATION blocks whose entries `read` decodes; undefined is padding at a block's end. */
function blocks<T>(
  data: ByteReader,
  budget: Budget,
  read: (entry: ByteReader, page: number) => T | undefined,
): T[] {
  const entries: T[] = [];
  while (data.remaining >= 8) {
    const start = data.position;
    const page = data.u32();
    const sizeOfBlock = data.u32();
    if (sizeOfBlock < 8)
      throw data.error('dynamicRelocations.sizeOfBlock', `SizeOfBlock ${hex(sizeOfBlock)}`, start + 4);
    const block = data.slice(start + 8, sizeOfBlock - 8, `${data.place}, block of page ${hex(page)}`);
    while (block.remaining >= 2) {
      budget.spend();
      const entry = read(block, page);
      if (entry !== undefined) entries.push(entry);
    }
    data.position = start;
    data.skip(sizeOfBlock);
  }
  return entries;
}

function importControlTransfer(entry: ByteReader, page: number): DynamicFixup | undefined {
  if (entry.remaining < 4) return skipRest(entry);
  const bits = entry.u32();
  return {
    kind: 'importControlTransfer',
    rva: page + (bits & 0xfff),
    indirectCall: (bits & 0x1000) !== 0,
    iatIndex: bits >>> 13,
  };
}

/** A block of 2-byte entries is padded to 4 bytes with a zero entry. */
function isPadding(entry: ByteReader, bits: number): boolean {
  return bits === 0 && entry.remaining === 0 && entry.length > 2;
}

function indirControlTransfer(entry: ByteReader, page: number): DynamicFixup | undefined {
  const bits = entry.u16();
  if (isPadding(entry, bits)) return undefined;
  return {
    kind: 'indirControlTransfer',
    rva: page + (bits & 0xfff),
    indirectCall: (bits & 0x1000) !== 0,
    rexWPrefix: (bits & 0x2000) !== 0,
    cfgCheck: (bits & 0x4000) !== 0,
  };
}

function switchTableBranch(entry: ByteReader, page: number): DynamicFixup | undefined {
  const bits = entry.u16();
  if (isPadding(entry, bits)) return undefined;
  return { kind: 'switchTableBranch', rva: page + (bits & 0xfff), registerNumber: bits >>> 12 };
}

/** IMAGE_DVRT_ARM64X_FIXUP_RECORD: offset 12 bits, type 2, size 2; the value or delta behind it. */
function arm64x(entry: ByteReader, page: number): DynamicFixup | undefined {
  const bits = entry.u16();
  if (isPadding(entry, bits)) return undefined;
  const rva = page + (bits & 0xfff);
  const meta = bits >>> 14;
  switch ((bits >>> 12) & 3) {
    case 0:
      return { kind: 'arm64x', rva, change: 'zeroFill', size: 1 << meta };
    case 1:
      return { kind: 'arm64x', rva, change: 'value', value: entry.take(1 << meta) };
    case 2: {
      const scaled = entry.u16() * ((meta & 2) === 0 ? 4 : 8);
      return { kind: 'arm64x', rva, change: 'delta', delta: (meta & 1) === 0 ? scaled : -scaled };
    }
    default:
      throw entry.error('dynamicRelocations.arm64x', 'a fixup of type 3', entry.position - 2);
  }
}

function arm64KernelImportCall(entry: ByteReader, page: number): DynamicFixup | undefined {
  if (entry.remaining < 4) return skipRest(entry);
  const bits = entry.u32();
  return {
    kind: 'arm64KernelImportCall',
    rva: page + 4 * (bits & 0x3ff),
    indirectCall: (bits & 0x400) !== 0,
    registerIndex: (bits >>> 11) & 0x1f,
    delayLoad: (bits & 0x10000) !== 0,
    iatIndex: bits >>> 17,
  };
}

function skipRest(entry: ByteReader): undefined {
  entry.skip(entry.remaining);
  return undefined;
}

/** IMAGE_FUNCTION_OVERRIDE_HEADER; the decision nodes (BDD) behind the functions are left in `data`. */
function functionOverrides(reader: ByteReader, budget: Budget): FunctionOverride[] {
  if (reader.length < 4) return [];
  const functions = reader.slice(4, reader.u32At(0), 'function overrides');
  const overrides: FunctionOverride[] = [];
  while (functions.remaining >= 16) {
    budget.spend();
    const originalRva = functions.u32();
    functions.skip(4);
    const rvaSize = functions.u32();
    const baseRelocSize = functions.u32();
    const list = new ByteReader(functions.take(rvaSize), 'function override RVAs', reader.file);
    const rvas: number[] = [];
    while (list.remaining >= 4) rvas.push(list.u32());
    const relocations = new ByteReader(
      functions.take(baseRelocSize),
      'function override relocations',
      reader.file,
    );
    const fixups = blocks(relocations, budget, (entry, page) => {
      const bits = entry.u16();
      return isPadding(entry, bits) ? undefined : { rva: page + (bits & 0xfff), type: bits >>> 12 };
    });
    overrides.push({ originalRva, rvas, fixups });
  }
  return overrides;
}
