import { CpuError } from '../../cpu/index.js';
import {
  type HotPatchRecord,
  type HotPatchTable,
  type NtStatusName,
  unsafePadding,
} from '../../image/index.js';
import { formatBytes, hex, type LoadedImage } from '../../loader/index.js';
import { entryFactsOf, HotPatchError, type HotPatchRule, type StoreTarget } from '../core/index.js';
import { refuseEntry } from './entry.js';
import type { ImageRecord } from './image-record.js';
import { planValue } from './plan-value.js';
import type { ReadCode, Trampoline } from './trampoline.js';
import type { UndoEntry } from './undo-table.js';

export interface RecordPlan {
  /** `chunk 2, record 5` */
  readonly place: string;
  /** Where the change happens. */
  readonly location: bigint;
  /** `demo!dispatch` */
  readonly symbol: string;
}

/** A function entry that will lead to the trampoline's target. */
export interface FunctionPlan extends RecordPlan {
  readonly kind: 'function';
  readonly rva: number;
  readonly index: number;
  /** Only its data slot is written for a function that has a slot already. */
  readonly isNew: boolean;
  readonly trampoline: Trampoline;
  /** Where no thread may stand while the jump is stored into the padding. */
  readonly unsafe: readonly bigint[];
}

/** Bytes in the patch image that will refer to the base: `value` reads what they depend on when they are stored. */
export interface ValuePlan extends RecordPlan {
  readonly kind: 'value';
  readonly target: StoreTarget;
  value(): Uint8Array;
}

/** CALL_TARGET and NO_CALL_TARGET: RVAs of the patch image that indirect calls may, or may not, go to. */
export interface CallTargets {
  readonly valid: readonly number[];
  readonly invalid: readonly number[];
}

/** Everything that a patch will do to one base, validated and counted before the first store. */
export interface PatchPlan {
  readonly base: ImageRecord;
  readonly patch: ImageRecord;
  /** Changes of the patch image, in the table's order. */
  readonly backward: readonly (FunctionPlan | ValuePlan)[];
  readonly callTargets: CallTargets;
  /** Changes of the base image. */
  readonly forward: readonly FunctionPlan[];
  /** Functions that earlier patches cover and this one does not: they go back to their original bytes. */
  readonly reverts: readonly (readonly [index: number, entry: UndoEntry])[];
  /** Could one of the entry stores be seen in halves? */
  readonly rendezvous: boolean;
}

export interface PlanOptions {
  /** Validate REL32 records and store nothing for them, as the NT builds seen do. */
  readonly ignoreRel32: boolean;
  readonly dynamicValues: DynamicValues | 'invalid' | undefined;
  /** Only the forward records: the patch image has had its backward ones already. */
  readonly forwardOnly?: boolean;
}

/** The table that DYNAMIC_VALUE records index: a value is used when `present[i]` is 0xFF (docs/fidelity.md#application). */
export interface DynamicValues {
  readonly present: Uint8Array;
  readonly values: readonly bigint[];
}

/** @throws HotPatchError naming the record, when anything in it cannot be done */
export function planPatch(
  table: HotPatchTable,
  base: ImageRecord,
  patch: ImageRecord,
  options: PlanOptions,
): PatchPlan {
  const ofBase = new FunctionPlanner(base, patch, patch.image.baseDllName);
  const ofPatch = new FunctionPlanner(patch, base, patch.image.baseDllName);
  checkUndoTable(base, patch.image.baseDllName);
  const backward: (FunctionPlan | ValuePlan)[] = [];
  const forward: FunctionPlan[] = [];
  const valid: number[] = [];
  const invalid: number[] = [];
  table.bases[0]?.chunks.forEach((chunk, chunkIndex) => {
    if (options.forwardOnly === true && chunk.direction === 'backward') return;
    chunk.records.forEach((record, recordIndex) => {
      const place = `chunk ${chunkIndex}, record ${recordIndex}, RVA ${hex(record.rva)}`;
      if (chunk.direction === 'forward') forward.push(ofBase.plan(record, place));
      else if (chunk.type === 'FUNCTION') backward.push(ofPatch.plan(record, place));
      else if (chunk.type === 'CALL_TARGET') valid.push(record.rva);
      else if (chunk.type === 'NO_CALL_TARGET') invalid.push(record.rva);
      else backward.push(...planValue(chunk.type, record, place, { base, patch, options }));
    });
  });
  ofBase.checkCapacity();
  ofPatch.checkCapacity();
  const kept = new Set(forward.map((plan) => plan.index));
  const reverts = [...base.undo].filter(([index]) => !kept.has(index));
  const entries = [
    ...forward.filter((plan) => plan.isNew).map((plan) => plan.location),
    ...reverts.map(([, entry]) => base.image.address(entry.rva)),
  ];
  return {
    base,
    patch,
    backward,
    callTargets: { valid, invalid },
    forward,
    reverts,
    rendezvous: entries.some((entry) => base.form.needsRendezvous(entry)),
  };
}

/** Plans the FUNCTION records of one direction: entries of `from` that shall lead to functions of `to`. */
class FunctionPlanner {
  #nextSlot: number;

  constructor(
    private readonly from: ImageRecord,
    private readonly to: ImageRecord,
    private readonly patchName: string,
  ) {
    this.#nextSlot = from.usedSlots;
  }

  plan(record: HotPatchRecord, place: string): FunctionPlan {
    const { image } = this.from;
    const location = image.address(record.rva);
    const common = {
      kind: 'function',
      place,
      rva: record.rva,
      location,
      symbol: image.describe(location),
    } as const;
    const refuse = (rule: HotPatchRule, reason: string, status: NtStatusName) =>
      new HotPatchError({
        rule,
        status,
        image: this.patchName,
        place,
        symbol: common.symbol,
        message: reason,
      });
    const state = this.from.form.classify(reader(image), location, this.#hpat());
    if (state.kind === 'mismatch')
      throw refuse('function.mismatch', state.reason, 'STATUS_CONFLICTING_ADDRESSES');
    const isNew = state.kind === 'unpatched';
    if (state.kind === 'patched' && state.index >= this.from.usedSlots)
      throw refuse(
        'function.slot',
        `leads to HPAT slot ${state.index}, which is not in use`,
        'STATUS_CONFLICTING_ADDRESSES',
      );
    const unsafe = isNew ? this.#checkEntry(record, location, refuse) : [];
    const index = isNew ? this.#nextSlot++ : state.index;
    const trampoline = this.#trampoline(location, record, index, refuse);
    return { ...common, index, isNew, trampoline, unsafe };
  }

  #checkEntry(
    record: HotPatchRecord,
    location: bigint,
    refuse: (rule: HotPatchRule, reason: string, status: NtStatusName) => HotPatchError,
  ): bigint[] {
    const read = reader(this.from.image);
    const expected = record.originalBytes.subarray(0, this.from.form.entrySize);
    const found = read(location, expected.length);
    if (expected.some((byte, i) => byte !== found[i]))
      throw refuse(
        'record.originalBytes',
        `the entry is ${formatBytes(found)}, the patch expects ${formatBytes(expected)}`,
        'STATUS_INVALID_IMAGE_FORMAT',
      );
    const { image, form } = this.from;
    const facts = entryFactsOf(image, record.rva, (rva, length) => read(image.address(rva), length));
    const reason = refuseEntry(
      image.domain.architecture.name,
      facts,
      form.hasLeftJump(read, location, this.#hpat()),
      form.paddingUsed,
    );
    if (reason !== undefined) throw refuse(reason.rule, reason.reason, 'STATUS_INVALID_IMAGE_FORMAT');
    return [...unsafePadding(facts.fill, form.paddingUsed)].map((before) => location - BigInt(before));
  }

  #trampoline(
    entry: bigint,
    record: HotPatchRecord,
    index: number,
    refuse: (rule: HotPatchRule, reason: string, status: NtStatusName) => HotPatchError,
  ): Trampoline {
    const hpat = this.#hpat();
    // Beyond the capacity there is no slot; checkCapacity refuses the patch with the whole count.
    const slot = Math.min(index, hpat.capacity - 1);
    try {
      return this.from.form.build({
        entry,
        target: this.to.image.address(record.target),
        hpat,
        index: slot,
        jumpHpat: this.from.image.jumpHpat,
      });
    } catch (error) {
      if (!(error instanceof CpuError)) throw error;
      throw refuse('function.branchRange', error.message, 'STATUS_CONFLICTING_ADDRESSES');
    }
  }

  /** STATUS_PATCH_CONFLICT before the first store when the HPAT has not enough free slots (docs/fidelity.md#u-14). */
  checkCapacity(): void {
    const { image, usedSlots } = this.from;
    const needed = this.#nextSlot - usedSlots;
    const { capacity } = this.#hpat();
    if (usedSlots + needed <= capacity) return;
    throw new HotPatchError({
      rule: 'hpat.full',
      status: 'STATUS_PATCH_CONFLICT',
      image: this.patchName,
      message: `the HPAT of ${image.baseDllName} has ${capacity} slots, ${usedSlots} in use; ${needed} more are needed`,
      hint: 'boot with a larger HotPatchTableSize',
    });
  }

  #hpat() {
    const { image } = this.from;
    if (image.hpat === undefined)
      throw new HotPatchError({
        rule: 'hpat.absent',
        status: 'STATUS_NOT_SUPPORTED',
        image: this.patchName,
        message: `no HPAT was reserved behind ${image.baseDllName}`,
      });
    return image.hpat;
  }
}

/**
 * Before any write every function in the undo table must still lead to its own slot: somebody else may have changed its
 * entry, or the jump in its padding.
 * @throws HotPatchError STATUS_PATCH_CONFLICT (docs/fidelity.md#application)
 */
export function checkUndoTable({ image, undo, form }: ImageRecord, patchName: string): void {
  const { hpat } = image;
  for (const [index, entry] of undo) {
    const location = image.address(entry.rva);
    const state = hpat === undefined ? undefined : form.classify(reader(image), location, hpat);
    if (state?.kind === 'patched' && state.index === index) continue;
    throw new HotPatchError({
      rule: 'undo.entryChanged',
      status: 'STATUS_PATCH_CONFLICT',
      image: patchName,
      symbol: image.describe(location),
      message: `this function was patched through HPAT slot ${index}, but its entry at RVA ${hex(entry.rva)} does not lead there any more`,
    });
  }
}

/** Reads code as data reads see it. */
export function reader(image: LoadedImage): ReadCode {
  return (address, length) => image.domain.addressSpace.read(address, length);
}
