import type { AddressSpace } from '../../cpu/index.js';

/** Data that several processors use and at least one writes: every different contents that was met, by number. */
export class SharedBytes {
  readonly #contents: (readonly Uint8Array[])[] = [];
  readonly #ids = new Map<string, number>();
  readonly #regions: readonly {
    readonly space: AddressSpace;
    readonly start: bigint;
    readonly size: number;
  }[];
  /** Number of the contents before any call. */
  readonly first: number;

  /** @param bytes each once, in whichever address space it is read and stored through */
  constructor(bytes: readonly { readonly space: AddressSpace; readonly address: bigint }[]) {
    const sorted = [...bytes].sort((a, b) => (a.address < b.address ? -1 : 1));
    const regions: { space: AddressSpace; start: bigint; size: number }[] = [];
    for (const { space, address } of sorted) {
      const last = regions.at(-1);
      if (last !== undefined && last.space === space && last.start + BigInt(last.size) === address)
        last.size += 1;
      else regions.push({ space, start: address, size: 1 });
    }
    this.#regions = regions;
    this.first = this.current();
  }

  get isEmpty(): boolean {
    return this.#regions.length === 0;
  }

  current(): number {
    if (this.isEmpty && this.#contents.length > 0) return 0;
    const contents = this.#regions.map(({ space, start, size }) => space.read(start, size));
    const key = contents.map((bytes) => Buffer.from(bytes).toString('latin1')).join('\n');
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    this.#ids.set(key, this.#contents.length);
    this.#contents.push(contents);
    return this.#contents.length - 1;
  }

  load(id: number): void {
    for (const [index, { space, start }] of this.#regions.entries()) {
      const bytes = this.#contents[id]?.[index];
      if (bytes !== undefined) space.write(start, bytes);
    }
  }

  /** Address and value of each byte. */
  *bytes(id: number): Iterable<readonly [address: bigint, value: number]> {
    for (const [index, { start }] of this.#regions.entries())
      for (const [offset, value] of (this.#contents[id]?.[index] ?? []).entries())
        yield [start + BigInt(offset), value];
  }
}
