/** IMAGE_REL_BASED_*: the types that I386, AMD64 and ARM64 images use, plus ABSOLUTE, which pads a block. */
export const IMAGE_REL_BASED = {
  ABSOLUTE: 0,
  HIGH: 1,
  LOW: 2,
  HIGHLOW: 3,
  HIGHADJ: 4,
  DIR64: 10,
} as const;

/** IMAGE_REL_BASED_*, without the prefix. */
export type RelocationType = Exclude<keyof typeof IMAGE_REL_BASED, 'ABSOLUTE'>;

/** A place that changes when the image is not loaded at its preferred base. */
export interface Relocation {
  /** Of the place. */
  readonly rva: number;
  /** How it changes. */
  readonly type: RelocationType;
  /** HIGHADJ only: the low 16 bits of the full value, kept in the slot after the entry. */
  readonly low?: number;
}

const typeNames: readonly (RelocationType | undefined)[] = (() => {
  const names: (RelocationType | undefined)[] = [];
  for (const [name, value] of Object.entries(IMAGE_REL_BASED)) {
    if (value !== 0) names[value] = name as RelocationType;
  }
  return names;
})();

/** Bytes that each type changes. */
export const RELOCATION_SIZE: Readonly<Record<RelocationType, number>> = {
  HIGH: 2,
  LOW: 2,
  HIGHLOW: 4,
  HIGHADJ: 2,
  DIR64: 8,
};

/** Bytes that a type changes, by its number; 0: no such type. */
const typeSizes = typeNames.map((name) => (name === undefined ? 0 : RELOCATION_SIZE[name]));

/** Bytes that a relocation of this IMAGE_REL_BASED_* number changes; 0 if there is no such type. */
export const sizeOfRelocation = (value: number): number => typeSizes[value] ?? 0;

/**
 * Relocations in file order. Kept as plain numbers, since an image of 10 MB may have hundreds of thousands: what comes out
 * of it is made when it is asked for.
 */
export class RelocationList implements Iterable<Relocation> {
  /** How many there are. */
  readonly length: number;
  readonly #rvas: Uint32Array;
  readonly #types: Uint8Array;
  readonly #lows: ReadonlyMap<number, number>;
  /** Positions in the order of RVAs; undefined when that is the order of the file. */
  #sorted: Uint32Array | undefined;
  #isSorted = false;

  constructor(rvas: Uint32Array, types: Uint8Array, lows: ReadonlyMap<number, number>) {
    this.length = rvas.length;
    this.#rvas = rvas;
    this.#types = types;
    this.#lows = lows;
  }

  /** By index; undefined beyond the end. */
  at(index: number): Relocation | undefined {
    const rva = this.#rvas[index];
    const type = typeNames[this.#types[index] ?? 0];
    if (rva === undefined || type === undefined) return undefined;
    const low = this.#lows.get(index);
    return low === undefined ? { rva, type } : { rva, type, low };
  }

  *[Symbol.iterator](): Generator<Relocation> {
    for (let index = 0; index < this.length; index++) yield this.at(index) as Relocation;
  }

  /** As of an array. */
  map<T>(to: (relocation: Relocation, index: number) => T): T[] {
    return Array.from(this, to);
  }

  /** As of an array. */
  filter(matches: (relocation: Relocation) => boolean): Relocation[] {
    return [...this].filter(matches);
  }

  /** As of an array. */
  some(matches: (relocation: Relocation) => boolean): boolean {
    for (const relocation of this) if (matches(relocation)) return true;
    return false;
  }

  /** Those that change any of `length` bytes at an RVA, in the order of their RVAs. */
  in(rva: number, length: number): Relocation[] {
    this.#sort();
    let low = 0;
    let high = this.length;
    const WIDEST = 8;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#nth(middle) <= rva - WIDEST) low = middle + 1;
      else high = middle;
    }
    const found: Relocation[] = [];
    for (let position = low; position < this.length && this.#nth(position) < rva + length; position++) {
      const relocation = this.at(this.#sorted?.[position] ?? position);
      if (relocation && relocation.rva + RELOCATION_SIZE[relocation.type] > rva) found.push(relocation);
    }
    return found;
  }

  #nth(position: number): number {
    return this.#rvas[this.#sorted?.[position] ?? position] ?? 0;
  }

  #sort(): void {
    if (this.#isSorted) return;
    this.#isSorted = true;
    const rvas = this.#rvas;
    if (rvas.every((rva, index) => index === 0 || rva >= (rvas[index - 1] ?? 0))) return;
    this.#sorted = Uint32Array.from(rvas.keys()).sort((a, b) => (rvas[a] ?? 0) - (rvas[b] ?? 0) || a - b);
  }
}

export class RelocationListBuilder {
  readonly #rvas: Uint32Array;
  readonly #types: Uint8Array;
  readonly #lows = new Map<number, number>();
  #length = 0;

  /** `most`: no more than so many will be added. */
  constructor(most: number) {
    this.#rvas = new Uint32Array(most);
    this.#types = new Uint8Array(most);
  }

  /** `value`: IMAGE_REL_BASED_*. */
  add(rva: number, value: number, low?: number): void {
    const at = this.#length++;
    this.#rvas[at] = rva;
    this.#types[at] = value;
    if (low !== undefined) this.#lows.set(at, low);
  }

  build(): RelocationList {
    return new RelocationList(
      this.#rvas.subarray(0, this.#length),
      this.#types.subarray(0, this.#length),
      this.#lows,
    );
  }
}
