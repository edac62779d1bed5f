import type { LoadedImage } from '../../loader/index.js';
import type { Application } from './application.js';
import type { TrampolineForm } from './trampoline.js';
import { UndoEntries, type UndoEntry, type UndoTable } from './undo-table.js';

/** HotPatchState of MM_SHARED_VAD_FLAGS, two bits (docs/fidelity.md#the-system-around-it). */
export const VAD_HOT_PATCH_STATE = {
  none: 0,
  inProgress: 1,
  patchedBase: 2,
  patchReverseApplied: 3,
} as const;
export type VadHotPatchState = (typeof VAD_HOT_PATCH_STATE)[keyof typeof VAD_HOT_PATCH_STATE];

class RecordState {
  readonly undo = new UndoEntries();
  vadState: VadHotPatchState = VAD_HOT_PATCH_STATE.none;
  applications: readonly Application[] = [];
  usedSlots = 0;
  readonly slotOwners = new Map<number, number>();
  readonly #padding = new Map<number, Uint8Array>();

  /** @param rva of the function that leads to the slot, now or once it was patched */
  useSlot(index: number, rva: number): void {
    this.usedSlots = index + 1;
    this.slotOwners.set(index, rva);
  }

  /** Only for the slot that was used last, in an operation that is rolled back. */
  giveBackSlot(index: number): void {
    this.usedSlots = index;
    this.slotOwners.delete(index);
  }

  saveUndo(index: number, entry: UndoEntry): void {
    this.undo.set(index, entry);
  }

  clearUndo(index: number): void {
    this.undo.clear(index);
  }

  add(application: Application): void {
    this.applications = [...this.applications, application];
  }

  remove(application: Application): void {
    this.applications = this.applications.filter((other) => other !== application);
  }

  /** The padding before a function as the linker left it, however often it was patched and reverted since. */
  originalPadding(rva: number, read: () => Uint8Array): Uint8Array {
    const known = this.#padding.get(rva);
    if (known !== undefined) return known;
    const bytes = read();
    this.#padding.set(rva, bytes);
    return bytes;
  }
}

let stateOf: (record: ImageRecord) => RecordState;

/**
 * What the engine knows of one loaded image, base or patch: its HPAT's use, and the patch that is in force. Only the engine
 * changes it.
 */
export class ImageRecord {
  readonly #state = new RecordState();

  constructor(
    /** The image in memory. */
    readonly image: LoadedImage,
    /** How functions of this image are redirected: by its processor and the HPAT's layout. */
    readonly form: TrampolineForm,
  ) {}

  static {
    stateOf = (record) => record.#state;
  }

  /** The original bytes of functions that are redirected. */
  get undo(): UndoTable {
    return this.#state.undo;
  }

  /** What the memory manager has noted of the image's VAD. */
  get vadState(): VadHotPatchState {
    return this.#state.vadState;
  }

  /** Patches that are applied to this image, oldest first; the last one is in force. */
  get applications(): readonly Application[] {
    return this.#state.applications;
  }

  /** The application that is in force; undefined when there is none. */
  get active(): Application | undefined {
    return this.applications.at(-1);
  }

  /** Sequence number of the patch in force; 0 when there is none. */
  get sequenceNumber(): number {
    return this.active?.patch.sequenceNumber ?? 0;
  }

  /** Slots of the HPAT given out so far; a slot is never used for another function. */
  get usedSlots(): number {
    return this.#state.usedSlots;
  }

  /** RVA of the function that a slot was given to, in base and patch images; a revert does not take it away. */
  slotOwner(index: number): number | undefined {
    return this.#state.slotOwners.get(index);
  }
}

/** The engine's own way to change what it knows of an image: not exported from the room. */
export function editRecord(record: ImageRecord): RecordState {
  return stateOf(record);
}
