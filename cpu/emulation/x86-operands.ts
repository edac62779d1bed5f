import type { Instruction } from 'iced-x86';
import { type Iced, iced } from '../instruction/x86.js';
import type { Processor } from '../processor.js';
import type { Moment } from './emulation.js';

interface RegisterPart {
  /** Name of the 64-bit register. */
  readonly full: string;
  readonly size: number;
  /** 8 for ah and its like. */
  readonly shift: bigint;
}

const LEGACY = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'] as const;

function registerParts(): ReadonlyMap<string, RegisterPart> {
  const parts = new Map<string, RegisterPart>();
  for (const name of LEGACY) {
    const full = `r${name}`;
    parts.set(full, { full, size: 64, shift: 0n });
    parts.set(`e${name}`, { full, size: 32, shift: 0n });
    parts.set(name, { full, size: 16, shift: 0n });
    const [letter = ''] = name;
    const isData = name.endsWith('x');
    parts.set(isData ? `${letter}l` : `${name}l`, { full, size: 8, shift: 0n });
    if (isData) parts.set(`${letter}h`, { full, size: 8, shift: 8n });
  }
  for (let number = 8; number < 16; number++) {
    const full = `r${number}`;
    parts.set(full, { full, size: 64, shift: 0n });
    parts.set(`${full}d`, { full, size: 32, shift: 0n });
    parts.set(`${full}w`, { full, size: 16, shift: 0n });
    parts.set(`${full}l`, { full, size: 8, shift: 0n });
    parts.set(`${full}b`, { full, size: 8, shift: 0n });
  }
  return parts;
}

const PARTS = registerParts();
let numbers: readonly (RegisterPart | undefined)[] | undefined;

/** By iced's register numbers. */
function partOf(register: number): RegisterPart {
  numbers ??= partsByNumber(iced());
  const part = numbers[register];
  if (part === undefined) throw new RangeError(`register ${register} is not a general register`);
  return part;
}

function partsByNumber({ Register }: Iced): (RegisterPart | undefined)[] {
  const parts: (RegisterPart | undefined)[] = [];
  for (const [name, number] of Object.entries(Register)) {
    if (typeof number === 'number') parts[number] = PARTS.get(name.toLowerCase());
  }
  return parts;
}

export function readGeneral(processor: Processor, register: number): bigint {
  const { full, size, shift } = partOf(register);
  return BigInt.asUintN(size, processor.get(full) >> shift);
}

/** 32-bit results clear the upper half; smaller ones leave the rest. */
export function writeGeneral(processor: Processor, register: number, value: bigint): void {
  const { full, size, shift } = partOf(register);
  if (size >= 32) {
    processor.set(full, BigInt.asUintN(size, value));
    return;
  }
  const mask = ((1n << BigInt(size)) - 1n) << shift;
  processor.set(full, (processor.get(full) & ~mask) | (BigInt.asUintN(size, value) << shift));
}

/** What an operand needs of an instruction, read once, since iced's own objects are freed. */
export interface Operand {
  readonly size: number;
  address(processor: Processor): bigint;
  read(moment: Moment): bigint;
  /** The value, with the right to write there. */
  readForWrite(moment: Moment): bigint;
  write(moment: Moment, value: bigint): void;
}

/** Operand `index`, a general register or memory, of `size` bits. */
export function operandOf(instruction: Instruction, index: number, size: number): Operand {
  const { OpKind } = iced();
  if (instruction.opKind(index) === OpKind.Register) {
    const register = instruction.opRegister(index);
    return {
      size,
      address: () => 0n,
      read: ({ processor }) => readGeneral(processor, register),
      readForWrite: ({ processor }) => readGeneral(processor, register),
      write: ({ processor }, value) => writeGeneral(processor, register, value),
    };
  }
  const address = memoryAddress(instruction);
  const bytes = size / 8;
  return {
    size,
    address,
    read: (moment) => moment.read(address(moment.processor), bytes),
    readForWrite: (moment) => moment.readForWrite(address(moment.processor), bytes),
    write: (moment, value) => moment.write(address(moment.processor), bytes, BigInt.asUintN(size, value)),
  };
}

/** The effective address of the memory operand (Intel SDM vol. 1, "Specifying an Offset"). */
export function memoryAddress(instruction: Instruction): (processor: Processor) => bigint {
  const { Register } = iced();
  const { memoryIndexScale, memoryDisplacement } = instruction;
  const { memorySegment, memoryIndex } = instruction;
  const isRelative = instruction.isIpRelMemoryOperand;
  const relative = isRelative ? instruction.ipRelMemoryAddress : 0n;
  const base = isRelative ? Register.None : instruction.memoryBase;
  const sizes = [base, memoryIndex].filter((register) => register !== Register.None);
  const widths = sizes.map((register) => partOf(register).size);
  const given = instruction.memoryDisplSize * 8;
  const width = widths[0] ?? (given >= 16 ? given : 64);
  const segment =
    memorySegment === Register.FS ? 'fs.base' : memorySegment === Register.GS ? 'gs.base' : undefined;
  return (processor) => {
    let offset = isRelative ? relative : memoryDisplacement;
    if (base !== Register.None) offset += readGeneral(processor, base);
    if (memoryIndex !== Register.None)
      offset += readGeneral(processor, memoryIndex) * BigInt(memoryIndexScale);
    const linear =
      BigInt.asUintN(Math.min(width, processor.bits), offset) +
      (segment === undefined ? 0n : processor.get(segment));
    return BigInt.asUintN(processor.bits, linear);
  };
}
