import type { ByteReader } from '../reader.js';
import { hex } from '../text.js';
import { CodeViewRecord } from './codeview-record.js';

/** Kinds of symbol records that are decoded (cvinfo.h of microsoft-pdb; S_HOTPATCHFUNC: LLVM's CodeViewSymbols.def). */
export const SYMBOL_KIND = {
  S_SKIP: 0x0007,
  S_OBJNAME: 0x1101,
  S_THUNK32: 0x1102,
  S_LABEL32: 0x1105,
  S_LDATA32: 0x110c,
  S_GDATA32: 0x110d,
  S_PUB32: 0x110e,
  S_LPROC32: 0x110f,
  S_GPROC32: 0x1110,
  S_LTHREAD32: 0x1112,
  S_GTHREAD32: 0x1113,
  S_COMPILE2: 0x1116,
  S_PROCREF: 0x1125,
  S_LPROCREF: 0x1127,
  S_COMPILE3: 0x113c,
  S_LPROC32_ID: 0x1146,
  S_GPROC32_ID: 0x1147,
  S_ARMSWITCHTABLE: 0x1159,
  S_HOTPATCHFUNC: 0x1169,
} as const;
/** Kinds of records that are decoded (cvinfo.h). */
export type SymbolKind = keyof typeof SYMBOL_KIND;

/** A one-based section of the image (or of the object file, before relocation) and an offset in it. */
export interface SectionOffset {
  /** One-based; 0: none. */
  readonly section: number;
  /** Bytes from the section's start. */
  readonly offset: number;
}

/** Where a record is. */
export interface SymbolPlace {
  /** Offset of the record in its stream. */
  readonly at: number;
}

export interface ProcedureSymbol extends SymbolPlace, SectionOffset {
  /** The record's kind: global or of its object file, with a type or an id. */
  readonly kind: 'S_GPROC32' | 'S_LPROC32' | 'S_GPROC32_ID' | 'S_LPROC32_ID';
  /** As the compiler has it: with its namespace, not decorated. */
  readonly name: string;
  /** Bytes of code. */
  readonly size: number;
  /** Offsets in the procedure: where the prologue has ended and where the epilogue begins. */
  readonly debugStart: number;
  /** See {@link debugStart}. */
  readonly debugEnd: number;
  /** TPI index of its type; in the `_ID` kinds the IPI index of its LF_FUNC_ID. */
  readonly typeIndex: number;
  /** CV_PROCFLAGS. */
  readonly flags: number;
  /** Offset of the record that ends the scope, in the module's stream. */
  readonly end: number;
}
export interface DataSymbol extends SymbolPlace, SectionOffset {
  /** The record's kind: global or of its object file, thread-local or not. */
  readonly kind: 'S_GDATA32' | 'S_LDATA32' | 'S_GTHREAD32' | 'S_LTHREAD32';
  /** As the compiler has it. */
  readonly name: string;
  /** TPI index of its type. */
  readonly typeIndex: number;
}
export interface PublicSymbol extends SymbolPlace, SectionOffset {
  /** The record's kind. */
  readonly kind: 'S_PUB32';
  /** The linker's name, decorated. */
  readonly name: string;
  /** 1 code, 2 function, 4 managed, 8 MSIL. */
  readonly flags: number;
}
export interface LabelSymbol extends SymbolPlace, SectionOffset {
  /** The record's kind. */
  readonly kind: 'S_LABEL32';
  /** In the source. */
  readonly name: string;
  /** CV_PROCFLAGS. */
  readonly flags: number;
}
export interface ThunkSymbol extends SymbolPlace, SectionOffset {
  /** The record's kind. */
  readonly kind: 'S_THUNK32';
  /** What it leads to, as the linker names it. */
  readonly name: string;
  /** Bytes of code. */
  readonly size: number;
  /** THUNK_ORDINAL: what kind of thunk it is. */
  readonly ordinal: number;
}
/** A global name for a procedure whose record is in a module. */
export interface ProcedureReference extends SymbolPlace {
  /** The record's kind. */
  readonly kind: 'S_PROCREF' | 'S_LPROCREF';
  /** Of the procedure. */
  readonly name: string;
  /** Index into `Pdb.modules`, and the record's offset in that module's stream. */
  readonly module: number;
  /** See {@link module}. */
  readonly record: number;
}
/** How an object file was compiled. */
export interface CompileSymbol extends SymbolPlace {
  /** The record's kind. */
  readonly kind: 'S_COMPILE2' | 'S_COMPILE3';
  /** CV_CFL_LANG. */
  readonly language: number;
  /** CV_COMPILE flags in bits 8 and up, the language removed. */
  readonly flags: number;
  /** CV_CFL_MACHINE: 0xd0 x64, 0xf6 ARM64, 3..7 x86. */
  readonly machine: number;
  /** Numbers of the compiler's front end, with dots. */
  readonly frontEndVersion: string;
  /** Numbers of the compiler's back end, with dots. */
  readonly backEndVersion: string;
  /** What the compiler calls itself. */
  readonly compiler: string;
  /** Flag fHotPatch: compiled with /hotpatch. */
  readonly isHotPatchable: boolean;
}
/** The object file that the records are of. */
export interface ObjectNameSymbol extends SymbolPlace {
  /** The record's kind. */
  readonly kind: 'S_OBJNAME';
  /** Of precompiled headers; usually 0. */
  readonly signature: number;
  /** Path as the compiler was given it. */
  readonly name: string;
}
/** A function that was compiled to be part of a hotpatch. */
export interface HotPatchFunctionSymbol extends SymbolPlace {
  /** The record's kind. */
  readonly kind: 'S_HOTPATCHFUNC';
  /** Index of its LF_FUNC_ID or LF_MFUNC_ID in the IPI stream. */
  readonly functionId: number;
  /** The compiler's name: the linker's without x86 decoration, or, behind a byte 1, with it. May be empty. */
  readonly name: string;
}
/** A switch statement's jump table; not on ARM only, in spite of its name. */
export interface SwitchTableSymbol extends SymbolPlace {
  /** The record's kind. */
  readonly kind: 'S_ARMSWITCHTABLE';
  /** What the entries are relative to. */
  readonly base: SectionOffset;
  /** CV_armswitchtype. */
  readonly switchType: number;
  /** The jump that uses the table. */
  readonly branch: SectionOffset;
  /** Where the entries are. */
  readonly table: SectionOffset;
  /** How many there are. */
  readonly entries: number;
}
/** A record that the linker has blanked. */
export interface SkipSymbol extends SymbolPlace {
  /** The record's kind. */
  readonly kind: 'S_SKIP';
  /** Bytes of the record behind its kind. */
  readonly length: number;
}

/** A record of a module or of the global symbols, told apart by `kind`. */
export type CodeViewSymbol =
  | ProcedureSymbol
  | DataSymbol
  | PublicSymbol
  | LabelSymbol
  | ThunkSymbol
  | ProcedureReference
  | CompileSymbol
  | ObjectNameSymbol
  | HotPatchFunctionSymbol
  | SwitchTableSymbol
  | SkipSymbol;

const COMPILE_FLAG_HOT_PATCH = 1 << 14;

/**
 * Decodes the symbol records of `reader` from its position to `end`; kinds that are not in SYMBOL_KIND are
 * passed over.
 * @throws ImageError `codeview.record`, `truncated`, `string`
 */
export function* readSymbolRecords(reader: ByteReader, end = reader.length): Generator<CodeViewSymbol> {
  reader.need(0, end);
  const { bytes } = reader;
  const u16 = (at: number) => (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
  while (reader.position < end) {
    const at = reader.position;
    const length = u16(at);
    if (length < 2 || at + 2 + length > end) {
      throw reader.error('codeview.record', `a symbol record of ${hex(length)} bytes`, at);
    }
    reader.position = at + 2 + length;
    const kind = kindNames.get(u16(at + 2));
    if (kind !== undefined) yield decode(new CodeViewRecord(reader, at), kind);
  }
}

/** Decodes the one record at `at`, which begins with its length; undefined if its kind is not in SYMBOL_KIND. */
export function readSymbolRecord(reader: ByteReader, at: number): CodeViewSymbol | undefined {
  const kind = kindNames.get(reader.u16At(at + 2));
  return kind && decode(new CodeViewRecord(reader, at), kind);
}

const kindNames = new Map<number, SymbolKind>(
  Object.entries(SYMBOL_KIND).map(([name, kind]) => [kind, name as SymbolKind]),
);

function decode(record: CodeViewRecord, kind: SymbolKind): CodeViewSymbol {
  const { at } = record;
  switch (kind) {
    case 'S_GPROC32':
    case 'S_LPROC32':
    case 'S_GPROC32_ID':
    case 'S_LPROC32_ID':
      return {
        kind,
        at,
        end: record.u32(4),
        size: record.u32(12),
        debugStart: record.u32(16),
        debugEnd: record.u32(20),
        typeIndex: record.u32(24),
        section: record.u16(32),
        offset: record.u32(28),
        flags: record.u8(34),
        name: record.name(35),
      };
    case 'S_GDATA32':
    case 'S_LDATA32':
    case 'S_GTHREAD32':
    case 'S_LTHREAD32':
      return {
        kind,
        at,
        typeIndex: record.u32(0),
        section: record.u16(8),
        offset: record.u32(4),
        name: record.name(10),
      };
    case 'S_PUB32':
      return {
        kind,
        at,
        flags: record.u32(0),
        section: record.u16(8),
        offset: record.u32(4),
        name: record.name(10),
      };
    case 'S_LABEL32':
      return { kind, at, ...record.place(0), flags: record.u8(6), name: record.name(7) };
    case 'S_THUNK32':
      return {
        kind,
        at,
        ...record.place(12),
        size: record.u16(18),
        ordinal: record.u8(20),
        name: record.name(21),
      };
    case 'S_PROCREF':
    case 'S_LPROCREF':
      // The module is one-based here.
      return { kind, at, record: record.u32(4), module: record.u16(8) - 1, name: record.name(10) };
    case 'S_COMPILE2':
      return compileSymbol(record, kind, 3, 18);
    case 'S_COMPILE3':
      return compileSymbol(record, kind, 4, 22);
    case 'S_OBJNAME':
      return { kind, at, signature: record.u32(0), name: record.name(4) };
    case 'S_HOTPATCHFUNC':
      return { kind, at, functionId: record.u32(0), name: record.name(4) };
    case 'S_ARMSWITCHTABLE':
      return {
        kind,
        at,
        base: record.place(0),
        switchType: record.u16(6),
        branch: { offset: record.u32(8), section: record.u16(16) },
        table: { offset: record.u32(12), section: record.u16(18) },
        entries: record.u32(20),
      };
    case 'S_SKIP':
      return { kind, at, length: record.length };
  }
}

/** COMPILESYM has versions of three numbers, COMPILESYM3 of four. */
function compileSymbol(
  record: CodeViewRecord,
  kind: CompileSymbol['kind'],
  parts: number,
  text: number,
): CompileSymbol {
  const flags = record.u32(0);
  const version = (offset: number) =>
    Array.from({ length: parts }, (_, i) => record.u16(offset + i * 2)).join('.');
  return {
    kind,
    at: record.at,
    language: flags & 0xff,
    flags: (flags & ~0xff) >>> 0,
    machine: record.u16(4),
    frontEndVersion: version(6),
    backEndVersion: version(6 + parts * 2),
    compiler: record.name(text),
    isHotPatchable: (flags & COMPILE_FLAG_HOT_PATCH) !== 0,
  };
}
