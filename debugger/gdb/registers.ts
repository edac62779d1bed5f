import type { View } from '../view.js';
import { hexOfValue, valueOfHex } from './packets.js';
import { type GdbRegister, gdbRegisters } from './target-description.js';

/** Mode bits of cpsr that GDB shows: AArch64 at EL1 with its own stack pointer. */
const EL1H = 5n;

/** All registers of the view's thread, in the order of the target description. */
export function readRegisters(view: View): string {
  return gdbRegisters(view.architecture.name)
    .map((register) => hexOf(view, register))
    .join('');
}

/** Register number `index`; undefined when there is none. */
export function readRegister(view: View, index: number): string | undefined {
  const register = gdbRegisters(view.architecture.name)[index];
  return register === undefined ? undefined : hexOf(view, register);
}

function hexOf(view: View, { name, bits, register }: GdbRegister): string {
  return hexOfValue(register === undefined ? 0n : currentValue(view, name, register), bits / 8);
}

function currentValue(view: View, name: string, register: string): bigint {
  const { programCounter, stackPointer } = view.architecture;
  if (register === programCounter) return view.thread.pc;
  if (register === stackPointer) return view.thread.sp;
  const value = view.thread.started ? view.thread.register(register) : 0n;
  return name === 'cpsr' ? value | EL1H : value;
}

/** False when the register cannot be changed: it is none of ours, or no processor holds the thread. */
export function writeRegister(view: View, index: number, hex: string): boolean {
  const target = gdbRegisters(view.architecture.name)[index];
  const register = target?.register;
  if (register === undefined || view.thread.processor === undefined) return false;
  const value = valueOfHex(hex);
  if (value === valueOfHex(readRegister(view, index) ?? '')) return true;
  view.session.act((_lab, thread) => thread.processor?.set(register, value), view.thread);
  return true;
}

/** As {@link writeRegister}, for all of them. */
export function writeRegisters(view: View, hex: string): boolean {
  let at = 0;
  let isDone = true;
  for (const [index, { bits }] of gdbRegisters(view.architecture.name).entries()) {
    const value = hex.slice(at, at + bits / 4);
    at += bits / 4;
    if (value.length === bits / 4 && value !== readRegister(view, index))
      isDone = writeRegister(view, index, value) && isDone;
  }
  return isDone;
}
