import type { ByteReader } from '../reader.js';
import { hex } from '../text.js';
import type { SectionOffset, SymbolPlace } from './codeview.js';
import { CodeViewRecord } from './codeview-record.js';

/** Records inside procedures: what was inlined, and where the variables are (cvinfo.h of microsoft-pdb). */
export const SCOPE_KIND = {
  S_FRAMEPROC: 0x1012,
  S_BLOCK32: 0x1103,
  S_BPREL32: 0x110b,
  S_REGREL32: 0x1111,
  S_LOCAL: 0x113e,
  S_DEFRANGE_REGISTER: 0x1141,
  S_DEFRANGE_FRAMEPOINTER_REL: 0x1142,
  S_DEFRANGE_FRAMEPOINTER_REL_FULL_SCOPE: 0x1144,
  S_DEFRANGE_REGISTER_REL: 0x1145,
  S_INLINESITE: 0x114d,
  S_INLINESITE2: 0x115d,
} as const;
type ScopeKind = keyof typeof SCOPE_KIND;

/** A call that was inlined: its code is described by `annotations`. */
export interface InlineSiteSymbol extends SymbolPlace {
  /** The record's kind. */
  readonly kind: 'S_INLINESITE';
  /** Offset of the record that ends it. */
  readonly end: number;
  /** IPI index of the inlined function's LF_FUNC_ID or LF_MFUNC_ID. */
  readonly inlinee: number;
  /** Binary annotations: where its code is, and of which lines. */
  readonly annotations: Uint8Array;
}

/** Braces with variables of their own. */
export interface BlockSymbol extends SymbolPlace, SectionOffset {
  /** The record's kind. */
  readonly kind: 'S_BLOCK32';
  /** Offset of the record that ends it. */
  readonly end: number;
  /** Bytes of code. */
  readonly size: number;
}

/** Of a procedure: how its frame is made, and which registers S_DEFRANGE_FRAMEPOINTER_REL counts from. */
export interface FrameSymbol extends SymbolPlace {
  /** The record's kind. */
  readonly kind: 'S_FRAMEPROC';
  /** Bytes of the frame. */
  readonly frameSize: number;
  /** Bytes of what the prologue pushes. */
  readonly savedRegistersSize: number;
  /** Encoded registers: 0 none, 1 stack pointer, 2 frame pointer, 3 base pointer. */
  readonly localBasePointer: number;
  /** The same of parameters. */
  readonly parameterBasePointer: number;
}

/** A local variable or parameter; where it is say the ranges that follow. */
export interface LocalSymbol extends SymbolPlace {
  /** The record's kind. */
  readonly kind: 'S_LOCAL';
  /** In the source. */
  readonly name: string;
  /** TPI index of its type. */
  readonly typeIndex: number;
  /** Is it a parameter? */
  readonly isParameter: boolean;
  /** Has the compiler left nothing of it? */
  readonly isOptimizedOut: boolean;
}

/** A variable at an offset from a register, for the whole of its scope. */
export interface RegisterRelativeSymbol extends SymbolPlace {
  /** The record's kind. */
  readonly kind: 'S_REGREL32' | 'S_BPREL32';
  /** In the source. */
  readonly name: string;
  /** TPI index of its type. */
  readonly typeIndex: number;
  /** CV_HREG_e of the image's machine; undefined for the frame pointer of S_BPREL32. */
  readonly register?: number;
  /** Bytes. */
  readonly offset: number;
}

/** Code for which a variable's place holds, less its gaps. */
export interface VariableRange extends SectionOffset {
  /** Bytes of code. */
  readonly size: number;
  /** Stretches of it, from its start, in which it does not hold. */
  readonly gaps: readonly { readonly start: number; readonly size: number }[];
}

/** Where the variable is whose {@link LocalSymbol} came before. */
export interface VariableLocationSymbol extends SymbolPlace {
  /** The record's kind. */
  readonly kind:
    | 'S_DEFRANGE_REGISTER'
    | 'S_DEFRANGE_FRAMEPOINTER_REL'
    | 'S_DEFRANGE_FRAMEPOINTER_REL_FULL_SCOPE'
    | 'S_DEFRANGE_REGISTER_REL';
  /** CV_HREG_e; undefined for what counts from the frame's base pointer. */
  readonly register?: number;
  /** Bytes from the register; undefined when the variable is the register. */
  readonly offset?: number;
  /** Undefined: the whole scope. */
  readonly range?: VariableRange;
}

/** A record that tells of scopes and variables, told apart by `kind`. */
export type ScopeSymbol =
  | InlineSiteSymbol
  | BlockSymbol
  | FrameSymbol
  | LocalSymbol
  | RegisterRelativeSymbol
  | VariableLocationSymbol;

const kinds = new Map<number, ScopeKind>(
  Object.entries(SCOPE_KIND).map(([name, kind]) => [kind, name as ScopeKind]),
);

const LOCAL_PARAMETER = 1 << 0;
const LOCAL_OPTIMIZED_OUT = 1 << 8;

/**
 * Decodes the records of `reader`, from its position to `end`, that describe scopes and variables; others are passed over.
 * @throws ImageError `codeview.record`, `truncated`
 */
export function* readScopeRecords(reader: ByteReader, end = reader.length): Generator<ScopeSymbol> {
  reader.need(0, end);
  while (reader.position < end) {
    const at = reader.position;
    const length = reader.u16At(at);
    if (length < 2 || at + 2 + length > end) {
      throw reader.error('codeview.record', `a symbol record of ${hex(length)} bytes`, at);
    }
    reader.position = at + 2 + length;
    const kind = kinds.get(reader.u16At(at + 2));
    if (kind !== undefined) yield decode(new CodeViewRecord(reader, at), kind);
  }
}

function decode(record: CodeViewRecord, kind: ScopeKind): ScopeSymbol {
  const { at } = record;
  switch (kind) {
    case 'S_INLINESITE':
    case 'S_INLINESITE2': {
      const annotations = record.rest(kind === 'S_INLINESITE' ? 12 : 16);
      return { kind: 'S_INLINESITE', at, end: record.u32(4), inlinee: record.u32(8), annotations };
    }
    case 'S_BLOCK32':
      return { kind, at, end: record.u32(4), size: record.u32(8), ...record.place(12) };
    case 'S_FRAMEPROC': {
      const flags = record.u32(22);
      return {
        kind,
        at,
        frameSize: record.u32(0),
        savedRegistersSize: record.u32(12),
        localBasePointer: (flags >>> 14) & 3,
        parameterBasePointer: (flags >>> 16) & 3,
      };
    }
    case 'S_LOCAL': {
      const flags = record.u16(4);
      return {
        kind,
        at,
        typeIndex: record.u32(0),
        isParameter: (flags & LOCAL_PARAMETER) !== 0,
        isOptimizedOut: (flags & LOCAL_OPTIMIZED_OUT) !== 0,
        name: record.name(6),
      };
    }
    case 'S_REGREL32':
      return {
        kind,
        at,
        offset: record.i32(0),
        typeIndex: record.u32(4),
        register: record.u16(8),
        name: record.name(10),
      };
    case 'S_BPREL32':
      return { kind, at, offset: record.i32(0), typeIndex: record.u32(4), name: record.name(8) };
    case 'S_DEFRANGE_REGISTER':
      return { kind, at, register: record.u16(0), range: range(record, 4) };
    case 'S_DEFRANGE_FRAMEPOINTER_REL':
      return { kind, at, offset: record.i32(0), range: range(record, 4) };
    case 'S_DEFRANGE_FRAMEPOINTER_REL_FULL_SCOPE':
      return { kind, at, offset: record.i32(0) };
    case 'S_DEFRANGE_REGISTER_REL':
      return { kind, at, register: record.u16(0), offset: record.i32(4), range: range(record, 8) };
  }
}

/** CV_LVAR_ADDR_RANGE and the CV_LVAR_ADDR_GAPs behind it. */
function range(record: CodeViewRecord, offset: number): VariableRange {
  const gaps: { start: number; size: number }[] = [];
  for (let at = offset + 8; at + 4 <= record.length; at += 4) {
    gaps.push({ start: record.u16(at), size: record.u16(at + 2) });
  }
  return { offset: record.u32(offset), section: record.u16(offset + 4), size: record.u16(offset + 6), gaps };
}
