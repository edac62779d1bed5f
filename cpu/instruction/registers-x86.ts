import type { Instruction, InstructionInfo, InstructionInfoFactory } from 'iced-x86';
import { type MemoryUse, partsOfRegister, type RegisterUse } from './register-use.js';
import { iced, withInstruction } from './x86.js';

let factory: InstructionInfoFactory | undefined;

interface NamedRegister {
  readonly name: string;
  /** Writing it leaves nothing of what was in the whole register. */
  readonly isWhole: boolean;
  /** What of the whole register it is. */
  readonly parts: readonly string[];
}

const names = new Map<number, NamedRegister>();

export function registersX86(bits: 32 | 64, bytes: Uint8Array, at: bigint): RegisterUse {
  return withInstruction(bits, bytes, at, (instruction) => {
    const { InstructionInfoFactory, Mnemonic, OpKind } = iced();
    factory ??= new InstructionInfoFactory();
    const info = factory.info(instruction);
    try {
      const sets = registersOf(info);
      const explicit = explicitRegisters(instruction);
      const isPush = instruction.mnemonic === Mnemonic.Push;
      const isStackForm = instruction.isStackInstruction;
      return {
        ...sets,
        implicit: sets.writes.filter((name) => !explicit.has(name)),
        memory: memoryOf(info),
        isPush,
        isComparison: instruction.mnemonic === Mnemonic.Cmp,
        comparesConstant: instruction.mnemonic === Mnemonic.Cmp && hasImmediate(instruction),
        isMove: instruction.mnemonic === Mnemonic.Mov && instruction.opKind(1) === OpKind.Register,
        ...(isStackForm ? { stackPointerIncrement: instruction.stackPointerIncrement } : {}),
      };
    } finally {
      info.free();
    }
  });
}

function registersOf(
  info: InstructionInfo,
): Pick<RegisterUse, 'reads' | 'writes' | 'changes' | 'readParts' | 'writtenParts'> {
  const { OpAccess } = iced();
  const reads = new Set<string>();
  const readParts = new Set<string>();
  const writtenParts = new Set<string>();
  const writes = new Set<string>();
  const changes = new Set<string>();
  for (const used of info.usedRegisters()) {
    const { register, access } = used;
    used.free();
    const { name, isWhole, parts } = nameOf(register);
    const read = () => {
      reads.add(name);
      for (const part of parts) readParts.add(part);
    };
    const write = () => {
      (isWhole ? writes : changes).add(name);
      for (const part of parts) writtenParts.add(part);
    };
    switch (access) {
      case OpAccess.Read:
      case OpAccess.CondRead:
        read();
        break;
      case OpAccess.Write:
        write();
        break;
      case OpAccess.ReadWrite:
        read();
        write();
        break;
      case OpAccess.ReadCondWrite:
        read();
        changes.add(name);
        break;
      case OpAccess.CondWrite:
        changes.add(name);
        break;
    }
  }
  return {
    reads: [...reads],
    writes: [...writes],
    changes: [...changes],
    readParts: [...readParts],
    writtenParts: [...writtenParts],
  };
}

/** Writing 32 bits of a general register clears the others; fewer leave them as they are. */
function nameOf(register: number): NamedRegister {
  const known = names.get(register);
  if (known !== undefined) return known;
  const { Register, RegisterExt } = iced();
  const full = RegisterExt.fullRegister(register);
  const name = (Register[full] ?? '')
    .toLowerCase()
    .replace(/^[yz]mm/, 'xmm')
    .replace(/^e(..)$/, 'r$1');
  const size = RegisterExt.size(register);
  const [rest, least, high] = partsOfRegister(name);
  const isHigh = [Register.AH, Register.BH, Register.CH, Register.DH].includes(register);
  const found = {
    name,
    isWhole: size >= 4,
    parts: size >= 4 ? [rest, least, high] : size === 2 ? [least, high] : [isHigh ? high : least],
  };
  names.set(register, found);
  return found;
}

/** A number, and not the address of something, which 32-bit code has in the same place. */
function hasImmediate(instruction: Instruction): boolean {
  const { OpKind } = iced();
  const kind = instruction.opKind(1);
  return kind >= OpKind.Immediate8 && kind <= OpKind.Immediate32to64;
}

function explicitRegisters(instruction: Instruction): ReadonlySet<string> {
  const { OpKind } = iced();
  const found = new Set<string>();
  for (let i = 0; i < instruction.opCount; i++)
    if (instruction.opKind(i) === OpKind.Register) found.add(nameOf(instruction.opRegister(i)).name);
  return found;
}

function memoryOf(info: InstructionInfo): MemoryUse[] {
  const { OpAccess, Register } = iced();
  return info.usedMemory().map((used) => {
    const { base, index, displacement, access } = used;
    used.free();
    return {
      base: index === Register.None ? nameOf(base).name : '',
      displacement: Number(BigInt.asIntN(32, displacement)),
      isRead: access === OpAccess.Read || access === OpAccess.ReadWrite || access === OpAccess.CondRead,
      isWritten: access === OpAccess.Write || access === OpAccess.ReadWrite || access === OpAccess.CondWrite,
    };
  });
}
