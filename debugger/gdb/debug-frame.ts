import type { ArchitectureName } from '../../cpu/index.js';
import {
  isExecutable,
  isX64Entry,
  type PeImage,
  POINTER_SIZE,
  type PrologStepArm64,
  readUnwindInfoArm64,
  readUnwindInfoX64,
  type UnwindCodeArm64,
  type UnwindInfoX64,
} from '../../image/index.js';
import type { LoadedImage } from '../../loader/index.js';
import { CallFrames, DW_CFA } from './dwarf.js';

/**
 * The unwind data of an image as DWARF's .debug_frame. Code without unwind data (leaf functions, padding, the HPAT) has
 * pushed nothing. Epilogs are not described.
 */
export function debugFrame(image: LoadedImage): Uint8Array {
  const { functions, returnAddress, start } = UNWINDING[image.domain.architecture.name];
  if (functions === undefined) return new Uint8Array();
  const frames = new CallFrames(returnAddress, start);
  const covered = functions(image.image, frames);
  for (const [start, end] of gaps(image, covered)) frames.add(start, end - start, []);
  return frames.bytes();
}

/** Unwind data that ends every stack that leads to these addresses. */
export function stackEnd(architecture: ArchitectureName, start: bigint, size: number): Uint8Array {
  const { returnAddress, stackPointer } = UNWINDING[architecture];
  const frames = new CallFrames(returnAddress, [DW_CFA.defCfa(stackPointer, 0)], POINTER_SIZE[architecture]);
  frames.add(start, size, [DW_CFA.undefined(returnAddress)]);
  return frames.bytes();
}

type Range = readonly [start: number, end: number];

/** The parts of executable sections and of the HPAT that no unwind data covers. */
function gaps(image: LoadedImage, covered: readonly Range[]): Range[] {
  const code = image.executableSections
    .filter(isExecutable)
    .map(({ virtualAddress, virtualSize }): Range => [virtualAddress, virtualAddress + virtualSize]);
  if (image.hpat !== undefined) {
    const start = image.rva(image.hpat.base);
    code.push([start, start + image.hpat.reserveSize]);
  }
  const sorted = [...covered].sort(([a], [b]) => a - b);
  return code.flatMap(([start, end]) => {
    const found: Range[] = [];
    let at = start;
    for (const [from, to] of sorted) {
      if (from < start || from >= end) continue;
      if (from > at) found.push([at, from]);
      at = Math.max(at, to);
    }
    if (at < end) found.push([at, end]);
    return found;
  });
}

/** DWARF's numbers (System V ABI, AMD64 supplement) for the registers as UNWIND_INFO numbers them by name. */
const X64_REGISTERS: Readonly<Record<string, number>> = {
  rax: 0,
  rdx: 1,
  rcx: 2,
  rbx: 3,
  rsi: 4,
  rdi: 5,
  rbp: 6,
  rsp: 7,
  r8: 8,
  r9: 9,
  r10: 10,
  r11: 11,
  r12: 12,
  r13: 13,
  r14: 14,
  r15: 15,
};
const X64_RETURN_ADDRESS = 16;
const X86_RETURN_ADDRESS = 8;
const X64_START = [DW_CFA.defCfa(7, 8), DW_CFA.offset(X64_RETURN_ADDRESS, 8)];

function x64Functions(image: PeImage, frames: CallFrames): Range[] {
  return image.functionTable.filter(isX64Entry).map((entry): Range => {
    const rules: (readonly number[])[] = [];
    const infos: UnwindInfoX64[] = [];
    for (let next: typeof entry | undefined = entry; next !== undefined && infos.length < 32; ) {
      const info = readUnwindInfoX64(image, next);
      infos.unshift(info);
      next = info.chained;
    }
    const frame = { size: 8, at: 0 };
    for (const [index, info] of infos.entries()) x64Prolog(info, index === infos.length - 1, frame, rules);
    frames.add(entry.beginAddress, entry.endAddress - entry.beginAddress, rules);
    return [entry.beginAddress, entry.endAddress];
  });
}

/** `frame.size`: the CFA's distance from rsp. What a chained function's parents have done is done at its first byte. */
function x64Prolog(
  info: UnwindInfoX64,
  isOwn: boolean,
  frame: { size: number; at: number },
  rules: (readonly number[])[],
): void {
  let byRegister = false;
  for (const code of [...info.codes].reverse()) {
    if (isOwn && code.codeOffset > frame.at) {
      rules.push(DW_CFA.advance(code.codeOffset - frame.at));
      frame.at = code.codeOffset;
    }
    if (code.op === 'PUSH_NONVOL') {
      frame.size += 8;
      if (!byRegister) rules.push(DW_CFA.defCfaOffset(frame.size));
      rules.push(DW_CFA.offset(X64_REGISTERS[code.register] ?? 0, frame.size));
    } else if (code.op === 'ALLOC_SMALL' || code.op === 'ALLOC_LARGE') {
      frame.size += code.size;
      if (!byRegister) rules.push(DW_CFA.defCfaOffset(frame.size));
    } else if (code.op === 'SET_FPREG') {
      byRegister = true;
      rules.push(
        DW_CFA.defCfa(X64_REGISTERS[info.frameRegister ?? 'rbp'] ?? 6, frame.size - info.frameOffset),
      );
    } else if (code.op === 'SAVE_NONVOL' || code.op === 'SAVE_NONVOL_FAR')
      rules.push(DW_CFA.offset(X64_REGISTERS[code.register] ?? 0, frame.size - code.offset));
  }
}

const X29 = 29;
const X30 = 30;
const SP = 31;
const ARM64_START = [DW_CFA.defCfa(SP, 0)];

function arm64Functions(image: PeImage, frames: CallFrames): Range[] {
  return image.functionTable.flatMap((entry): Range[] => {
    if (isX64Entry(entry)) return [];
    const info = readUnwindInfoArm64(image, entry);
    const prolog: readonly (PrologStepArm64 | UnwindCodeArm64)[] =
      info.form === 'packed' ? info.prolog : [...info.prolog].reverse().filter(({ op }) => op !== 'end');
    frames.add(entry.beginAddress, info.functionLength, arm64Prolog(prolog));
    return [[entry.beginAddress, entry.beginAddress + info.functionLength]];
  });
}

function arm64Prolog(prolog: readonly (PrologStepArm64 | UnwindCodeArm64)[]): (readonly number[])[] {
  const rules: (readonly number[])[] = [];
  /** The CFA's distance from sp. */
  let size = 0;
  let byRegister = false;
  const grow = (bytes: number) => {
    size += bytes;
    if (!byRegister) rules.push(DW_CFA.defCfaOffset(size));
  };
  for (const step of prolog) {
    rules.push(DW_CFA.advance(4));
    if (step.op === 'alloc') grow(step.size);
    else if (step.op === 'set_fp' || step.op === 'add_fp') {
      byRegister = true;
      rules.push(DW_CFA.defCfa(X29, size - (step.op === 'add_fp' ? step.offset : 0)));
    } else if (step.op === 'save') {
      if (step.preIndexed) grow(step.offset);
      const start = size - (step.preIndexed ? 0 : step.offset);
      for (const [index, register] of step.registers.entries()) {
        const number = arm64Number(register);
        if (number >= 0) rules.push(DW_CFA.offset(number, start - 8 * index));
      }
    }
  }
  return rules;
}

/** DWARF's number of a general register; -1 for others. */
function arm64Number(register: string): number {
  if (register === 'fp') return X29;
  if (register === 'lr') return X30;
  return register.startsWith('x') ? Number(register.slice(1)) : -1;
}

/** Registers by DWARF's numbers; images of x86 have no unwind data. */
interface Unwinding {
  readonly returnAddress: number;
  readonly stackPointer: number;
  /** The rules at a function's first byte. */
  readonly start: readonly (readonly number[])[];
  readonly functions?: (image: PeImage, frames: CallFrames) => Range[];
}

const UNWINDING: Readonly<Record<ArchitectureName, Unwinding>> = {
  x64: { returnAddress: X64_RETURN_ADDRESS, stackPointer: 7, start: X64_START, functions: x64Functions },
  x86: { returnAddress: X86_RETURN_ADDRESS, stackPointer: 4, start: [] },
  arm64: { returnAddress: X30, stackPointer: SP, start: ARM64_START, functions: arm64Functions },
};
