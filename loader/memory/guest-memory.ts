import {
  type Accessor,
  type AddressSpace,
  CpuError,
  type FaultAccess,
  type FaultCause,
  forbidden,
  NumberAccess,
  PAGE_SIZE,
  type PhysicalMemory,
} from '../../cpu/index.js';

const PAGE = BigInt(PAGE_SIZE);
const PAGE_MASK = PAGE - 1n;
const HALF = 1n << 47n;
/** Behind the last address that a pointer can hold. */
const ADDRESS_END = { 4: 1n << 32n, 8: 1n << 64n } as const;
/** Longest text that is read at once: beyond, an export takes the text to end. */
const LONGEST_TEXT = 0x100_0000;

/** The guest gave an address that it may not use so: what its own load or store there would have met. */
export class GuestAccessViolation extends CpuError {
  override readonly address: bigint;

  constructor(
    readonly access: Exclude<FaultAccess, 'execute'>,
    address: bigint,
    override readonly cause: FaultCause,
  ) {
    super(
      'guestAccessViolation',
      `${access} of 0x${address.toString(16)} by the kernel model, for the guest (${cause})`,
      { status: 'STATUS_ACCESS_VIOLATION', address },
    );
    this.address = address;
  }
}

/** For whom memory is accessed. */
export interface GuestMemoryOwner extends Accessor {
  readonly addressSpace: AddressSpace;
  readonly physical: PhysicalMemory;
  /** Bytes of a pointer of the code. */
  readonly pointerSize: 4 | 8;
  /** x64 and x86 addresses have a hole in the middle. */
  readonly hasNoncanonical: boolean;
  /** The guard page of the thread's stack was touched: true when the stack has grown and the access may be tried again. */
  touchGuard(address: bigint): boolean;
}

/** Where code runs, as far as its accesses to memory depend on it. */
export interface MemoryPlace extends Accessor {
  readonly addressSpace: AddressSpace;
  readonly machine: { readonly memory: PhysicalMemory };
  readonly architecture: { readonly pointerSize: 4 | 8; readonly hasNoncanonical: boolean };
}

/** Memory as code of `place` may use it, by default in the place's own address space and without a stack. */
export function guestMemoryOf(
  { architecture, machine, ring, vtl, addressSpace }: MemoryPlace,
  options: Partial<Pick<GuestMemoryOwner, 'addressSpace' | 'touchGuard'>> = {},
): GuestMemory {
  return new GuestMemory({
    addressSpace,
    physical: machine.memory,
    ring,
    vtl,
    pointerSize: architecture.pointerSize,
    hasNoncanonical: architecture.hasNoncanonical,
    touchGuard: () => false,
    ...options,
  });
}

export type Access = 'read' | 'write';

/**
 * Guest memory as the code of one thread may use it: what this lets through, an instruction of that thread would have done
 * as well. It knows the ring, the page's protection and the second level, lets demand-zero, copy-on-write and the
 * thread's stack happen, and throws {@link GuestAccessViolation} at the first byte that is not allowed, before anything
 * has been stored. Simulated exports and system services touch guest memory through nothing else.
 */
export class GuestMemory extends NumberAccess {
  constructor(private readonly owner: GuestMemoryOwner) {
    super();
  }

  get pointerSize(): 4 | 8 {
    return this.owner.pointerSize;
  }

  /** ProbeForRead and ProbeForWrite with the touch behind them. @throws GuestAccessViolation */
  probe(address: bigint, length: number | bigint, access: Access): void {
    const size = BigInt(length);
    if (size <= 0n) return;
    const start = this.#wrap(address);
    const end = start + size;
    for (let at = start; at < end; at = (at | PAGE_MASK) + 1n) this.#check(at, access);
  }

  /** Could the whole range be accessed so? Nothing happens to guard pages. */
  allows(address: bigint, length: number | bigint, access: Access): boolean {
    const start = this.#wrap(address);
    const end = start + BigInt(length);
    for (let at = start; at < end; at = (at | PAGE_MASK) + 1n)
      if (this.#refusal(at, access) !== undefined) return false;
    return true;
  }

  read(address: bigint, length: number | bigint): Uint8Array {
    this.probe(address, length, 'read');
    return this.owner.addressSpace.read(this.#wrap(address), Number(length));
  }

  write(address: bigint, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.probe(address, bytes.length, 'write');
    this.owner.addressSpace.store(this.#wrap(address), bytes);
  }

  fill(address: bigint, length: number | bigint, value: number): void {
    this.probe(address, length, 'write');
    const size = Number(length);
    const piece = new Uint8Array(Math.min(size, 0x1_0000)).fill(value);
    for (let done = 0; done < size; done += piece.length)
      this.owner.addressSpace.store(
        this.#wrap(address) + BigInt(done),
        piece.subarray(0, Math.min(piece.length, size - done)),
      );
  }

  /** As memmove. */
  copy(to: bigint, from: bigint, length: number | bigint): void {
    this.probe(from, length, 'read');
    this.probe(to, length, 'write');
    if (length !== 0 && length !== 0n)
      this.owner.addressSpace.store(
        this.#wrap(to),
        this.owner.addressSpace.read(this.#wrap(from), Number(length)),
      );
  }

  readPointer(address: bigint): bigint {
    return this.pointerSize === 8 ? this.readU64(address) : BigInt(this.readU32(address));
  }

  writePointer(address: bigint, value: bigint): void {
    if (this.pointerSize === 8) this.writeU64(address, value);
    else this.writeU32(address, Number(BigInt.asUintN(32, value)));
  }

  /**
   * Bytes up to a terminator of `unit` zero bytes, without it, at most `limit` units; only what lies before the
   * terminator need be readable.
   */
  readTerminated(address: bigint, unit: 1 | 2, limit: number | bigint = LONGEST_TEXT): Uint8Array {
    const most = Number(limit < 0 ? 0 : limit > LONGEST_TEXT ? LONGEST_TEXT : limit) * unit;
    const pieces: Uint8Array[] = [];
    let have = 0;
    let at = this.#wrap(address);
    while (have < most) {
      // A unit that crosses a page is read as one.
      const rest = Number(PAGE - (at & PAGE_MASK));
      const count = Math.min(most - have, rest - (rest % unit) || unit);
      const piece = this.read(at, count);
      const end = terminator(piece, unit);
      pieces.push(end < 0 ? piece : piece.subarray(0, end));
      have += end < 0 ? count : end;
      if (end >= 0) break;
      at += BigInt(count);
    }
    const [only] = pieces;
    return pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces);
  }

  /** NUL-terminated bytes as Latin-1 text: one character for each byte. */
  readCString(address: bigint, limit: number | bigint = LONGEST_TEXT): string {
    return Buffer.from(this.readTerminated(address, 1, limit)).toString('latin1');
  }

  /** NUL-terminated UTF-16 text. */
  readUtf16(address: bigint, limit: number | bigint = LONGEST_TEXT): string {
    return Buffer.from(this.readTerminated(address, 2, limit)).toString('utf16le');
  }

  /** The text of a UNICODE_STRING { USHORT Length, MaximumLength; PWSTR Buffer; }. */
  readUnicodeString(address: bigint): string {
    const length = this.readU16(address);
    const buffer = this.readPointer(address + BigInt(this.pointerSize));
    return length === 0 ? '' : Buffer.from(this.read(buffer, length)).toString('utf16le');
  }

  /** Copies text into the buffer that a UNICODE_STRING offers; false when it is too small. */
  writeUnicodeString(address: bigint, text: string): boolean {
    const bytes = Buffer.from(text, 'utf16le');
    if (bytes.length > this.readU16(address + 2n)) return false;
    this.write(this.readPointer(address + BigInt(this.pointerSize)), bytes);
    this.writeU16(address, bytes.length);
    return true;
  }

  /** In bytes. */
  get unicodeStringSize(): 8 | 16 {
    return this.pointerSize === 8 ? 16 : 8;
  }

  #wrap(address: bigint): bigint {
    return BigInt.asUintN(64, address);
  }

  #check(at: bigint, access: Access): void {
    let cause = this.#refusal(at, access);
    if (cause === 'guard' && this.owner.touchGuard(at)) cause = this.#refusal(at, access);
    if (cause !== undefined) throw new GuestAccessViolation(access, BigInt.asUintN(64, at), cause);
  }

  #refusal(at: bigint, access: Access): FaultCause | undefined {
    const { addressSpace, physical } = this.owner;
    if (at >= ADDRESS_END[this.pointerSize]) return 'notCommitted';
    const page = Number(at >> 12n);
    const table = addressSpace.tableOfPage(page);
    if (table === undefined)
      return this.owner.hasNoncanonical && at >= HALF && at < (1n << 64n) - HALF
        ? 'noncanonical'
        : 'notCommitted';
    const entry = table.lookup(page);
    if (entry === undefined) return table.isReserved(page) ? 'reserved' : 'notCommitted';
    return forbidden(table, entry, access, this.owner, physical);
  }
}

function terminator(bytes: Uint8Array, unit: 1 | 2): number {
  if (unit === 1) return bytes.indexOf(0);
  for (let at = 0; at + 1 < bytes.length; at += 2) if (bytes[at] === 0 && bytes[at + 1] === 0) return at;
  return -1;
}
