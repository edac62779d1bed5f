import type { Kernel, LoadedImage } from '../loader/index.js';
import { hex } from '../loader/index.js';
import type { ImageRecord } from './image-record.js';
import type { Journal } from './journal.js';
import { type FunctionPlan, type PatchPlan, type PointerPlan, reader } from './plan.js';
import type { EngineStep } from './steps.js';
import type { TrampolineForm } from './trampoline.js';
import type { UndoEntry } from './undo-table.js';

/**
 * The stores of a patch, in Windows' order: backward into the patch image, then forward into the base. For a function
 * that is patched for the first time: data slot, code slot, undo entry, jump in the padding, and last the one store at
 * the entry, before which nothing of it can be seen by a running thread (windows-hotpatching.md 3.3).
 */
export class Applier {
  constructor(
    private readonly kernel: Kernel,
    private readonly form: TrampolineForm,
    private readonly journal: Journal,
  ) {}

  *apply(plan: PatchPlan): Generator<EngineStep, void> {
    yield* this.#commit(plan.base.image);
    yield* this.#commit(plan.patch.image);
    yield* this.backward(plan);
    yield* this.forward(plan);
  }

  *backward(plan: PatchPlan): Generator<EngineStep, void> {
    for (const record of plan.backward)
      yield* record.type === 'FUNCTION'
        ? this.#redirect(record, plan.patch, false)
        : this.#pointer(record, plan.patch.image);
  }

  *forward(plan: PatchPlan): Generator<EngineStep, void> {
    if (plan.rendezvous) yield rendezvous('begin');
    for (const record of plan.forward) yield* this.#redirect(record, plan.base, true);
    for (const [index, entry] of plan.reverts) yield* this.revert(plan.base, index, entry);
    if (plan.rendezvous) yield rendezvous('end');
    yield this.serialise();
  }

  /** The function's entry gets its original bytes back, in one store. Slot and padding stay as they are. */
  *revert(base: ImageRecord, index: number, entry: UndoEntry): Generator<EngineStep, void> {
    const { image } = base;
    const location = image.address(entry.rva);
    const symbol = image.describe(location);
    yield this.journal.store(image, 'entry', location, entry.entryBytes, symbol);
    this.journal.change(
      () => base.undo.clear(index),
      () => base.undo.set(index, entry),
    );
    yield {
      kind: 'undoEntryCleared',
      index,
      rva: entry.rva,
      text: `  undo entry ${index} of ${symbol} is cleared`,
    };
  }

  serialise(): EngineStep {
    this.kernel.machine.serialise();
    return { kind: 'serialised', text: '  every processor is serialised' };
  }

  *#commit(image: LoadedImage): Generator<EngineStep, void> {
    const step = this.journal.commitHpat(image, this.form.slotFill);
    if (step !== undefined) yield step;
  }

  *#redirect(plan: FunctionPlan, record: ImageRecord, keepUndo: boolean): Generator<EngineStep, void> {
    const { image } = record;
    const { hpat } = image;
    if (hpat === undefined) throw new Error(`${image.baseDllName} has no HPAT`);
    const { symbol, location } = plan;
    const index = plan.index ?? record.usedSlots;
    const code = hpat.codeSlot(index);
    const data = hpat.dataSlot(index);
    yield this.journal.store(image, 'dataSlot', data, pointerBytes(plan.target), symbol);
    if (plan.index !== undefined) return;

    yield this.journal.store(image, 'codeSlot', code, this.form.codeSlot(code, data), symbol);
    this.journal.change(
      () => record.useSlot(index),
      () => record.giveBackSlot(index),
    );
    const padding = this.form.padding(location, code);
    const entry = this.form.entry(location, code);
    if (keepUndo) yield this.#saveUndoEntry(record, index, plan, padding?.bytes.length ?? 0);
    if (padding !== undefined)
      yield this.journal.store(image, 'padding', padding.address, padding.bytes, symbol);
    yield this.journal.store(image, 'entry', entry.address, entry.bytes, symbol);
  }

  #saveUndoEntry(record: ImageRecord, index: number, plan: FunctionPlan, paddingSize: number): EngineStep {
    const read = reader(record.image);
    const entry: UndoEntry = {
      rva: plan.rva,
      entryBytes: read(plan.location, this.form.entrySize),
      paddingBytes: read(plan.location - BigInt(paddingSize), paddingSize),
    };
    this.journal.change(
      () => record.undo.set(index, entry),
      () => record.undo.clear(index),
    );
    return {
      kind: 'undoEntrySaved',
      index,
      rva: plan.rva,
      text: `  undo entry ${index} keeps RVA ${hex(plan.rva)} (${plan.symbol})`,
    };
  }

  *#pointer(plan: PointerPlan, image: LoadedImage): Generator<EngineStep, void> {
    const { pointerSize } = this.kernel.machine.architecture;
    const value =
      plan.type === 'ABSOLUTE'
        ? pointerBytes(plan.target).subarray(0, pointerSize)
        : image.domain.addressSpace.read(plan.target, pointerSize);
    yield this.journal.store(image, 'pointer', plan.location, value, plan.symbol);
  }
}

export function rendezvous(phase: 'begin' | 'end'): EngineStep {
  const text =
    phase === 'begin'
      ? '  all processors are gathered: a store could straddle 8 bytes'
      : '  all processors are let go';
  return { kind: 'rendezvous', phase, text };
}

/** A data slot is always written as eight bytes, on x86 too (3.2). */
function pointerBytes(address: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, address, true);
  return bytes;
}
