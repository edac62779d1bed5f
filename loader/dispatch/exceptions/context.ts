import type { ArchitectureName, Processor } from '../../../cpu/index.js';
import type { GuestMemory } from '../../memory/index.js';
import type { ExceptionDetails, FrameRegisters } from '../../threads/index.js';

type Field = readonly [register: string, offset: number, size: 4 | 8 | 16];

interface ContextLayout {
  readonly size: number;
  readonly flags: { readonly offset: number; readonly value: number };
  readonly fields: readonly Field[];
}

const run = (names: readonly string[], offset: number, size: 4 | 8 | 16): Field[] =>
  names.map((name, index) => [name, offset + index * size, size]);
const numbered = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`);

const X64_INTEGERS = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'];
const X86_REGISTERS = ['edi', 'esi', 'ebx', 'edx', 'ecx', 'eax', 'ebp', 'eip'];

/** CONTEXT of winnt.h: what this project keeps in it. The rest stays zero. */
const LAYOUTS: Readonly<Record<ArchitectureName, ContextLayout>> = {
  x64: {
    size: 0x4d0,
    // CONTEXT_AMD64 with control, integer and floating-point registers.
    flags: { offset: 0x30, value: 0x10_000b },
    fields: [
      ['mxcsr', 0x34, 4],
      ['rflags', 0x44, 4],
      ...run([...X64_INTEGERS, 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15', 'rip'], 0x78, 8),
      ...run(numbered('xmm', 16), 0x1a0, 16),
    ],
  },
  arm64: {
    size: 0x390,
    // CONTEXT_ARM64 with control, integer and floating-point registers.
    flags: { offset: 0, value: 0x40_0007 },
    fields: [
      ['nzcv', 4, 4],
      ...run([...numbered('x', 31), 'sp', 'pc'], 8, 8),
      ...run(numbered('q', 32), 0x110, 16),
      ['fpcr', 0x310, 4],
      ['fpsr', 0x314, 4],
    ],
  },
  x86: {
    size: 0x2cc,
    // CONTEXT_i386 with control, integer and segment registers.
    flags: { offset: 0, value: 0x1_0007 },
    fields: [...run(X86_REGISTERS, 0x9c, 4), ['eflags', 0xc0, 4], ['esp', 0xc4, 4]],
  },
};

export const contextSize = (architecture: ArchitectureName): number => LAYOUTS[architecture].size;

/** All registers that a CONTEXT holds. */
export function captureContext(processor: Processor, architecture: ArchitectureName): FrameRegisters {
  return new Map(LAYOUTS[architecture].fields.map(([name]) => [name, processor.get(name)]));
}

/** A CONTEXT with all registers that it holds here, as bytes. */
export function encodeContext(
  architecture: ArchitectureName,
  register: (name: string) => bigint,
): Uint8Array {
  const { size, flags, fields } = LAYOUTS[architecture];
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint32(flags.offset, flags.value, true);
  for (const [name, offset, width] of fields) {
    const value = register(name);
    if (width === 4) view.setUint32(offset, Number(BigInt.asUintN(32, value)), true);
    else view.setBigUint64(offset, BigInt.asUintN(64, value), true);
    if (width === 16) view.setBigUint64(offset + 8, BigInt.asUintN(64, value >> 64n), true);
  }
  return bytes;
}

/** Writes a CONTEXT; registers that are not given are left as they are there. */
export function writeContext(
  space: GuestMemory,
  architecture: ArchitectureName,
  address: bigint,
  registers: ReadonlyMap<string, bigint>,
): void {
  const { flags, fields } = LAYOUTS[architecture];
  space.writeU32(address + BigInt(flags.offset), flags.value);
  for (const [name, offset, size] of fields) {
    const value = registers.get(name);
    if (value === undefined) continue;
    const at = address + BigInt(offset);
    if (size === 4) space.writeU32(at, Number(BigInt.asUintN(32, value)));
    else space.writeU64(at, BigInt.asUintN(64, value));
    if (size === 16) space.writeU64(at + 8n, value >> 64n);
  }
}

export function readContext(
  space: GuestMemory,
  architecture: ArchitectureName,
  address: bigint,
): FrameRegisters {
  const read = (at: bigint, size: 4 | 8 | 16): bigint => {
    if (size === 4) return BigInt(space.readU32(at));
    return size === 8 ? space.readU64(at) : space.readU64(at) | (space.readU64(at + 8n) << 64n);
  };
  return new Map(
    LAYOUTS[architecture].fields.map(([name, offset, size]) => [name, read(address + BigInt(offset), size)]),
  );
}

/** Only these bits of the flags may come from a CONTEXT: those that a program can set itself. */
const USER_FLAGS = 0xcd5n;

export function applyContext(processor: Processor, registers: ReadonlyMap<string, bigint>): void {
  for (const [name, value] of registers) {
    if (name !== 'rflags' && name !== 'eflags') processor.set(name, value);
    else processor.set(name, (processor.get(name) & ~USER_FLAGS) | (value & USER_FLAGS));
  }
}

/** EXCEPTION_RECORD64 and 32: offsets of ExceptionAddress, NumberParameters, ExceptionInformation; size. */
const RECORD = {
  8: { address: 0x10, count: 0x18, information: 0x20, size: 0x98 },
  4: { address: 0x0c, count: 0x10, information: 0x14, size: 0x50 },
} as const;
const MAXIMUM_PARAMETERS = 15;

export const recordSize = (pointerSize: 4 | 8): number => RECORD[pointerSize].size;

export function writeExceptionRecord(
  space: GuestMemory,
  pointerSize: 4 | 8,
  at: bigint,
  { code, flags, address, parameters }: ExceptionDetails,
): void {
  const layout = RECORD[pointerSize];
  const given = parameters.slice(0, MAXIMUM_PARAMETERS);
  const bytes = new Uint8Array(layout.size);
  const view = new DataView(bytes.buffer);
  const pointer = (offset: number, value: bigint): void => {
    if (pointerSize === 8) view.setBigUint64(offset, BigInt.asUintN(64, value), true);
    else view.setUint32(offset, Number(BigInt.asUintN(32, value)), true);
  };
  view.setUint32(0, code, true);
  view.setUint32(4, flags, true);
  pointer(layout.address, address);
  view.setUint32(layout.count, given.length, true);
  given.forEach((value, index) => {
    pointer(layout.information + index * pointerSize, value);
  });
  space.write(at, bytes);
}

export function readExceptionRecord(space: GuestMemory, pointerSize: 4 | 8, at: bigint): ExceptionDetails {
  const layout = RECORD[pointerSize];
  const pointer = (offset: number): bigint =>
    pointerSize === 8 ? space.readU64(at + BigInt(offset)) : BigInt(space.readU32(at + BigInt(offset)));
  const count = Math.min(space.readU32(at + BigInt(layout.count)), MAXIMUM_PARAMETERS);
  return {
    code: space.readU32(at),
    flags: space.readU32(at + 4n),
    address: pointer(layout.address),
    parameters: Array.from({ length: count }, (_, index) =>
      pointer(layout.information + index * pointerSize),
    ),
  };
}
