import type { EntryNeed } from '../entry.js';
import type { PeImage } from '../image.js';
import type { ImageArchitecture } from '../mapped-file.js';
import { isExecutable } from '../sections.js';

/** How x64 functions are hooked: a near jump in the padding, or an indirect one through a pointer in the target. */
export type HookForm = 'near' | 'indirect';

/** `E9 rel32` or `FF 25 rel32` in the padding, `EB rel8` at the entry. */
export const HOOK_FORM_NEEDS: Readonly<Record<HookForm, EntryNeed>> = {
  near: { padding: 5, jump: 5, entry: 2 },
  indirect: { padding: 6, jump: 6, entry: 2 },
};

/** Has the target's architecture hooks that jump through a pointer (AMD64_IND)? */
const HAS_INDIRECT: Readonly<Record<ImageArchitecture, boolean>> = { x64: true, x86: false, arm64: false };

const POINTER_SIZE = 8;

/** The form that so many functions of a target can have: indirect on x64 where there is room for the pointers. */
export function hookFormFor(image: PeImage, count: number, wanted: HookForm = 'indirect'): HookForm {
  if (!HAS_INDIRECT[image.architecture] || pointerCells(image).length < count) return 'near';
  return wanted;
}

/** RVAs of unused aligned pointers behind the code of a target, up to the end of its last page of code. */
export function pointerCells(image: PeImage): number[] {
  const room = image.sections.filter(isExecutable).map((section) => {
    const start = Math.ceil((section.virtualAddress + section.virtualSize) / POINTER_SIZE);
    const end = Math.floor((section.virtualAddress + section.sizeInMemory) / POINTER_SIZE);
    return Array.from({ length: Math.max(0, end - start) }, (_, index) => (start + index) * POINTER_SIZE);
  });
  return room.reduce((most, cells) => (cells.length > most.length ? cells : most), []);
}
