import type { DisassembledInstruction } from '../../cpu/index.js';
import type { HotPatch } from '../../engine/index.js';
import type { LoadedImage, StackFrame, Thread } from '../../loader/index.js';
import { symbolEnd } from '../functions.js';
import { describeHop, paddingBefore, patchedEntries, slotTarget } from '../hops.js';
import { instructionsBetween } from '../listing.js';
import { formatPosition } from '../position.js';
import { shortPlace, sourceFrames } from '../source.js';
import type { ThreadView } from '../thread-view.js';
import { View } from '../view.js';
import { referenceTo } from './handler.js';

/**
 * Whose code a place is: `old`: of a function of a base that is patched; `new`: of a patch image; `way`: a patched entry,
 * its padding, or the HPAT; `base`: of a function that is not patched.
 */
export type CodeSide = 'old' | 'new' | 'way' | 'base' | 'system';

/** Everything that a page shows of a machine that stands still, for one thread and these functions. */
export function stateOf(view: View, functions: readonly string[], isIdle: boolean): object {
  const patches: readonly HotPatch[] = view.lab.engine.patches;
  return {
    position: formatPosition(view.stop.position),
    thread: view.thread.id,
    threads: view.kernel.threads
      .filter(({ finished }) => !finished)
      .map((thread) => threadState(view, thread)),
    registers: isIdle ? [] : registersOf(view),
    functions: functions.map((name) => ({ name, versions: versionsOf(view, name) })),
    tables: view.images.flatMap((image) => tableOf(view, image)),
    patches: patches.map(({ name, state, status }) => ({ name, state, status: status.name })),
  };
}

function threadState(view: View, thread: Thread): object {
  const own = thread === view.thread ? view : new View(view.session, view.stop, thread, view.disassembler);
  return {
    id: thread.id,
    name: thread.name,
    processor: thread.processor?.index,
    state: thread.state,
    frames: own.stack().map((frame, index) => frameState(own, frame, index)),
  };
}

function frameState(view: View, { pc, sp, image, text }: StackFrame, index: number): object {
  // A frame that is in a call stands behind it.
  const code = index === 0 ? pc : pc - 1n;
  const [frame] = sourceFrames(image, code);
  const hop = describeHop(view, pc);
  return {
    pc: referenceTo(pc),
    sp: referenceTo(sp),
    text,
    side: sideOf(view, image, code, index === 0),
    ...(image === undefined ? {} : { image: image.baseDllName }),
    ...(hop === undefined || index > 0 ? {} : { hop }),
    ...(frame === undefined ? {} : { line: frame.line, place: shortPlace(frame) }),
  };
}

function sideOf(
  view: ThreadView,
  image: LoadedImage | undefined,
  address: bigint,
  isNext: boolean,
): CodeSide {
  if (image === undefined) return 'system';
  if (isNext && describeHop(view, address) !== undefined) return 'way';
  if (image.loadReason === 'PatchImage') return 'new';
  const start = image.symbols.byAddress(image.rva(address))?.symbol.rva;
  return patchedEntries(view, image).some((entry) => image.rva(entry) === start) ? 'old' : 'base';
}

function registersOf(view: View): object[] {
  const { registers, programCounter } = view.architecture;
  return [programCounter, ...registers.filter((name) => name !== programCounter)].map((name) => {
    const value = view.register(name) ?? 0n;
    const place = view.nameOf(value);
    return { name, value: view.format(value), ...(place === undefined ? {} : { place }) };
  });
}

/** A function's code in every image that has one of its name: the base first. */
function versionsOf(view: View, name: string): object[] {
  return view.images.flatMap((image) => {
    const symbol = image.symbols.byName(name);
    if (symbol === undefined) return [];
    const isNew = image.loadReason === 'PatchImage';
    const entry = image.address(symbol.rva);
    const start = entry - BigInt(isNew ? 0 : paddingBefore(view, image, entry));
    const instructions = instructionsBetween(view, start, image.address(symbolEnd(image, symbol)));
    return [
      {
        image: image.baseDllName,
        side: isNew ? 'new' : 'base',
        entry: referenceTo(entry),
        instructions: instructions.map((each) => instructionState(view, image, each)),
      },
    ];
  });
}

function instructionState(
  view: View,
  image: LoadedImage,
  { address, bytes, text }: DisassembledInstruction,
): object {
  const [frame] = sourceFrames(image, address);
  const hop = describeHop(view, address);
  const original = image.section.layout.subarray(image.rva(address), image.rva(address) + bytes.length);
  return {
    address: referenceTo(address),
    shown: view.format(address),
    bytes: Buffer.from(bytes).toString('hex'),
    text,
    ...(Buffer.compare(original, bytes) === 0 ? {} : { isChanged: true }),
    ...(hop === undefined ? {} : { hop }),
    ...(frame === undefined ? {} : { line: frame.line }),
  };
}

function tableOf(view: View, image: LoadedImage): object[] {
  const { hpat } = image;
  const record = view.recordOf(image);
  if (hpat === undefined || record === undefined || (hpat.committed && record.usedSlots === 0)) return [];
  const slots = hpat.committed ? record.usedSlots : 0;
  return [
    {
      image: image.baseDllName,
      base: view.format(hpat.base),
      isCommitted: hpat.committed,
      slots: Array.from({ length: slots }, (_, slot) => {
        const owner = record.slotOwner(slot);
        const code = hpat.codeSlot(slot);
        return {
          slot,
          ...(code === undefined ? {} : { code: view.format(code) }),
          data: view.format(hpat.dataSlot(slot)),
          ...(owner === undefined ? {} : { owner: image.describe(image.address(owner)) }),
          target: view.describe(slotTarget(view, image, slot) ?? 0n),
        };
      }),
    },
  ];
}
