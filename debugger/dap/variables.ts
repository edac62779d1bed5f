import { DebugError } from '../error.js';
import { evaluate } from '../expression.js';
import { slotTarget } from '../hops.js';
import type { View } from '../view.js';
import { referenceTo } from './handler.js';
import type { DapVariable, KnownFrame, StopScope } from './scope.js';

/** Registers of the frame, and what the engine keeps about the frame's image. */
export function scopesOf(scope: StopScope, { view, frame, index }: KnownFrame): object[] {
  const { image } = frame;
  const registers = () => (index === 0 ? registersOf(view) : callerRegisters(view, frame.pc, frame.sp));
  const list = (name: string, variables: () => readonly DapVariable[], hint?: string) => ({
    name,
    variablesReference: scope.addVariables(variables),
    expensive: false,
    ...(hint === undefined ? {} : { presentationHint: hint }),
  });
  const scopes = [list('Registers', registers, 'registers')];
  if (image?.hpat?.committed === true) {
    scopes.push(list(`HPAT of ${image.baseDllName}`, () => slotsOf(view, image)));
    if ((view.recordOf(image)?.undo.size ?? 0) > 0)
      scopes.push(list(`Undo table of ${image.baseDllName}`, () => undoOf(view, image)));
  }
  return scopes;
}

function registersOf(view: View): DapVariable[] {
  return view.architecture.registers.map((name) => variable(view, name, view.register(name) ?? 0n));
}

/** Of a frame that is in a call only these two are known. */
function callerRegisters(view: View, pc: bigint, sp: bigint): DapVariable[] {
  const { programCounter, stackPointer } = view.architecture;
  return [variable(view, programCounter, pc), variable(view, stackPointer, sp)];
}

function variable(view: View, name: string, value: bigint): DapVariable {
  const place = view.nameOf(value);
  return {
    name,
    value: place === undefined ? view.format(value) : `${view.format(value)} ${place}`,
    variablesReference: 0,
    memoryReference: referenceTo(value),
  };
}

type Image = NonNullable<KnownFrame['frame']['image']>;

function slotsOf(view: View, image: Image): DapVariable[] {
  const { hpat } = image;
  const record = view.recordOf(image);
  if (hpat === undefined || record === undefined) return [];
  return Array.from({ length: record.usedSlots }, (_, slot) => {
    const owner = record.slotOwner(slot);
    const name = owner === undefined ? '' : ` (${image.describe(image.address(owner))})`;
    return {
      name: `[${slot}]${name}`,
      value: view.describe(slotTarget(view, image, slot) ?? 0n),
      variablesReference: 0,
      memoryReference: referenceTo(hpat.dataSlot(slot)),
    };
  });
}

function undoOf(view: View, image: Image): DapVariable[] {
  const undo = view.recordOf(image)?.undo;
  if (undo === undefined) return [];
  return Array.from(undo, ([slot, { rva, entryBytes, paddingBytes }]) => ({
    name: `[${slot}] ${image.describe(image.address(rva))}`,
    value: `${Buffer.from(entryBytes).toString('hex')}${paddingBytes.length === 0 ? '' : `, padding ${Buffer.from(paddingBytes).toString('hex')}`}`,
    variablesReference: 0,
    memoryReference: referenceTo(image.address(rva)),
  }));
}

/** Changes a register of the thread that stopped; returns its new value as it is shown. */
export function setRegister(view: View, name: string, text: string): string {
  if (view.register(name) === undefined) throw new DebugError(`'${name}' cannot be changed`);
  const value = evaluate(text, view);
  view.session.act((_lab, thread) => thread.processor?.set(name, value), view.thread);
  return view.format(value);
}
