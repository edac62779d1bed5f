import { type ArchitectureName, CpuError, formatAddress, isExecutable } from '../../cpu/index.js';
import { formatBytes, hex, type ImageDomain, type LabEventOf, type LoadedImage } from '../../loader/index.js';
import { HotPatchError } from './error.js';
import type { Occupation, StoreTarget, Writer } from './steps.js';

export interface StoreRequest {
  readonly domain: ImageDomain;
  /** The image that is stored into, where the engine knows it. */
  readonly image?: LoadedImage | undefined;
  readonly target: StoreTarget;
  readonly address: bigint;
  readonly bytes: Uint8Array;
  /** `demo!dispatch` */
  readonly symbol: string;
  /** See the step. */
  readonly unlessOccupied?: readonly Occupation[] | undefined;
}

/** Who stores at an address, and through what. */
export interface StoreAccess {
  readonly writer: Writer;
  write(address: bigint, bytes: Uint8Array): void;
}

export type Storing = (domain: ImageDomain, address: bigint) => StoreAccess;

/**
 * Whoever writes code or data of the domain: which of the two the page's protection decides. The protection that the guest
 * sees stays as it is.
 */
export function storeAsOwner({ writer, addressSpace }: ImageDomain, address: bigint): StoreAccess {
  const { protection } = addressSpace.query(address);
  return protection !== undefined && isExecutable(protection)
    ? { writer: writer.codeWriter, write: (at, bytes) => writer.writeCode(at, bytes) }
    : { writer: writer.dataWriter, write: (at, bytes) => writer.writeData(at, bytes) };
}

/**
 * NT itself, through a writable alias of the locked pages, where there is no Secure Kernel (PatchGuard of Server 2003 x64 is
 * told of the kernel's own changes, modelled: as stores by who may change code). Pages of a process become its own first.
 */
export function storeAsKernel({ writer }: ImageDomain): StoreAccess {
  return { writer: 'NT', write: (at, bytes) => writer.writeCodeAsKernel(at, bytes) };
}

/** @throws HotPatchError `store.failed` for what the memory refuses */
export function attemptStore(
  { write }: StoreAccess,
  { domain, image, target, address, bytes, symbol }: StoreRequest,
): void {
  try {
    write(address, bytes);
  } catch (error) {
    if (!(error instanceof CpuError)) throw error;
    const into = image ?? domain.imageAt(address);
    const { name } = domain.architecture;
    const place = into === undefined ? formatAddress(name, address) : `RVA ${hex(into.rva(address))}`;
    throw new HotPatchError({
      rule: 'store.failed',
      status: error.status?.name === 'STATUS_NO_MEMORY' ? 'STATUS_NO_MEMORY' : 'STATUS_ACCESS_VIOLATION',
      image: into?.baseDllName,
      place: `${TARGET_TEXT[target]}, ${place}`,
      symbol,
      domain: nameInReports(domain),
      message: error.message,
      cause: error,
    });
  }
}

/**
 * A store that has been made, for the transcript. A large patch makes tens of thousands of these, and most texts are never
 * read: they are made when they are asked for.
 */
export class StoreEvent implements LabEventOf<'store'> {
  readonly kind = 'store';
  readonly target: StoreTarget;
  readonly writer: Writer;
  readonly place: string;
  readonly address: bigint;
  readonly before: Uint8Array;
  readonly bytes: Uint8Array;
  readonly symbol: string;
  readonly unlessOccupied: readonly Occupation[] | undefined;
  readonly #architecture: ArchitectureName;

  constructor(request: StoreRequest, writer: Writer, before: Uint8Array) {
    const { domain } = request;
    this.target = request.target;
    this.writer = writer;
    this.place = domain.name;
    this.address = request.address;
    this.before = before;
    this.bytes = request.bytes;
    this.symbol = request.symbol;
    this.unlessOccupied = request.unlessOccupied;
    this.#architecture = domain.architecture.name;
  }

  get text(): string {
    const where = formatAddress(this.#architecture, this.address);
    return `  ${this.writer} stores ${formatBytes(this.bytes)} at ${where} (${TARGET_TEXT[this.target]} of ${this.symbol}; was ${formatBytes(this.before)})`;
  }

  toJSON() {
    return { ...this, text: this.text };
  }
}

const TARGET_TEXT: Record<StoreTarget, string> = {
  dataSlot: 'HPAT data slot',
  codeSlot: 'HPAT code slot',
  padding: 'jump in the padding',
  entry: 'entry',
  pointer: 'pointer',
  relative: 'relative operand',
  value: 'dynamic value',
};

/** A domain is named in reports only where there is more than one address space that it could be. */
export function nameInReports({ kind, name }: ImageDomain): string | undefined {
  return kind === 'user' || kind === 'session' ? name : undefined;
}
