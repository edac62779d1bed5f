import type { GuestMemory } from '../../loader/index.js';

/**
 * Memory of whoever made a system call, with pointers as wide as the caller's, as ProbeForRead and ProbeForWrite leave it:
 * range, protection and guard pages are those of an access of the caller's own.
 * @throws GuestAccessViolation for memory that is not there or not the caller's: STATUS_ACCESS_VIOLATION
 */
export class CallerMemory {
  constructor(private readonly memory: GuestMemory) {}

  get pointerSize(): 4 | 8 {
    return this.memory.pointerSize;
  }

  read(address: bigint, length: number): Uint8Array {
    return this.memory.read(address, length);
  }

  write(address: bigint, bytes: Uint8Array): void {
    this.memory.write(address, bytes);
  }

  /** @throws GuestAccessViolation when `length` bytes could not be stored there; nothing is stored */
  probeForWrite(address: bigint, length: number): void {
    this.memory.probe(address, length, 'write');
  }

  readU16(address: bigint): number {
    return this.memory.readU16(address);
  }

  readU32(address: bigint): number {
    return this.memory.readU32(address);
  }

  readPointer(address: bigint): bigint {
    return this.memory.readPointer(address);
  }

  writeU16(address: bigint, value: number): void {
    this.memory.writeU16(address, value);
  }

  writeU32(address: bigint, value: number): void {
    this.memory.writeU32(address, value);
  }

  writePointer(address: bigint, value: bigint): void {
    this.memory.writePointer(address, value);
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
}
