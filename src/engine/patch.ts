import type { NtStatus, PeImage } from '../image/index.js';
import type { LoadedImage } from '../loader/index.js';

/** `deferred`: registered, to be applied when its base is loaded. `superseded`: a newer patch has taken its place. */
export type PatchState = 'deferred' | 'applied' | 'superseded' | 'reverted' | 'failed';

/** A hotpatch image that the engine knows of. */
export class Patch {
  state: PatchState = 'deferred';
  status: NtStatus;
  /** The patch image in memory, once it has been mapped. */
  loaded: LoadedImage | undefined;
  base: LoadedImage | undefined;
  /** Functions of the base that lead into this patch. */
  functions = 0;

  constructor(
    readonly name: string,
    readonly image: PeImage,
    readonly sequenceNumber: number,
    /** Identity of the base image it is for. */
    readonly originalCheckSum: number,
    readonly originalTimeDateStamp: number,
    status: NtStatus,
  ) {
    this.status = status;
  }
}
