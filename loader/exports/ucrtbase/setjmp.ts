import type { ArchitectureName } from '../../../cpu/index.js';
import type { ServiceCall, SimulatedExport } from '../../dispatch/index.js';
import { abandonBelow, CONTEXT_SET } from '../../threads/index.js';
import { cdecl } from '../simulated-export.js';

/** Registers in _JUMP_BUFFER (setjmp.h), their offset and size; the frame is at 0 on x64 and ARM64. */
type Field = readonly [register: string, offset: number, size: 4 | 8 | 16];
const X64: readonly Field[] = [
  ['rbx', 8, 8],
  ['rbp', 0x18, 8],
  ['rsi', 0x20, 8],
  ['rdi', 0x28, 8],
  ...['r12', 'r13', 'r14', 'r15'].map((name, index): Field => [name, 0x30 + 8 * index, 8]),
  ['mxcsr', 0x58, 4],
  ...Array.from({ length: 10 }, (_, index): Field => [`xmm${6 + index}`, 0x60 + 16 * index, 16]),
];
const ARM64: readonly Field[] = [
  ...Array.from({ length: 11 }, (_, index): Field => [`x${19 + index}`, 0x10 + 8 * index, 8]),
  ...Array.from({ length: 8 }, (_, index): Field => [`d${8 + index}`, 0x80 + 8 * index, 8]),
];
const X86: readonly Field[] = [
  ['ebp', 0, 4],
  ['ebx', 4, 4],
  ['edi', 8, 4],
  ['esi', 0xc, 4],
];
interface JumpBuffer {
  readonly fields: readonly Field[];
  readonly frame?: number;
  readonly stack: number;
  readonly counter: number;
  /** The chain of handlers at this moment, which longjmp goes back to. */
  readonly registration?: number;
}
const LAYOUT: Readonly<Record<ArchitectureName, JumpBuffer>> = {
  x64: { fields: X64, frame: 0, stack: 0x10, counter: 0x50 },
  arm64: { fields: ARM64, frame: 0, stack: 0x70, counter: 0x68 },
  x86: { fields: X86, stack: 0x10, counter: 0x14, registration: 0x18 },
};

function save(call: ServiceCall, buffer: bigint, frame: bigint): number {
  const { memory, processor, thread } = call;
  const { architecture } = thread;
  const layout = LAYOUT[architecture.name];
  const at = (offset: number) => buffer + BigInt(offset);
  for (const [name, offset, size] of layout.fields) {
    const value = processor.get(name);
    if (size === 4) memory.writeU32(at(offset), Number(value & 0xffff_ffffn));
    else memory.writeU64(at(offset), value);
    if (size === 16) memory.writeU64(at(offset + 8), value >> 64n);
  }
  if (layout.frame !== undefined) memory.writeU64(at(layout.frame), frame);
  memory.writePointer(at(layout.stack), processor.sp + BigInt(architecture.returnAddressSize));
  memory.writePointer(at(layout.counter), architecture.returnAddressAtEntry(processor));
  if (layout.registration !== undefined && thread.teb !== undefined)
    memory.writeU32(at(layout.registration), memory.readU32(thread.teb));
  return 0;
}

/** Back to where setjmp returned. Termination handlers in between do not run (modelled). */
function restore(call: ServiceCall, buffer: bigint, value: number): typeof CONTEXT_SET {
  const { memory, processor, thread } = call;
  const { architecture } = thread;
  const { fields, stack, counter, registration } = LAYOUT[architecture.name];
  const at = (offset: number) => buffer + BigInt(offset);
  const registers = fields.map(([name, offset, size]): readonly [string, bigint] => {
    if (size === 4) return [name, BigInt(memory.readU32(at(offset)))];
    const low = memory.readU64(at(offset));
    return [name, size === 8 ? low : low | (memory.readU64(at(offset + 8)) << 64n)];
  });
  const sp = memory.readPointer(at(stack));
  const pc = memory.readPointer(at(counter));
  if (registration !== undefined && thread.teb !== undefined)
    memory.writeU32(thread.teb, memory.readU32(at(registration)));
  for (const [name, bits] of registers) processor.set(name, bits);
  processor.sp = sp;
  processor.pc = pc;
  abandonBelow(thread, sp);
  architecture.setResult(processor, BigInt.asUintN(32, BigInt(value === 0 ? 1 : value)));
  return CONTEXT_SET;
}

/** setjmp.h: of vcruntime140.dll, ucrtbase.dll and ntdll.dll. */
export function setjmpExports(): SimulatedExport[] {
  return [
    ...['_setjmp', '_setjmpex', '__intrinsic_setjmp', '__intrinsic_setjmpex', 'setjmp', '_setjmp3'].map(
      (name) => cdecl(name, ['pointer', 'pointer'], save),
    ),
    cdecl('longjmp', ['pointer', 'i32'], restore),
  ];
}
