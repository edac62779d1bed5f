import { type ArchitectureName, CpuError, formatAddress, isExecutable } from '../../cpu/index.js';
import { formatBytes, hex, type ImageDomain, type LoadedImage } from '../../loader/index.js';
import { HotPatchError } from './error.js';
import type { Occupation, StoreStep, StoreTarget, Writer } from './steps.js';

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

/** How a store is told. */
export function storeText(
  architecture: ArchitectureName,
  {
    writer,
    target,
    address,
    before,
    bytes,
    symbol,
  }: Pick<StoreStep, 'writer' | 'target' | 'address' | 'before' | 'bytes' | 'symbol'>,
): string {
  const where = formatAddress(architecture, address);
  return `  ${writer} stores ${formatBytes(bytes)} at ${where} (${TARGET_TEXT[target]} of ${symbol}; was ${formatBytes(before)})`;
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
