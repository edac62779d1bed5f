import {
  type FunctionTableEntryX64,
  isX64Entry,
  type PeImage,
  readUnwindInfoX64,
  UNW_FLAG,
  UNWIND_REGISTERS_X64,
  type UnwindInfoX64,
} from '../../image/index.js';
import type { FrameRegisters } from '../threads/index.js';
import {
  type FrameHandlerFinder,
  readCode,
  readStack,
  type Unwinder,
  type UnwindSource,
} from './unwinder.js';

const LONGEST_CHAIN = 32;

/**
 * One frame by the unwind data of its function (x64 exception handling, "Unwind procedure"). A program counter without
 * unwind data, such as in the HPAT, in padding, or in a leaf function, has its return address on top of the stack.
 */
export const unwindX64: Unwinder = (registers, source, innermost) => {
  const pc = registers.get('rip') ?? 0n;
  const image = source.imageAt(pc);
  // A call can be the last instruction of a function; then the return address lies behind it.
  const rva = image === undefined ? -1 : image.rva(pc) - (innermost ? 0 : 1);
  const entry = image === undefined ? undefined : findEntry(image.image, rva);
  if (image === undefined || entry === undefined) return popReturnAddress(registers, source);
  const caller: FrameRegisters = new Map(registers);
  if (innermost && finishEpilog(caller, source, pc)) return popReturnAddress(caller, source);
  const offset = innermost ? rva - entry.beginAddress : Number.POSITIVE_INFINITY;
  return unwindEntry(image.image, entry, offset, caller, source)
    ? popReturnAddress(caller, source)
    : undefined;
};

/**
 * The language-specific handler of the function that a frame is in; undefined where it has none, and in its prolog and
 * epilogs, where none is called (x64 exception handling, "Unwind procedure").
 */
export const frameHandlerX64: FrameHandlerFinder = (registers, source, innermost) => {
  const pc = registers.get('rip') ?? 0n;
  const image = source.imageAt(pc);
  const rva = image === undefined ? -1 : image.rva(pc) - (innermost ? 0 : 1);
  const entry = image === undefined ? undefined : findEntry(image.image, rva);
  if (image === undefined || entry === undefined) return undefined;
  const own = readUnwindInfoX64(image.image, entry);
  let info = own;
  for (let chain = 0; info.chained !== undefined && chain < LONGEST_CHAIN; chain++)
    info = readUnwindInfoX64(image.image, info.chained);
  if (info.exceptionHandler === undefined || info.handlerData === undefined) return undefined;
  const inProlog = innermost && own.chained === undefined && rva - entry.beginAddress < own.sizeOfProlog;
  if (inProlog || (innermost && finishEpilog(new Map(registers), source, pc))) return undefined;
  const frame =
    info.frameRegister === undefined
      ? (registers.get('rsp') ?? 0n)
      : (registers.get(info.frameRegister) ?? 0n) - BigInt(info.frameOffset);
  return {
    image,
    beginAddress: entry.beginAddress,
    establisherFrame: frame,
    handler: image.address(info.exceptionHandler),
    handlerData: image.address(info.handlerData),
    forExceptions: (info.flags & UNW_FLAG.EHANDLER) !== 0,
    forUnwinding: (info.flags & UNW_FLAG.UHANDLER) !== 0,
  };
};

function findEntry(image: PeImage, rva: number): FunctionTableEntryX64 | undefined {
  const table = image.functionTable;
  let low = 0;
  let high = table.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((table[middle]?.beginAddress ?? 0) <= rva) low = middle + 1;
    else high = middle;
  }
  const entry = table[low - 1];
  return entry !== undefined && isX64Entry(entry) && rva < entry.endAddress ? entry : undefined;
}

function popReturnAddress(registers: FrameRegisters, source: UnwindSource): FrameRegisters | undefined {
  const rsp = registers.get('rsp') ?? 0n;
  const target = readStack(source, rsp, 8);
  if (target === undefined) return undefined;
  return new Map(registers).set('rip', target).set('rsp', rsp + 8n);
}

/** Undoes what the prolog has done up to `offset`; false when the stack cannot be read. */
function unwindEntry(
  image: PeImage,
  first: FunctionTableEntryX64,
  offset: number,
  registers: FrameRegisters,
  source: UnwindSource,
): boolean {
  let entry: FunctionTableEntryX64 | undefined = first;
  for (let chain = 0; entry !== undefined && chain < LONGEST_CHAIN; chain++) {
    const info = readUnwindInfoX64(image, entry);
    const done = chain === 0 ? offset : Number.POSITIVE_INFINITY;
    if (!undoCodes(info, done, registers, source)) return false;
    entry = info.chained;
  }
  return true;
}

function undoCodes(
  info: UnwindInfoX64,
  offset: number,
  registers: FrameRegisters,
  source: UnwindSource,
): boolean {
  const rsp = () => registers.get('rsp') ?? 0n;
  const isFrameSet = info.codes.some((code) => code.op === 'SET_FPREG' && code.codeOffset <= offset);
  const frame =
    info.frameRegister !== undefined && isFrameSet
      ? (registers.get(info.frameRegister) ?? 0n) - BigInt(info.frameOffset)
      : rsp();
  for (const code of info.codes) {
    if (code.codeOffset > offset) continue;
    switch (code.op) {
      case 'PUSH_NONVOL': {
        const value = readStack(source, rsp(), 8);
        if (value === undefined) return false;
        registers.set(code.register, value).set('rsp', rsp() + 8n);
        break;
      }
      case 'ALLOC_LARGE':
      case 'ALLOC_SMALL':
        registers.set('rsp', rsp() + BigInt(code.size));
        break;
      case 'SET_FPREG':
        registers.set('rsp', frame);
        break;
      case 'SAVE_NONVOL':
      case 'SAVE_NONVOL_FAR': {
        const value = readStack(source, frame + BigInt(code.offset), 8);
        if (value === undefined) return false;
        registers.set(code.register, value);
        break;
      }
      case 'SAVE_XMM128':
      case 'SAVE_XMM128_FAR': {
        if (!registers.has(code.register)) break;
        const low = readStack(source, frame + BigInt(code.offset), 8);
        const high = readStack(source, frame + BigInt(code.offset) + 8n, 8);
        if (low === undefined || high === undefined) return false;
        registers.set(code.register, low | (high << 64n));
        break;
      }
      case 'PUSH_MACHFRAME': {
        const at = rsp() + (code.errorCode ? 8n : 0n);
        const target = readStack(source, at + 24n, 8);
        if (target === undefined) return false;
        registers.set('rsp', target);
        break;
      }
      default:
        break;
    }
  }
  return true;
}

/**
 * When the rest of the function is an epilog (`add rsp` or `lea rsp`, pops, return or tail jump), performs the rest of
 * it up to the return.
 */
function finishEpilog(registers: FrameRegisters, source: UnwindSource, pc: bigint): boolean {
  const code = readCode(source, pc, 64);
  let at = 0;
  let rsp = registers.get('rsp') ?? 0n;
  const byte = (i: number) => code[at + i] ?? -1;
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  const restored = new Map<string, bigint>();
  const rex = byte(0);
  if (rex === 0x48 && byte(1) === 0x83 && byte(2) === 0xc4) {
    rsp += BigInt(view.getInt8(at + 3));
    at += 4;
  } else if (rex === 0x48 && byte(1) === 0x81 && byte(2) === 0xc4 && at + 7 <= code.length) {
    rsp += BigInt(view.getInt32(at + 3, true));
    at += 7;
  } else if ((rex === 0x48 || rex === 0x49) && byte(1) === 0x8d && (byte(2) & 0x38) === 0x20) {
    const base = UNWIND_REGISTERS_X64[(byte(2) & 7) + (rex === 0x49 ? 8 : 0)] ?? 'rsp';
    const mode = byte(2) >> 6;
    if (mode !== 1 && mode !== 2) return false;
    const from = restored.get(base) ?? registers.get(base) ?? 0n;
    rsp = from + BigInt(mode === 1 ? view.getInt8(at + 3) : view.getInt32(at + 3, true));
    at += mode === 1 ? 4 : 7;
  }
  for (;;) {
    const extended = byte(0) === 0x41;
    const opcode = byte(extended ? 1 : 0);
    if (opcode < 0x58 || opcode > 0x5f) break;
    const value = readStack(source, rsp, 8);
    if (value === undefined) return false;
    restored.set(UNWIND_REGISTERS_X64[(opcode & 7) + (extended ? 8 : 0)] ?? 'rax', value);
    rsp += 8n;
    at += extended ? 2 : 1;
  }
  const isReturn = byte(0) === 0xc3 || byte(0) === 0xc2 || (byte(0) === 0xf3 && byte(1) === 0xc3);
  // A tail call needs something undone before it: a lone jump is a branch inside the function.
  const isTailJump = at > 0 && (byte(0) === 0xe9 || (byte(0) === 0x48 && byte(1) === 0xff));
  if (!isReturn && !isTailJump) return false;
  for (const [name, value] of restored) registers.set(name, value);
  registers.set('rsp', rsp);
  return true;
}
