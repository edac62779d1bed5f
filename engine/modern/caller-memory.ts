import { type AddressSpace, CpuError } from '../../cpu/index.js';

/**
 * Memory of whoever made a system call, with pointers as wide as the caller's. A user-mode caller reaches its own half of
 * the address space only (ProbeForRead, ProbeForWrite).
 * @throws CpuError for memory that is not there or not the caller's: STATUS_ACCESS_VIOLATION
 */
export class CallerMemory {
  constructor(
    private readonly space: AddressSpace,
    readonly pointerSize: 4 | 8,
    /** Where the addresses end that a caller may name; undefined: kernel mode, which is trusted. */
    private readonly end: bigint | undefined,
  ) {}

  read(address: bigint, length: number): Uint8Array {
    this.#probe(address, length);
    return this.space.read(address, length);
  }

  write(address: bigint, bytes: Uint8Array): void {
    this.#probe(address, bytes.length);
    this.space.write(address, bytes);
  }

  readU16(address: bigint): number {
    return view(this.read(address, 2)).getUint16(0, true);
  }

  readU32(address: bigint): number {
    return view(this.read(address, 4)).getUint32(0, true);
  }

  readPointer(address: bigint): bigint {
    const bytes = view(this.read(address, this.pointerSize));
    return this.pointerSize === 8 ? bytes.getBigUint64(0, true) : BigInt(bytes.getUint32(0, true));
  }

  writeU16(address: bigint, value: number): void {
    this.#writeNumber(address, 2, BigInt(value));
  }

  writeU32(address: bigint, value: number): void {
    this.#writeNumber(address, 4, BigInt(value));
  }

  writePointer(address: bigint, value: bigint): void {
    this.#writeNumber(address, this.pointerSize, value);
  }

  /** Text of a UNICODE_STRING { USHORT Length, MaximumLength; PWSTR Buffer }. */
  readUnicodeString(address: bigint): string {
    const length = this.readU16(address) & ~1;
    return Buffer.from(this.read(this.#bufferOf(address), length)).toString('utf16le');
  }

  /** Copies text into the buffer that a UNICODE_STRING offers; false when it is too small. */
  writeUnicodeString(address: bigint, text: string): boolean {
    const bytes = Buffer.from(text, 'utf16le');
    if (bytes.length > this.readU16(address + 2n)) return false;
    this.write(this.#bufferOf(address), bytes);
    this.writeU16(address, bytes.length);
    return true;
  }

  get unicodeStringSize(): number {
    return 2 * this.pointerSize;
  }

  #bufferOf(unicodeString: bigint): bigint {
    return this.readPointer(unicodeString + BigInt(this.pointerSize));
  }

  #writeNumber(address: bigint, size: number, value: bigint): void {
    const bytes = new Uint8Array(8);
    view(bytes).setBigUint64(0, BigInt.asUintN(64, value), true);
    this.write(address, bytes.subarray(0, size));
  }

  #probe(address: bigint, length: number): void {
    if (this.end === undefined || address + BigInt(length) <= this.end) return;
    throw new CpuError('callerMemory.probe', 'is not memory of the caller', { address });
  }
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
