import type { Kernel, LoadedImage } from '../../loader/index.js';
import { HotPatchError, type HotPatchRule } from '../core/index.js';
import type { Patch } from './patch.js';

/** A driver's patch may not import its base: the patch image would keep the base from ever being unloaded (docs/fidelity.md#application). */
export function refuseImportOfBase(patch: Patch, base: LoadedImage): void {
  const { kind } = base.domain;
  const name = base.baseDllName.toLowerCase();
  if (kind === 'user' || !patch.image.imports.some(({ module }) => module.toLowerCase() === name)) return;
  throw new HotPatchError({
    rule: 'patch.importsBase',
    status: 'STATUS_INVALID_IMAGE_FORMAT',
    image: patch.name,
    message: `a driver's hotpatch image must not import from its base ${base.baseDllName}`,
  });
}

export function notInForce(patch: Patch): HotPatchError {
  return new HotPatchError({
    rule: 'unload.notActive',
    status: 'STATUS_INVALID_PARAMETER',
    image: patch.name,
    message: `this patch is ${patch.state}; only the newest patch that is applied can be unloaded`,
  });
}

/** Nothing is loaded where hotpatching is off, or before the boot loader's patches are registered. */
export function refuseUnlessReady(image: string, kernel: Kernel, ready: boolean): void {
  const refuse = (
    rule: HotPatchRule,
    status: 'STATUS_NOT_SUPPORTED' | 'STATUS_DEVICE_NOT_READY',
    message: string,
  ) => new HotPatchError({ rule, status, image, message });
  if (!kernel.hotPatchingEnabled)
    throw refuse(
      'hotPatching.disabled',
      'STATUS_NOT_SUPPORTED',
      'hotpatching is disabled: it needs a HotPatchTableSize and virtualization-based security',
    );
  if (!ready)
    throw refuse(
      'hotPatching.notReady',
      'STATUS_DEVICE_NOT_READY',
      "the boot loader's patches are not registered yet",
    );
}
