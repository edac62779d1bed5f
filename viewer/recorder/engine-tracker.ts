import type { Patch, Patch2003, StoreStep } from '../../engine/index.js';
import type { LabEvent, LoadedImage } from '../../loader/index.js';
import type { PatchesChange, TrampolineFacts, UndoChange } from '../recording/format.js';
import { type Catalogue, hex, type RecordedLab } from './catalogue.js';

/** Padding that functions of x86 processors must have, `/FUNCTIONPADMIN:6`: it is shown before each patched one. */
export const REQUIRED_PADDING = 6;

/** What the hotpatch engines of a run know: patches, undo tables, and every function that they redirect. */
export class EngineTracker {
  readonly trampolines: TrampolineFacts[] = [];
  readonly undo: UndoChange[] = [];
  readonly patches: PatchesChange[] = [];
  readonly #undo = new Map<LoadedImage, Map<number, number>>();
  readonly #known = new Set<string>();
  #patches = '[]';

  constructor(private readonly catalogue: Catalogue) {}

  /** Looks at the engines as they are at `moment`, after an event. */
  note(event: LabEvent | undefined, moment: number): void {
    for (const recorded of this.catalogue.labs) {
      if (event !== undefined && isEntryStore(event)) this.#noteTrampoline(recorded, event, moment);
      for (const image of patchableImages(recorded)) this.#noteUndo(recorded, image, moment);
    }
    this.#notePatches(moment);
  }

  #noteTrampoline({ lab }: RecordedLab, store: StoreStep, moment: number): void {
    for (const image of patchableImages({ lab })) {
      const { address } = store;
      const { hpat, domain } = image;
      const index = this.catalogue.image(image);
      if (index === undefined || hpat === undefined || !image.contains(address)) continue;
      if (lab.engine.name !== 'modern') continue;
      const { form } = lab.engine.record(image);
      const read = (at: bigint, length: number) => domain.addressSpace.read(at, length);
      const state = form.classify(read, address, hpat);
      const key = `${index} ${address}`;
      if (state.kind !== 'patched' || this.#known.has(key)) continue;
      this.#known.add(key);
      const rva = image.rva(address);
      const { layout } = image.section;
      const codeSlot = hpat.codeSlot(state.index);
      this.trampolines.push({
        image: index,
        slot: state.index,
        symbol: image.describe(address),
        entry: hex(address),
        entrySize: form.entrySize,
        paddingSize: form.paddingUsed,
        ...(codeSlot === undefined ? {} : { codeSlot: hex(codeSlot) }),
        dataSlot: hex(hpat.dataSlot(state.index)),
        retpoline: image.jumpHpat !== undefined,
        originalEntry: digits(layout.subarray(rva, rva + form.entrySize)),
        originalPadding: digits(layout.subarray(rva - form.paddingUsed, rva)),
        from: moment,
      });
    }
  }

  #noteUndo({ lab }: RecordedLab, image: LoadedImage, moment: number): void {
    const index = this.catalogue.image(image);
    if (index === undefined || lab.engine.name !== 'modern') return;
    const { undo } = lab.engine.record(image);
    const known = this.#undo.get(image) ?? new Map<number, number>();
    if (undo.size === 0 && known.size === 0) return;
    this.#undo.set(image, known);
    const left = new Set(known.keys());
    for (const [slot, { rva, entryBytes, paddingBytes }] of undo) {
      left.delete(slot);
      if (known.get(slot) === rva) continue;
      known.set(slot, rva);
      this.undo.push({
        from: moment,
        image: index,
        slot,
        rva,
        entryBytes: digits(entryBytes),
        paddingBytes: digits(paddingBytes),
      });
    }
    for (const slot of left) {
      known.delete(slot);
      this.undo.push({ from: moment, image: index, slot });
    }
  }

  #notePatches(moment: number): void {
    const patches = this.catalogue.labs.flatMap(({ lab }) =>
      [...lab.engine.patches].map((patch: Patch | Patch2003) => ({
        name: patch.name,
        ...(patch.engine === 'modern' ? { sequence: patch.sequenceNumber } : {}),
        state: patch.state,
        status: patch.status.name,
      })),
    );
    const text = JSON.stringify(patches);
    if (text === this.#patches) return;
    this.#patches = text;
    this.patches.push({ from: moment, patches });
  }
}

function patchableImages({ lab }: Pick<RecordedLab, 'lab'>): LoadedImage[] {
  return lab.kernel.domains.flatMap(({ images }) => images.filter(({ hpat }) => hpat?.committed === true));
}

export function isStore(event: LabEvent): event is StoreStep {
  return event.kind === 'store';
}

function isEntryStore(event: LabEvent): event is StoreStep {
  return isStore(event) && event.target === 'entry';
}

export function digits(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
