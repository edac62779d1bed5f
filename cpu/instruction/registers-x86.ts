import type { Instruction, InstructionInfo, InstructionInfoFactory } from 'iced-x86';
import type { MemoryUse, RegisterUse } from './registers.js';
import { iced, withInstruction } from './x86.js';

let factory: InstructionInfoFactory | undefined;
const names = new Map<number, { readonly name: string; readonly isWhole: boolean }>();

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

function registersOf(info: InstructionInfo): Pick<RegisterUse, 'reads' | 'writes' | 'changes'> {
  const { OpAccess } = iced();
  const reads = new Set<string>();
  const writes = new Set<string>();
  const changes = new Set<string>();
  for (const used of info.usedRegisters()) {
    const { register, access } = used;
    used.free();
    const { name, isWhole } = nameOf(register);
    switch (access) {
      case OpAccess.Read:
      case OpAccess.CondRead:
        reads.add(name);
        break;
      case OpAccess.Write:
        (isWhole ? writes : changes).add(name);
        break;
      case OpAccess.ReadWrite:
        reads.add(name);
        (isWhole ? writes : changes).add(name);
        break;
      case OpAccess.ReadCondWrite:
        reads.add(name);
        changes.add(name);
        break;
      case OpAccess.CondWrite:
        changes.add(name);
        break;
    }
  }
  return { reads: [...reads], writes: [...writes], changes: [...changes] };
}

/** Writing 32 bits of a general register clears the others; fewer leave them as they are. */
function nameOf(register: number): { name: string; isWhole: boolean } {
  const known = names.get(register);
  if (known !== undefined) return known;
  const { Register, RegisterExt } = iced();
  const full = RegisterExt.fullRegister(register);
  const name = (Register[full] ?? '')
    .toLowerCase()
    .replace(/^[yz]mm/, 'xmm')
    .replace(/^e(..)$/, 'r$1');
  const found = { name, isWhole: RegisterExt.size(register) >= 4 };
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
