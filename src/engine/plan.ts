import type { HotPatchChunk, HotPatchRecord, HotPatchTable } from '../image/index.js';
import { formatBytes, hex, type LoadedImage } from '../loader/index.js';
import { HotPatchError } from './error.js';
import type { ImageRecord } from './image-record.js';
import type { ReadCode, TrampolineForm } from './trampoline.js';
import type { UndoEntry } from './undo-table.js';

interface RecordPlan {
  /** `chunk 2, record 5` */
  readonly place: string;
  /** Where the change happens. */
  readonly location: bigint;
  /** `demo!dispatch` */
  readonly symbol: string;
}

/** A function entry that will lead to `target`. */
export interface FunctionPlan extends RecordPlan {
  readonly type: 'FUNCTION';
  readonly rva: number;
  readonly target: bigint;
  /** The HPAT slot that it has already; undefined for one that is patched for the first time. */
  readonly index: number | undefined;
}

/** A pointer in the patch image that will hold the base's address (ABSOLUTE), or a copy of the base's IAT entry (INDIRECT). */
export interface PointerPlan extends RecordPlan {
  readonly type: 'ABSOLUTE' | 'INDIRECT';
  readonly target: bigint;
}

/** Everything that a patch will do, validated and counted before the first store. */
export interface PatchPlan {
  readonly base: ImageRecord;
  readonly patch: ImageRecord;
  /** Changes of the patch image, in the table's order. */
  readonly backward: readonly (FunctionPlan | PointerPlan)[];
  /** Changes of the base image. */
  readonly forward: readonly FunctionPlan[];
  /** Functions that earlier patches cover and this one does not: they go back to their original bytes. */
  readonly reverts: readonly (readonly [index: number, entry: UndoEntry])[];
  /** Could one of the entry stores straddle 8 bytes? */
  readonly rendezvous: boolean;
}

export function planPatch(
  table: HotPatchTable,
  base: ImageRecord,
  patch: ImageRecord,
  form: TrampolineForm,
): PatchPlan {
  const planner = new Planner(base, patch, form);
  const [description] = table.bases;
  const backward: (FunctionPlan | PointerPlan)[] = [];
  const forward: FunctionPlan[] = [];
  description?.chunks.forEach((chunk, chunkIndex) => {
    chunk.records.forEach((record, recordIndex) => {
      const place = `chunk ${chunkIndex}, record ${recordIndex}`;
      if (chunk.direction === 'forward') forward.push(planner.planFunction(record, place, base, patch));
      else backward.push(...planner.planBackward(chunk, record, place));
    });
  });
  planner.checkCapacity(base, forward);
  planner.checkCapacity(
    patch,
    backward.filter((plan) => plan.type === 'FUNCTION'),
  );
  planner.checkUndoTable();
  const kept = new Set(forward.map((plan) => plan.index));
  const reverts = [...base.undo].filter(([index]) => !kept.has(index));
  const changed = [
    ...forward.filter((plan) => plan.index === undefined).map((plan) => plan.location),
    ...reverts.map(([, entry]) => base.image.address(entry.rva)),
  ];
  return {
    base,
    patch,
    backward,
    forward,
    reverts,
    rendezvous: changed.some((entry) => form.needsRendezvous(entry)),
  };
}

class Planner {
  constructor(
    private readonly base: ImageRecord,
    private readonly patch: ImageRecord,
    private readonly form: TrampolineForm,
  ) {}

  planBackward(chunk: HotPatchChunk, record: HotPatchRecord, place: string): (FunctionPlan | PointerPlan)[] {
    switch (chunk.type) {
      case 'FUNCTION':
        return [this.planFunction(record, place, this.patch, this.base)];
      case 'ABSOLUTE':
      case 'INDIRECT': {
        const location = this.patch.image.address(record.rva);
        return [
          {
            type: chunk.type,
            place,
            location,
            symbol: this.patch.image.describe(location),
            target: this.base.image.address(record.target),
          },
        ];
      }
      default:
        // REL32, CALL_TARGET, NO_CALL_TARGET and DYNAMIC_VALUE are validated; NT stores nothing for them (3.5).
        return [];
    }
  }

  planFunction(record: HotPatchRecord, place: string, from: ImageRecord, to: ImageRecord): FunctionPlan {
    const location = from.image.address(record.rva);
    const symbol = from.image.describe(location);
    const read = reader(from.image);
    const hpat = this.#hpat(from.image);
    const state = this.form.classify(read, location, hpat);
    const refuse = (
      rule: string,
      reason: string,
      status: 'STATUS_INVALID_IMAGE_FORMAT' | 'STATUS_CONFLICTING_ADDRESSES',
    ) =>
      new HotPatchError({
        rule,
        status,
        image: this.patch.image.baseDllName,
        place,
        symbol,
        message: reason,
      });
    const plan = {
      type: 'FUNCTION',
      place,
      rva: record.rva,
      location,
      symbol,
      target: to.image.address(record.target),
    } as const;
    switch (state.kind) {
      case 'mismatch':
        throw refuse('function.mismatch', state.reason, 'STATUS_CONFLICTING_ADDRESSES');
      case 'patched':
        if (state.index >= from.usedSlots)
          throw refuse(
            'function.slot',
            `leads to HPAT slot ${state.index}, which is not in use`,
            'STATUS_CONFLICTING_ADDRESSES',
          );
        return { ...plan, index: state.index };
      case 'unpatched': {
        const expected = record.originalBytes.subarray(0, this.form.entrySize);
        const found = read(location, expected.length);
        if (expected.some((byte, i) => byte !== found[i]))
          throw refuse(
            'record.originalBytes',
            `the entry is ${formatBytes(found)}, the patch expects ${formatBytes(expected)}`,
            'STATUS_INVALID_IMAGE_FORMAT',
          );
        const reason = this.form.refuse(read, location);
        if (reason !== undefined) throw refuse(reason.rule, reason.reason, 'STATUS_INVALID_IMAGE_FORMAT');
        return { ...plan, index: undefined };
      }
    }
  }

  /** STATUS_PATCH_CONFLICT before the first store when the HPAT has not enough free slots (U-14). */
  checkCapacity(record: ImageRecord, functions: readonly { readonly index?: number | undefined }[]): void {
    const needed = functions.filter((plan) => plan.index === undefined).length;
    const { capacity } = this.#hpat(record.image);
    if (record.usedSlots + needed <= capacity) return;
    throw new HotPatchError({
      rule: 'hpat.full',
      status: 'STATUS_PATCH_CONFLICT',
      image: this.patch.image.baseDllName,
      message: `the HPAT of ${record.image.baseDllName} has ${capacity} slots, ${record.usedSlots} in use; ${needed} more are needed`,
      hint: 'boot with a larger HotPatchTableSize',
    });
  }

  /** Before any write every function in the undo table must still lead to its own slot, else STATUS_PATCH_CONFLICT (2.7). */
  checkUndoTable(): void {
    const { image, undo } = this.base;
    for (const [index, entry] of undo) {
      const state = this.form.classify(reader(image), image.address(entry.rva), this.#hpat(image));
      if (state.kind === 'patched' && state.index === index) continue;
      throw new HotPatchError({
        rule: 'undo.entryChanged',
        status: 'STATUS_PATCH_CONFLICT',
        image: this.patch.image.baseDllName,
        symbol: image.describe(image.address(entry.rva)),
        message: `this function was patched through HPAT slot ${index}, but its entry at RVA ${hex(entry.rva)} does not lead there any more`,
      });
    }
  }

  #hpat(image: LoadedImage) {
    if (image.hpat === undefined)
      throw new HotPatchError({
        rule: 'hpat.absent',
        status: 'STATUS_NOT_SUPPORTED',
        image: this.patch.image.baseDllName,
        message: `no HPAT was reserved behind ${image.baseDllName}`,
      });
    return image.hpat;
  }
}

/** Reads code as data reads see it. */
export function reader(image: LoadedImage): ReadCode {
  return (address, length) => image.domain.addressSpace.read(address, length);
}
