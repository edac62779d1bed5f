import type { Kernel } from '../../loader/index.js';
import { HotPatchError, holdersOfPatch } from '../core/index.js';
import { changePatch, type Patch } from './patch.js';

/** Takes the image of a reverted patch out of its address spaces; refused as long as anything leads into it. */
export function unmapPatch(kernel: Kernel, patch: Patch): void {
  if (patch.state === 'applied' || patch.state === 'superseded')
    throw new HotPatchError({
      rule: 'unmap.inForce',
      status: 'STATUS_INVALID_PARAMETER',
      image: patch.name,
      message: `the patch is ${patch.state}; take it back first`,
    });
  const [holder] = holdersOfPatch(kernel, patch);
  if (holder !== undefined)
    throw new HotPatchError({
      rule: 'unmap.inUse',
      status: 'STATUS_OPERATION_IN_PROGRESS',
      image: patch.name,
      message: holder.text,
      hint: 'let the thread finish, or reset the pointer, and try again',
    });
  const { applications } = patch;
  changePatch(patch, { applications: [] });
  for (const { loaded } of applications) if (loaded.isMapped) kernel.unloadImage(loaded);
}
