import type { PeImage } from '../image.js';
import type { ByteReader } from '../reader.js';
import { hex } from '../text.js';
import type { FunctionTableEntryX64 } from './function-table.js';

/** Unwind codes name registers by the number of their encoding. */
export const UNWIND_REGISTERS_X64 = [
  'rax',
  'rcx',
  'rdx',
  'rbx',
  'rsp',
  'rbp',
  'rsi',
  'rdi',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
] as const;

/** General registers, in the order of their numbers in unwind codes. */
export type RegisterX64 = (typeof UNWIND_REGISTERS_X64)[number];

/** UNWIND_CODE: what one prolog instruction did. `codeOffset` is the offset behind that instruction. */
export type UnwindCodeX64 = { readonly codeOffset: number } & (
  | { readonly op: 'PUSH_NONVOL'; readonly register: RegisterX64 }
  | { readonly op: 'ALLOC_LARGE' | 'ALLOC_SMALL'; readonly size: number }
  /** register = rsp + frameOffset of UNWIND_INFO */
  | { readonly op: 'SET_FPREG' }
  | {
      readonly op: 'SAVE_NONVOL' | 'SAVE_NONVOL_FAR';
      readonly register: RegisterX64;
      readonly offset: number;
    }
  | {
      readonly op: 'SAVE_XMM128' | 'SAVE_XMM128_FAR';
      readonly register: `xmm${number}`;
      readonly offset: number;
    }
  | { readonly op: 'PUSH_MACHFRAME'; readonly errorCode: boolean }
);

/** Version 2: where the function's epilogs begin; all are equally long. */
export interface EpilogsX64 {
  /** Bytes. */
  readonly size: number;
  /** Whether the function ends with an epilog; it is the first of the offsets. */
  readonly atEnd: boolean;
  /** Offsets of the epilogs from the function's end. */
  readonly offsetsFromEnd: readonly number[];
  /** Slots of the code array that describe epilogs, padding included. */
  readonly slots: number;
}

/** UNW_FLAG_*. */
export const UNW_FLAG = { EHANDLER: 1, UHANDLER: 2, CHAININFO: 4 } as const;

/** UNWIND_INFO (x64 exception handling, "struct UNWIND_INFO"). */
export interface UnwindInfoX64 {
  /** Of the structure. */
  readonly rva: number;
  /** 1 or 2. */
  readonly version: number;
  /** Bits of UNW_FLAG. */
  readonly flags: number;
  /** Bytes. */
  readonly sizeOfProlog: number;
  /** Number of 16-bit slots that the codes take. */
  readonly countOfCodes: number;
  /** Undefined: the function has no frame pointer. */
  readonly frameRegister?: RegisterX64;
  /** Bytes: 16 times the field. */
  readonly frameOffset: number;
  /** In file order: the last prolog instruction first. */
  readonly codes: readonly UnwindCodeX64[];
  /** Version 2. */
  readonly epilogs?: EpilogsX64;
  /** With EHANDLER or UHANDLER. */
  readonly exceptionHandler?: number;
  /** RVA of the language-specific data behind the handler. */
  readonly handlerData?: number;
  /** With CHAININFO: the entry whose codes come after these. */
  readonly chained?: FunctionTableEntryX64;
}

const HEADER_SIZE = 4;
const UWOP_EPILOG = 6;

/** Reads the UNWIND_INFO of an entry; an indirect entry is followed once. */
export function readUnwindInfoX64(image: PeImage, entry: FunctionTableEntryX64): UnwindInfoX64 {
  if ((entry.unwindInfoAddress & 1) !== 0) {
    const indirect = image.readerAt(entry.unwindInfoAddress - 1, 12, 'indirect RUNTIME_FUNCTION');
    return readUnwindInfoAt(image, (indirect.u32At(8) & ~1) >>> 0);
  }
  return readUnwindInfoAt(image, entry.unwindInfoAddress);
}

function readUnwindInfoAt(image: PeImage, rva: number): UnwindInfoX64 {
  const place = `UNWIND_INFO at ${hex(rva)}`;
  const header = image.readerAt(rva, HEADER_SIZE, place);
  const version = header.u8At(0) & 7;
  const flags = header.u8At(0) >>> 3;
  const countOfCodes = header.u8At(2);
  if (version !== 1 && version !== 2) throw header.error('unwind.version', `version ${version}`, 0);
  const frame = header.u8At(3);
  const frameRegister = (frame & 15) === 0 ? undefined : UNWIND_REGISTERS_X64[frame & 15];

  const slots = image.readerAt(rva + HEADER_SIZE, 2 * countOfCodes, `${place}, codes`);
  const epilogs = version === 2 ? readEpilogs(slots) : undefined;
  const codes = readCodes(slots);

  // The array of codes is padded to an even number of slots.
  const behind = rva + HEADER_SIZE + 2 * (countOfCodes + (countOfCodes & 1));
  const common = {
    rva,
    version,
    flags,
    sizeOfProlog: header.u8At(1),
    countOfCodes,
    ...(frameRegister === undefined ? {} : { frameRegister }),
    frameOffset: (frame >>> 4) * 16,
    codes,
    ...(epilogs === undefined ? {} : { epilogs }),
  };
  if ((flags & UNW_FLAG.CHAININFO) !== 0) {
    const chained = image.readerAt(behind, 12, `${place}, chained entry`);
    return {
      ...common,
      chained: {
        beginAddress: chained.u32At(0),
        endAddress: chained.u32At(4),
        unwindInfoAddress: chained.u32At(8),
      },
    };
  }
  if ((flags & (UNW_FLAG.EHANDLER | UNW_FLAG.UHANDLER)) !== 0) {
    return { ...common, exceptionHandler: image.u32At(behind, `${place}, handler`), handlerData: behind + 4 };
  }
  return common;
}

/**
 * Version 2 begins with UWOP_EPILOG slots. The first holds the epilogs' length and, in bit 0 of its info, whether one
 * ends the function; each further one holds a 12-bit offset from the function's end, 0 as padding.
 */
function readEpilogs(codes: ByteReader): EpilogsX64 | undefined {
  let size: number | undefined;
  let atEnd = false;
  let slots = 0;
  const offsetsFromEnd: number[] = [];
  for (; codes.remaining >= 2 && (codes.u8At(codes.position + 1) & 15) === UWOP_EPILOG; slots++) {
    const low = codes.u8();
    const info = codes.u8() >>> 4;
    if (size === undefined) {
      size = low;
      atEnd = (info & 1) !== 0;
      if (atEnd) offsetsFromEnd.push(size);
    } else {
      const offset = (info << 8) | low;
      if (offset !== 0) offsetsFromEnd.push(offset);
    }
  }
  return size === undefined ? undefined : { size, atEnd, offsetsFromEnd, slots };
}

function readCodes(slots: ByteReader): UnwindCodeX64[] {
  const codes: UnwindCodeX64[] = [];
  while (slots.remaining >= 2) {
    const start = slots.position;
    const codeOffset = slots.u8();
    const opAndInfo = slots.u8();
    const info = opAndInfo >>> 4;
    const register = UNWIND_REGISTERS_X64[info] ?? 'rax';
    switch (opAndInfo & 15) {
      case 0:
        codes.push({ codeOffset, op: 'PUSH_NONVOL', register });
        break;
      case 1:
        if (info > 1) throw slots.error('unwind.code', `ALLOC_LARGE with info ${info}`, start);
        codes.push({ codeOffset, op: 'ALLOC_LARGE', size: info === 0 ? 8 * slots.u16() : slots.u32() });
        break;
      case 2:
        codes.push({ codeOffset, op: 'ALLOC_SMALL', size: 8 * info + 8 });
        break;
      case 3:
        codes.push({ codeOffset, op: 'SET_FPREG' });
        break;
      case 4:
        codes.push({ codeOffset, op: 'SAVE_NONVOL', register, offset: 8 * slots.u16() });
        break;
      case 5:
        codes.push({ codeOffset, op: 'SAVE_NONVOL_FAR', register, offset: slots.u32() });
        break;
      case 8:
        codes.push({ codeOffset, op: 'SAVE_XMM128', register: `xmm${info}`, offset: 16 * slots.u16() });
        break;
      case 9:
        codes.push({ codeOffset, op: 'SAVE_XMM128_FAR', register: `xmm${info}`, offset: slots.u32() });
        break;
      case 10:
        codes.push({ codeOffset, op: 'PUSH_MACHFRAME', errorCode: info === 1 });
        break;
      default:
        throw slots.error('unwind.code', `operation ${opAndInfo & 15} is unknown`, start);
    }
  }
  return codes;
}
