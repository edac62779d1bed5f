import { hookPlace, isModule, readHotp1, routineOf } from '../hotp1/index.js';
import type { PeImage } from '../image.js';
import { baseName, type DumpModule } from './memory.js';

/** An image as it lies in memory. */
export interface ImageInMemory {
  /** Where it lies. */
  readonly module: DumpModule;
  /** What was read of it. */
  readonly image: PeImage;
}

/** Is it a hotpatch of Server 2003, whatever it is for? */
export function isHotp1(image: PeImage): boolean {
  return hotp1Of(image) !== undefined;
}

/** Does a hotpatch of Server 2003 lead the function at an RVA of a module to an address in itself? */
export function isHookOf(patch: ImageInMemory, own: ImageInMemory, rva: number, target: bigint): boolean {
  const hotp1 = hotp1Of(patch.image);
  if (hotp1 === undefined) return false;
  const isFor =
    hotp1.targetName.toLowerCase() === baseName(own.module.name).toLowerCase() && isModule(own.image, hotp1);
  const routine = Number(target - patch.module.base);
  return (
    isFor &&
    hotp1.hooks.some(
      (hook) =>
        hook.hookRva === rva && hookPlace(hotp1, hook) === 'entry' && routineOf(hotp1, hook) === routine,
    )
  );
}

function hotp1Of(image: PeImage) {
  try {
    return readHotp1(image);
  } catch {
    return undefined;
  }
}
