import type { HotPatchBase, HotPatchTable, NtStatus, PeImage, SymbolTable } from '../image/index.js';
import type { LoadedImage } from '../loader/index.js';
import type { Application } from './application.js';

/**
 * `deferred`: registered, to be applied when its base is loaded. `applied`: in force. `superseded`: a newer patch has
 * taken its place. `reverted`: taken back. `failed`: refused or undone.
 */
export type PatchState = 'deferred' | 'applied' | 'superseded' | 'reverted' | 'failed';

/** A hotpatch image that the engine knows of, and every place that it is applied to. */
export class Patch {
  state: PatchState = 'deferred';
  status: NtStatus;
  readonly applications: Application[] = [];

  constructor(
    readonly name: string,
    readonly image: PeImage,
    readonly table: HotPatchTable,
    /** What the table says of the base that it is for. */
    readonly description: HotPatchBase,
    readonly symbols: SymbolTable | undefined,
    status: NtStatus,
    /** NT path that it was loaded from. */
    readonly path: string = name,
    /** It is registered for the processes of this user alone; undefined: for all. */
    readonly userSid?: string | undefined,
  ) {
    this.status = status;
  }

  get sequenceNumber(): number {
    return this.table.sequenceNumber;
  }

  /** Identity of the base image: CheckSum of its optional header. */
  get originalCheckSum(): number {
    return this.description.originalCheckSum;
  }

  /** Identity of the base image: TimeDateStamp of its file header. */
  get originalTimeDateStamp(): number {
    return this.description.originalTimeDateStamp;
  }

  /** Functions of the base that lead into this patch now. */
  get functions(): number {
    return this.state === 'applied' ? (this.applications[0]?.functions ?? 0) : 0;
  }

  /** The base that it is applied to; the first one when there are several. */
  get base(): LoadedImage | undefined {
    return this.applications[0]?.base.image;
  }

  /** The patch image in memory, beside {@link base}. */
  get loaded(): LoadedImage | undefined {
    return this.applications[0]?.loaded;
  }

  isFor(image: LoadedImage): boolean {
    return (
      image.loadReason !== 'PatchImage' &&
      image.checkSum === this.originalCheckSum &&
      image.timeDateStamp === this.originalTimeDateStamp
    );
  }
}
