import {
  type FunctionTableEntryArm64,
  isX64Entry,
  type PeImage,
  type PrologStepArm64,
  readUnwindInfoArm64,
  type UnwindCodeArm64,
  type UnwindInfoArm64,
} from '../../image/index.js';
import type { FrameRegisters } from '../threads/index.js';
import { type FrameHandlerFinder, readStack, type Unwinder, type UnwindSource } from './unwinder.js';

/** One frame by its .xdata record or packed word (ARM64 exception handling). Without unwind data: a leaf, which returns to lr. */
export const unwindArm64: Unwinder = (registers, source, innermost) => {
  const pc = registers.get('pc') ?? 0n;
  const image = source.imageAt(pc);
  const rva = image === undefined ? -1 : image.rva(pc) - (innermost ? 0 : 4);
  const entry = image === undefined ? undefined : findEntry(image.image, rva);
  const caller: FrameRegisters = new Map(registers);
  if (image !== undefined && entry !== undefined) {
    const info = readUnwindInfoArm64(image.image, entry);
    const offset = rva - entry.beginAddress;
    if (offset < info.functionLength) {
      const steps = innermost ? stepsToUndo(info, offset) : allSteps(info);
      for (const step of steps) if (!undo(step, caller, source)) return undefined;
    } else if (!innermost) return undefined;
  } else if (!innermost) return undefined;
  return caller.set('pc', caller.get('x30') ?? 0n);
};

/**
 * The language-specific handler of the function that a frame is in; undefined where it has none, and in its prolog and
 * epilogs. Its establisher frame is the stack pointer that the function was entered with.
 */
export const frameHandlerArm64: FrameHandlerFinder = (registers, source, innermost) => {
  const pc = registers.get('pc') ?? 0n;
  const image = source.imageAt(pc);
  const rva = image === undefined ? -1 : image.rva(pc) - (innermost ? 0 : 4);
  const entry = image === undefined ? undefined : findEntry(image.image, rva);
  if (image === undefined || entry === undefined) return undefined;
  const info = readUnwindInfoArm64(image.image, entry);
  if (info.form !== 'xdata' || info.exceptionHandler === undefined || info.handlerData === undefined)
    return undefined;
  const offset = rva - entry.beginAddress;
  if (offset >= info.functionLength) return undefined;
  if (innermost && stepsToUndo(info, offset).length < allSteps(info).length) return undefined;
  const caller = unwindArm64(registers, source, innermost);
  if (caller === undefined) return undefined;
  return {
    image,
    beginAddress: entry.beginAddress,
    establisherFrame: caller.get('sp') ?? 0n,
    handler: image.address(info.exceptionHandler),
    handlerData: image.address(info.handlerData),
    forExceptions: true,
    forUnwinding: true,
  };
};

function findEntry(image: PeImage, rva: number): FunctionTableEntryArm64 | undefined {
  const table = image.functionTable;
  let low = 0;
  let high = table.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((table[middle]?.beginAddress ?? 0) <= rva) low = middle + 1;
    else high = middle;
  }
  const entry = table[low - 1];
  return entry === undefined || isX64Entry(entry) ? undefined : entry;
}

type Step = PrologStepArm64 | UnwindCodeArm64;

/** The whole prolog, last instruction first. */
function allSteps(info: UnwindInfoArm64): Step[] {
  return info.form === 'packed' ? [...info.prolog].reverse() : expandSaveNext(info.prolog);
}

/** What has been done at `offset` bytes from the function's start: part of the prolog, all of it, or less in an epilog. */
function stepsToUndo(info: UnwindInfoArm64, offset: number): Step[] {
  const steps = allSteps(info).filter((step) => step.op !== 'end');
  const instructions = offset / 4;
  if (info.form === 'packed') {
    // Homing stores are part of the prolog's length, and the canonical epilog mirrors the rest.
    if (instructions < steps.length) return steps.slice(steps.length - instructions);
    const epilog = steps.filter((step) => step.op !== 'set_fp' && !isHome(step));
    const intoEpilog = instructions - (info.functionLength / 4 - epilog.length - 1);
    return info.flag === 1 && intoEpilog > 0 ? epilog.slice(intoEpilog) : steps;
  }
  if (instructions < steps.length) return steps.slice(steps.length - instructions);
  for (const { startOffset, codes } of info.epilogs) {
    const undone = (offset - startOffset) / 4;
    const epilog = expandSaveNext(codes);
    if (undone >= 0 && undone < epilog.length) return epilog.slice(undone);
  }
  return steps;
}

function isHome(step: Step): boolean {
  return step.op === 'save' && ['x0', 'x2', 'x4', 'x6'].includes(step.registers[0] ?? '');
}

/** `save_next` stands for the pair behind that of the code before it in the prolog, which comes after it in the list. */
function expandSaveNext(codes: readonly UnwindCodeArm64[]): Step[] {
  const steps: Step[] = [];
  codes.forEach((code, index) => {
    if (code.op !== 'save_next') {
      steps.push(code);
      return;
    }
    let distance = 0;
    let base = codes[index];
    while (base?.op === 'save_next') base = codes[index + ++distance];
    if (base?.op !== 'save') return;
    const [first = 'x19'] = base.registers;
    const number = Number(first.slice(1)) + 2 * distance;
    const start = base.preIndexed ? 0 : base.offset;
    steps.push({
      op: 'save',
      registers: [`${first[0] === 'd' ? 'd' : 'x'}${number}`, `${first[0] === 'd' ? 'd' : 'x'}${number + 1}`],
      offset: start + 16 * distance,
      preIndexed: false,
    });
  });
  return steps.filter((step) => step.op !== 'end');
}

const NAMES: Readonly<Record<string, string>> = { fp: 'x29', lr: 'x30' };
/** Bit 55 tells the two halves of the address space apart; the bits above may hold a pointer authentication code. */
const SIGN_BIT = 55;

function undo(step: Step, registers: FrameRegisters, source: UnwindSource): boolean {
  const sp = registers.get('sp') ?? 0n;
  switch (step.op) {
    case 'alloc':
      registers.set('sp', sp + BigInt(step.size));
      return true;
    case 'set_fp':
      registers.set('sp', registers.get('x29') ?? 0n);
      return true;
    case 'add_fp':
      registers.set('sp', (registers.get('x29') ?? 0n) - BigInt(step.offset));
      return true;
    case 'pac_sign_lr':
      registers.set('x30', BigInt.asUintN(64, BigInt.asIntN(SIGN_BIT + 1, registers.get('x30') ?? 0n)));
      return true;
    case 'save': {
      const from = step.preIndexed ? sp : sp + BigInt(step.offset);
      const size = step.registers[0]?.startsWith('q') ? 16n : 8n;
      for (const [i, register] of step.registers.entries()) {
        const value = readStack(source, from + BigInt(i) * size, 8);
        if (value === undefined) return false;
        const name = NAMES[register] ?? register.replace(/^q/, 'd');
        if (!name.startsWith('d') || registers.has(name)) registers.set(name, value);
      }
      if (step.preIndexed) registers.set('sp', sp + BigInt(step.offset));
      return true;
    }
    default:
      return true;
  }
}
