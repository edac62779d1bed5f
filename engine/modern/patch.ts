import {
  type HotPatchBase,
  type HotPatchTable,
  type NtStatus,
  ntStatus,
  type PeImage,
  type SymbolTable,
  validateHotPatch,
} from '../../image/index.js';
import { INSPECT, type LoadedImage, printed } from '../../loader/index.js';
import {
  type HotPatch,
  HotPatchError,
  type HotPatchPlace,
  type HotPatchState,
  type LoadHotPatchOptions,
  refuseFindings,
} from '../core/index.js';
import type { Application } from './application.js';

/** How a hotpatch of the modern engine is loaded. */
export interface LoadPatchOptions extends LoadHotPatchOptions {
  /** Registers it for the processes of this user alone (`S-1-5-21-…`). */
  readonly userSid?: string | undefined;
}

/**
 * `deferred`: registered, to be applied when its base is loaded. `applied`: in force. `superseded`: a newer patch has
 * taken its place. `reverted`: taken back.
 */
export type PatchState = Extract<HotPatchState, 'deferred' | 'applied' | 'superseded' | 'reverted'>;

let change: (patch: Patch, fields: Partial<PatchFields>) => void;

interface PatchFields {
  state: PatchState;
  status: NtStatus;
  applications: readonly Application[];
}

/** A hotpatch image that the engine knows of, and every place that it is applied to. Only the engine changes it. */
export class Patch implements HotPatch {
  /** It is one of the modern engine. */
  readonly engine = 'modern';
  readonly #fields: PatchFields;

  constructor(
    /** File name of the patch image. */
    readonly name: string,
    /** The patch image as a file. */
    readonly image: PeImage,
    /** Its hotpatch table. */
    readonly table: HotPatchTable,
    /** What the table says of the base that it is for. */
    readonly description: HotPatchBase,
    /** Its own symbols; undefined where none were given. */
    readonly symbols: SymbolTable | undefined,
    status: NtStatus,
    /** NT path that it was loaded from. */
    readonly path: string = name,
    /** It is registered for the processes of this user alone; undefined: for all. */
    readonly userSid?: string | undefined,
  ) {
    this.#fields = { state: 'deferred', status, applications: [] };
  }

  static {
    change = (patch, fields) => void Object.assign(patch.#fields, fields);
  }

  /** Whether it is in force. */
  get state(): PatchState {
    return this.#fields.state;
  }

  /** What its last operation ended with. */
  get status(): NtStatus {
    return this.#fields.status;
  }

  /** Every place that it is applied to. */
  get applications(): readonly Application[] {
    return this.#fields.applications;
  }

  /** Every module that it is applied to, with the patch image beside it. */
  get places(): readonly HotPatchPlace[] {
    return this.applications.map(({ base, loaded, functions }) => ({ base: base.image, loaded, functions }));
  }

  /** SequenceNumber of its table: a newer patch of the same base has a higher one. */
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

  /** Is this image its base, by checksum and timestamp? */
  isFor(image: LoadedImage): boolean {
    return (
      image.loadReason !== 'PatchImage' &&
      image.checkSum === this.originalCheckSum &&
      image.timeDateStamp === this.originalTimeDateStamp
    );
  }

  /** What identifies it, where it is printed. */
  toJSON() {
    return { name: this.name, state: this.state, status: this.status.name, functions: this.functions };
  }

  get [Symbol.toStringTag](): string {
    return 'Patch';
  }

  [INSPECT](): string {
    return printed(this[Symbol.toStringTag], this.toJSON());
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

/** The engine's own way to change what it knows of a patch: not exported from the room. */
export function changePatch(patch: Patch, fields: Partial<PatchFields>): void {
  change(patch, fields);
}

/** @throws HotPatchError when it is no patch of this engine's kind */
export function modernPatch(patch: HotPatch): Patch {
  if (patch instanceof Patch) return patch;
  throw new HotPatchError({
    rule: 'patch.engine',
    status: 'STATUS_INVALID_PARAMETER',
    image: patch.name,
    message: `is a hotpatch of the engine '${patch.engine}', this one is 'modern'`,
  });
}
