import { hex, type LoadedImage } from '../../loader/index.js';
import {
  type EngineStep,
  type Occupation,
  type Operation,
  refuseOccupied,
  type StoreTarget,
  threadsStandingIn,
} from '../core/index.js';
import { editRecord, type ImageRecord } from './image-record.js';
import { type FunctionPlan, type PatchPlan, reader } from './plan.js';
import type { TrampolineStore } from './trampoline.js';
import type { UndoEntry } from './undo-table.js';

/**
 * The stores of a patch, in Windows' order. For a function that is patched for the first time: data slot, code slot,
 * undo entry, jump in the padding, and last the one store at the entry, before which nothing of it can be seen by a
 * running thread (docs/fidelity.md#hpat-and-trampolines). Forward application is in two parts, {@link Applier.stage} and
 * {@link Applier.commit}, because the processors are serialised between them.
 */
export class Applier {
  constructor(private readonly operation: Operation) {}

  /** Both HPATs get memory, and the patch image is pointed at its base. */
  *backward(plan: PatchPlan): Generator<EngineStep, void> {
    for (const record of [plan.base, plan.patch]) yield* this.#commitHpat(record);
    const { image } = plan.patch;
    for (const record of plan.backward) {
      if (record.kind === 'function') {
        yield* this.#trampoline(record, plan.patch, false);
        yield* this.#entry(record, image);
      } else yield this.#store(image, record.target, record.location, record.value(), record.symbol);
    }
  }

  /** Gives the image's HPAT memory, when it has none yet. */
  *#commitHpat({ image, form }: ImageRecord): Generator<EngineStep, void> {
    const { hpat } = image;
    if (hpat === undefined || hpat.committed) return;
    this.operation.change(
      () => hpat.commit(form.slotFill),
      () => {
        hpat.decommit();
      },
      { image, isOnTheWay: true },
    );
    yield this.operation.emit({
      kind: 'hpatCommitted',
      image: image.baseDllName,
      text: `  HPAT of ${image.baseDllName} gets memory: ${hpat.reserveSize / 0x1000} pages, ${hpat.capacity} slots`,
    });
  }

  /**
   * Control Flow Guard: nothing of the patch image is a valid target but what CALL_TARGET records list (docs/fidelity.md#application). Function
   * pointers so keep going to the base. Only where the domain enforces CFG.
   */
  *callTargets({ patch: { image }, callTargets }: PatchPlan): Generator<EngineStep, void> {
    const { guard } = image.domain;
    const saved = guard.enforced ? guard.saveImage(image.dllBase) : undefined;
    if (saved === undefined) return;
    this.operation.change(
      () => {
        guard.clearImage(image.dllBase);
        for (const rva of callTargets.valid) guard.setTarget(image.address(rva), true);
        for (const rva of callTargets.invalid) guard.setTarget(image.address(rva), false);
      },
      () => guard.restoreImage(image.dllBase, saved),
      { image },
    );
    yield this.operation.emit({
      kind: 'callTargetsSet',
      image: image.baseDllName,
      valid: callTargets.valid.length,
      text: `  CFG: ${callTargets.valid.length} function(s) of ${image.baseDllName} are valid call targets`,
    });
  }

  /**
   * Functions that are led somewhere else already get their new data slot; the trampolines of the others are completed,
   * and nothing leads to them yet.
   */
  *stage(plan: PatchPlan): Generator<EngineStep, void> {
    for (const record of plan.forward) yield* this.#trampoline(record, plan.base, true);
  }

  /** The base's entries are led to their trampolines, and those that the patch no longer covers back to themselves. */
  *commit(plan: PatchPlan): Generator<EngineStep, void> {
    for (const record of plan.forward) yield* this.#entry(record, plan.base.image);
    for (const [index, entry] of plan.reverts) yield* this.revert(plan.base, index, entry);
  }

  /** The function's entry gets its original bytes back, in one store. Slot and padding stay as they are. */
  *revert(base: ImageRecord, index: number, entry: UndoEntry): Generator<EngineStep, void> {
    const { image } = base;
    const location = image.address(entry.rva);
    const symbol = image.describe(location);
    yield this.#store(image, 'entry', location, entry.entryBytes, symbol);
    this.operation.change(
      () => editRecord(base).clearUndo(index),
      () => editRecord(base).saveUndo(index, entry),
    );
    yield this.operation.emit({
      kind: 'undoEntryCleared',
      index,
      rva: entry.rva,
      text: `  undo entry ${index} of ${symbol} is cleared`,
    });
  }

  /** Everything of the trampoline but the entry. */
  *#trampoline(plan: FunctionPlan, record: ImageRecord, keepUndo: boolean): Generator<EngineStep, void> {
    const { image } = record;
    const { symbol, index, trampoline } = plan;
    const store = (target: 'dataSlot' | 'codeSlot' | 'padding', { address, bytes }: TrampolineStore) =>
      this.#store(image, target, address, bytes, symbol);
    yield store('dataSlot', trampoline.data);
    if (!plan.isNew) return;

    if (trampoline.code !== undefined) yield store('codeSlot', trampoline.code);
    this.operation.change(
      () => editRecord(record).useSlot(index, plan.rva),
      () => editRecord(record).giveBackSlot(index),
    );
    if (keepUndo) yield this.#saveUndoEntry(record, plan);
    if (trampoline.padding === undefined) return;
    refuseOccupied(this.operation.kernel, { domain: image.domain, unsafe: plan.unsafe, symbol });
    yield store('padding', trampoline.padding);
  }

  *#entry({ isNew, symbol, trampoline }: FunctionPlan, image: LoadedImage): Generator<EngineStep, void> {
    if (!isNew) return;
    yield this.#store(image, 'entry', trampoline.entry.address, trampoline.entry.bytes, symbol);
  }

  #saveUndoEntry(
    record: ImageRecord,
    { index, rva, location, symbol, trampoline }: FunctionPlan,
  ): EngineStep {
    const read = reader(record.image);
    const { padding } = trampoline;
    const entry: UndoEntry = {
      rva,
      entryBytes: read(location, record.form.entrySize),
      paddingBytes:
        padding === undefined
          ? new Uint8Array()
          : editRecord(record).originalPadding(rva, () => read(padding.address, padding.bytes.length)),
    };
    this.operation.change(
      () => editRecord(record).saveUndo(index, entry),
      () => editRecord(record).clearUndo(index),
    );
    return this.operation.emit({
      kind: 'undoEntrySaved',
      index,
      rva,
      text: `  undo entry ${index} keeps RVA ${hex(rva)} (${symbol})`,
    });
  }

  /**
   * Modelled: Windows leaves the jumps in the padding of reverted functions. Nothing leads to them once the entries are
   * original and every processor is serialised, unless a thread stands on one of them; then it is left.
   */
  *restorePadding({ image, form }: ImageRecord, entries: readonly UndoEntry[]): Generator<EngineStep, void> {
    const size = BigInt(form.paddingUsed);
    let restored = false;
    for (const entry of entries) {
      const location = image.address(entry.rva);
      const range = { domain: image.domain, start: location - size, end: location };
      if (entry.paddingBytes.length === 0 || threadsStandingIn(this.operation.kernel, range).length > 0)
        continue;
      yield this.#store(image, 'padding', location - size, entry.paddingBytes, image.describe(location), [
        { start: location - size, end: location },
      ]);
      restored = true;
    }
    if (restored) yield this.operation.serialise({ ifRestored: true });
  }

  #store(
    image: LoadedImage,
    target: StoreTarget,
    address: bigint,
    bytes: Uint8Array,
    symbol: string,
    unlessOccupied?: readonly Occupation[],
  ): EngineStep {
    const { domain } = image;
    return this.operation.store({ domain, image, target, address, bytes, symbol, unlessOccupied });
  }
}
