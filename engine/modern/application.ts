import type { LoadedImage } from '../../loader/index.js';
import type { ImageRecord } from './image-record.js';
import type { Patch } from './patch.js';

/** A patch applied to one base in one address space: a driver, a driver in one session, a DLL in one process. */
export interface Application {
  /** The patch. */
  readonly patch: Patch;
  /** The base, as the engine knows it. */
  readonly base: ImageRecord;
  /** The patch image that was mapped beside it. */
  readonly loaded: LoadedImage;
  /** Functions of the base that the patch covers. */
  readonly functions: number;
}
