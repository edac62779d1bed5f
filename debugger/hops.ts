import { instructionLength } from '../cpu/index.js';
import type { LoadedImage } from '../loader/index.js';
import { describeHook, hookAt, hooksOf } from './hooks-2003.js';
import type { ThreadView } from './thread-view.js';

/**
 * What an address is on the way from a patched function to its replacement: `patched entry → pad jump`,
 * `pad jump → HPAT slot 3`, `HPAT slot 3 → demo_hp!dispatch`. Undefined everywhere else.
 */
export function describeHop(view: ThreadView, address: bigint): string | undefined {
  const image = view.imageAt(address);
  if (image === undefined) return undefined;
  const hook = describeHook(view, image, address);
  if (hook !== undefined) return hook;
  if (image.hpat === undefined || !image.hpat.committed) return undefined;
  if (image.hpat.contains(address)) return describeSlot(view, image, address);
  if (image.retpolinePage !== undefined && address >= image.retpolinePage)
    return 'retpoline page: finds the HPAT data slot and goes on through it';
  const paddingUsed = view.recordOf(image)?.form.paddingUsed ?? 0;
  const slot = slotOfEntry(view, image, address);
  if (slot !== undefined) return `patched entry → ${paddingUsed > 0 ? 'pad jump' : `HPAT slot ${slot}`}`;
  const entry = patchedFunctionBehind(view, image, address);
  const behind = entry === undefined ? undefined : slotOfEntry(view, image, entry);
  return behind === undefined ? undefined : `pad jump → ${throughPadding(view, image, behind)}`;
}

/** The patched function whose jump in the padding is at this very address. */
export function patchedFunctionBehind(
  view: ThreadView,
  image: LoadedImage,
  address: bigint,
): bigint | undefined {
  const hook = hookAt(view, image, address);
  const behind = address + BigInt(hook?.bytes.length ?? 0);
  if (hook?.target === 'padding' && hook.entries.includes(behind)) return behind;
  if (image.hpat?.committed !== true || image.rva(address) >= image.sizeOfImage) return undefined;
  const paddingUsed = view.recordOf(image)?.form.paddingUsed ?? 0;
  const entry = address + BigInt(paddingUsed);
  return paddingUsed > 0 && slotOfEntry(view, image, entry) !== undefined ? entry : undefined;
}

/**
 * Bytes of a patched function's first instruction that the entry's store has left behind the jump: nothing executes
 * them. 0 where no patched function begins.
 */
export function leftoverBehind(view: ThreadView, address: bigint): number {
  const image = view.imageAt(address);
  if (image === undefined) return 0;
  const original = originalEntry(view, image, address);
  if (original === undefined) return 0;
  const bytes = view.readUpTo(address, 16);
  bytes.set(original);
  return instructionLength(view.architecture.name, bytes, address) - original.length;
}

/** What the entry's store has replaced, where a patched function begins. */
function originalEntry(view: ThreadView, image: LoadedImage, address: bigint): Uint8Array | undefined {
  const hook = hookAt(view, image, address);
  if (hook?.target === 'entry') return hook.pristine;
  const record = view.recordOf(image);
  if (record === undefined || slotOfEntry(view, image, address) === undefined) return undefined;
  const { undo, form } = record;
  const rva = image.rva(address);
  const entry = [...undo].find(([, candidate]) => candidate.rva === rva)?.[1];
  return entry?.entryBytes ?? image.section.layout.subarray(rva, rva + form.entrySize);
}

/** Where the functions of an image begin that a patch leads elsewhere. */
export function patchedEntries(view: ThreadView, image: LoadedImage): readonly bigint[] {
  const undo = [...(view.recordOf(image)?.undo ?? [])].map(([, { rva }]) => image.address(rva));
  return [...undo, ...hooksOf(view, image).flatMap(({ entries }) => entries)];
}

/** Bytes before a function that a jump to its replacement may take. */
export function paddingBefore(view: ThreadView, image: LoadedImage, entry: bigint): number {
  const hook = hooksOf(view, image).find(
    ({ target, location, bytes }) => target === 'padding' && location + BigInt(bytes.length) === entry,
  );
  return hook?.bytes.length ?? view.recordOf(image)?.form.paddingUsed ?? 0;
}

/** Places in the image where an instruction of a patch's begins, in the midst of others: entries, and jumps in padding. */
export function patchedPlaces(view: ThreadView, image: LoadedImage): readonly bigint[] {
  const undo = [...(view.recordOf(image)?.undo ?? [])].map(([, { rva }]) => image.address(rva));
  const hooks = hooksOf(view, image).filter(({ target }) => target !== 'pointer');
  return [...undo, ...hooks.map(({ location }) => location)];
}

/** The HPAT slot that the function at `entry` leads to; undefined when it is not patched, or no function begins there. */
export function slotOfEntry(view: ThreadView, image: LoadedImage, entry: bigint): number | undefined {
  const { hpat } = image;
  const rva = image.rva(entry);
  const record = view.recordOf(image);
  if (hpat === undefined || record === undefined || rva >= image.sizeOfImage) return undefined;
  const near = image.symbols.byAddress(rva);
  const { undo, form } = record;
  const isEntry = near?.offset === 0 || [...undo].some(([, undone]) => undone.rva === rva);
  if (!isEntry) return undefined;
  const state = form.classify((at, length) => view.read(at, length), entry, hpat);
  return state.kind === 'patched' ? state.index : undefined;
}

/** The pointer in a slot. */
export function slotTarget(view: ThreadView, image: LoadedImage, index: number): bigint | undefined {
  return image.hpat?.committed === true ? view.space.readU64(image.hpat.dataSlot(index)) : undefined;
}

function throughPadding(view: ThreadView, image: LoadedImage, index: number): string {
  if (image.hpat?.layout === 'pairs') return `HPAT slot ${index}`;
  return `HPAT slot ${index} → ${view.describe(slotTarget(view, image, index) ?? 0n)}`;
}

function describeSlot(view: ThreadView, image: LoadedImage, address: bigint): string | undefined {
  const index = image.hpat?.indexOf(address & ~7n);
  const target = index === undefined ? undefined : slotTarget(view, image, index);
  return target === undefined ? undefined : `HPAT slot ${index} → ${view.describe(target)}`;
}
