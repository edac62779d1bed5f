import type { ImageInstance, ImageProcess, Kernel, LoadedImage } from '../../loader/index.js';
import { HotPatchError } from '../core/index.js';
import { changePatch, type Patch } from './patch.js';

/**
 * The lists of registered patches: the global one, those of users, and the patches that were registered before
 * (GlobalHotPatchList, UserSidPatchLists, PreviouslyRegisteredHotPatchList; docs/fidelity.md#application).
 */
export class PatchRegistry {
  readonly #patches: Patch[] = [];

  constructor(private readonly kernel: Kernel) {}

  /** Every patch that was ever registered, oldest first. */
  get patches(): readonly Patch[] {
    return this.#patches;
  }

  /** The newest patch that is registered for an image, applied to it or not. */
  registeredFor(base: LoadedImage): Patch | undefined {
    return this.#patches.findLast(
      (candidate) =>
        isRegistered(candidate) && candidate.isFor(base) && concernsUser(candidate, base.domain.process),
    );
  }

  /** The newest patch that is registered in the same list for the same base. */
  sameBase(patch: Patch): Patch | undefined {
    return this.#patches.findLast(
      (other) =>
        isRegistered(other) &&
        other.userSid === patch.userSid &&
        other.originalCheckSum === patch.originalCheckSum &&
        other.originalTimeDateStamp === patch.originalTimeDateStamp,
    );
  }

  /** A lower sequence number than the registered one is refused (docs/fidelity.md#application). */
  checkSequence(patch: Patch): void {
    const registered = this.sameBase(patch);
    if (registered === undefined || registered.sequenceNumber <= patch.sequenceNumber) return;
    throw new HotPatchError({
      rule: 'sequence.lowerThanRegistered',
      status: 'STATUS_REQUEST_OUT_OF_SEQUENCE',
      image: patch.name,
      message: `sequence number ${patch.sequenceNumber} is below ${registered.sequenceNumber} of ${registered.name}, which is registered for this base`,
    });
  }

  /** It takes the place of a deferred patch of the same base. */
  register(patch: Patch): void {
    const registered = this.sameBase(patch);
    if (registered?.state === 'deferred') changePatch(registered, { state: 'superseded' });
    this.#patches.push(patch);
  }

  /** Every image that the patch is for: drivers, session drivers, DLLs and EXEs of all processes, secure images. */
  basesOf(patch: Patch): LoadedImage[] {
    return this.kernel
      .imagesOf({ checkSum: patch.originalCheckSum, timeDateStamp: patch.originalTimeDateStamp })
      .filter(({ process }: ImageInstance) => concernsUser(patch, process))
      .map(({ image }) => image);
  }
}

function isRegistered({ state }: Patch): boolean {
  return state === 'deferred' || state === 'applied';
}

/** A patch of one user's list concerns that user's processes alone. */
function concernsUser(patch: Patch, process: ImageProcess | undefined): boolean {
  return patch.userSid === undefined || process?.userSid === patch.userSid;
}
