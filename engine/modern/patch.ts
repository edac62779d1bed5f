import {
  type HotPatchBase,
  type HotPatchTable,
  type NtStatus,
  ntStatus,
  type PeImage,
  type SymbolTable,
  validateHotPatch,
} from '../../image/index.js';
import type { LoadedImage } from '../../loader/index.js';
import { HotPatchError } from '../core/error.js';
import type { Application } from './application.js';
import { refuseFindings } from './refusals.js';

export interface LoadPatchOptions {
  /** BaseDllName of the patch image; default: the file's name. */
  readonly name?: string;
  readonly symbols?: SymbolTable;
  /** NT path of the file; default: the name. */
  readonly path?: string;
  /** Registers it for the processes of this user alone (`S-1-5-21-…`). */
  readonly userSid?: string | undefined;
}

/**
 * `deferred`: registered, to be applied when its base is loaded. `applied`: in force. `superseded`: a newer patch has
 * taken its place. `reverted`: taken back.
 */
export type PatchState = 'deferred' | 'applied' | 'superseded' | 'reverted';

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

/**
 * Reads and checks the hotpatch table of an image, without regard to a base.
 * @throws HotPatchError with the rule that the table breaks
 */
export function readPatch(image: PeImage, options: LoadPatchOptions): Patch {
  const name = options.name ?? image.file?.replace(/^.*[\\/]/, '') ?? 'patch';
  refuseFindings(validateHotPatch(image), name);
  const table = image.hotPatch;
  const description = table?.bases[0];
  if (table === undefined || description === undefined)
    throw new HotPatchError({
      rule: 'hotPatch.absent',
      status: 'STATUS_INVALID_IMAGE_FORMAT',
      image: name,
      message: 'the image has no hotpatch table',
    });
  const status = ntStatus('STATUS_PATCH_DEFERRED');
  return new Patch(name, image, table, description, options.symbols, status, options.path, options.userSid);
}
