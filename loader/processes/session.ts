import type { AddressSpace, PageTable } from '../../cpu/index.js';
import type { PeImage } from '../../image/index.js';
import { asInt, INSPECT, printed } from '../common/index.js';
import {
  assertLoading,
  type ImageDomain,
  type ImageSession,
  type LoadedImage,
  type LoadOptions,
} from '../images/index.js';
import type { SessionOwner } from './owners.js';

/**
 * A logon session: the session space behind one root page-table entry, with the session drivers that are loaded in it.
 * Their code is shared with other sessions until one changes it; their data is the session's own.
 */
export class Session implements ImageSession {
  constructor(
    private readonly owner: SessionOwner,
    /** 1 is the first. */
    readonly id: number,
    /** What the root entry leads to. */
    readonly table: PageTable,
    /** The session's drivers; it also sees kernel space. */
    readonly domain: ImageDomain,
  ) {}

  /** What its drivers see. */
  get addressSpace(): AddressSpace {
    return this.domain.addressSpace;
  }

  /** Loads a session driver into this session. In every session it lies at the same address. */
  loadDriver(image: PeImage, options: LoadOptions = {}): LoadedImage {
    assertLoading(image, options, 'loadDriver');
    return this.owner.loader.load(this.domain, image, options);
  }

  /** Calls a session driver's function in this session, alone, and returns its result as a C `int`. */
  call(address: bigint, parameters: readonly (bigint | number)[] = []): number {
    return asInt(this.call64(address, parameters));
  }

  /** As {@link call}, but returns the whole result register: pointers and 64-bit integers. */
  call64(address: bigint, parameters: readonly (bigint | number)[] = []): bigint {
    return this.owner.call64(address, parameters, { domain: this.domain });
  }

  /** What identifies it, where it is printed. */
  toJSON() {
    return { id: this.id, images: this.domain.images.length };
  }

  get [Symbol.toStringTag](): string {
    return 'Session';
  }

  [INSPECT](): string {
    return printed(this[Symbol.toStringTag], this.toJSON());
  }
}
