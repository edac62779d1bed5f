import { CpuError, PAGE_SIZE } from '../../cpu/index.js';
import type { ServiceCall } from '../exports/simulated-export.js';

const PAGE = BigInt(PAGE_SIZE);
const READABLE = /READ|WRITE/;
const WRITABLE = /READWRITE|WRITECOPY/;

/** The guest gave an address that it may not use so: an access violation in it, or STATUS_ACCESS_VIOLATION of a system service. */
export class GuestAccessViolation extends CpuError {
  constructor(
    readonly access: 'read' | 'write',
    address: bigint,
  ) {
    super(
      'guestAccessViolation',
      `${access} of 0x${address.toString(16)} by the kernel model, for the guest`,
      {
        status: 'STATUS_ACCESS_VIOLATION',
        address,
      },
    );
  }
}

/**
 * ProbeForRead and ProbeForWrite, with the touch that follows them: every byte must be in the caller's part of the
 * address space, in a committed page whose protection allows the access.
 * @throws GuestAccessViolation with the first address that is not
 */
export function probe(call: ServiceCall, address: bigint, length: number, access: 'read' | 'write'): void {
  if (length === 0) return;
  const { addressSpace } = call.thread;
  const { range } = call.domain.table;
  const isUser = call.domain.kind === 'user';
  for (let at = address; at < address + BigInt(length); at = (at / PAGE + 1n) * PAGE) {
    if (isUser && (at < range.start || at >= range.end)) throw new GuestAccessViolation(access, at);
    const { state, protection = '', guard } = addressSpace.query(BigInt.asUintN(64, at));
    const allowed = access === 'read' ? READABLE : WRITABLE;
    if (state !== 'committed' || guard || !allowed.test(protection))
      throw new GuestAccessViolation(access, at);
  }
}

/** What a call that the kernel model makes for the guest was refused; undefined when the error is not the guest's. */
export function accessViolationOf(
  call: ServiceCall,
  error: unknown,
): { readonly access: 'read' | 'write'; readonly address: bigint } | undefined {
  if (error instanceof GuestAccessViolation) return { access: error.access, address: error.address ?? 0n };
  if (!(error instanceof CpuError) || error.address === undefined) return undefined;
  if (error.rule !== 'notCommitted' && error.rule !== 'executableWrite') return undefined;
  const { range } = call.domain.table;
  const own = error.address >= range.start && error.address < range.end;
  const isNobodys = call.thread.addressSpace.query(error.address).state === 'free';
  if (!own && !isNobodys) return undefined;
  return { access: error.rule === 'notCommitted' ? 'read' : 'write', address: error.address };
}

/** Memory of the caller, as a system service sees it: everything is probed. */
export class CallerMemory {
  constructor(private readonly call: ServiceCall) {}

  read(address: bigint, length: number): Uint8Array {
    probe(this.call, address, length, 'read');
    return this.#space.read(address, length);
  }

  write(address: bigint, bytes: Uint8Array): void {
    probe(this.call, address, bytes.length, 'write');
    this.#space.write(address, bytes);
  }

  readU32(address: bigint): number {
    probe(this.call, address, 4, 'read');
    return this.#space.readU32(address);
  }

  readU64(address: bigint): bigint {
    probe(this.call, address, 8, 'read');
    return this.#space.readU64(address);
  }

  writeU32(address: bigint, value: number): void {
    probe(this.call, address, 4, 'write');
    this.#space.writeU32(address, value);
  }

  writeU64(address: bigint, value: bigint): void {
    probe(this.call, address, 8, 'write');
    this.#space.writeU64(address, value);
  }

  get #space() {
    return this.call.thread.addressSpace;
  }
}
