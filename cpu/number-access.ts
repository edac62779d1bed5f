/**
 * Numbers in memory, little-endian, for whoever can read and write bytes. What is refused is the business of
 * {@link read} and {@link write}.
 */
export abstract class NumberAccess {
  readonly #scratch = new DataView(new ArrayBuffer(8));

  /** `length` in bytes. */
  abstract read(address: bigint, length: number): Uint8Array;
  abstract write(address: bigint, bytes: Uint8Array): void;

  readU8(address: bigint): number {
    return this.#load(address, 1).getUint8(0);
  }

  readU16(address: bigint): number {
    return this.#load(address, 2).getUint16(0, true);
  }

  readU32(address: bigint): number {
    return this.#load(address, 4).getUint32(0, true);
  }

  readU64(address: bigint): bigint {
    return this.#load(address, 8).getBigUint64(0, true);
  }

  readF32(address: bigint): number {
    return this.#load(address, 4).getFloat32(0, true);
  }

  readF64(address: bigint): number {
    return this.#load(address, 8).getFloat64(0, true);
  }

  writeU8(address: bigint, value: number): void {
    this.#scratch.setUint8(0, value);
    this.#store(address, 1);
  }

  writeU16(address: bigint, value: number): void {
    this.#scratch.setUint16(0, value, true);
    this.#store(address, 2);
  }

  writeU32(address: bigint, value: number): void {
    this.#scratch.setUint32(0, value, true);
    this.#store(address, 4);
  }

  /** The low 64 bits of `value`. */
  writeU64(address: bigint, value: bigint): void {
    this.#scratch.setBigUint64(0, value, true);
    this.#store(address, 8);
  }

  writeF32(address: bigint, value: number): void {
    this.#scratch.setFloat32(0, value, true);
    this.#store(address, 4);
  }

  writeF64(address: bigint, value: number): void {
    this.#scratch.setFloat64(0, value, true);
    this.#store(address, 8);
  }

  #load(address: bigint, length: number): DataView {
    const bytes = this.read(address, length);
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  #store(address: bigint, length: number): void {
    this.write(address, new Uint8Array(this.#scratch.buffer, 0, length));
  }
}
