import { CpuError } from '../error.js';
import { UC_MEM_FETCH, UC_MEM_WRITE, UC_PROT_EXEC, UC_PROT_READ } from './constants.js';

/**
 * A64 words that Unicorn 2.1.4 cannot translate: it aborts the whole process ("code should not be reached") instead of
 * raising an undefined instruction exception. All are unallocated half-precision vector encodings (Arm ARM, C4.1.96);
 * found by translating six million random words, four of them vector operations.
 */
export function isUntranslatable(word: number): boolean {
  if ((word & 0x9f60_c400) === 0x0e40_0400) return !THREE_SAME.has(threeSame(word));
  if ((word & 0x8f7e_0c00) !== 0x0e78_0800) return false;
  const operation = twoRegisters(word);
  const isScalar = (word & 0x1000_0000) !== 0;
  return !TWO_REGISTERS.has(operation) || (isScalar ? VECTOR_ONLY : SCALAR_ONLY).has(operation);
}

/** opcode, bits 11–13; a, bit 23; U, bit 29. */
const threeSame = (word: number): number =>
  ((word >>> 11) & 7) | (((word >>> 23) & 1) << 3) | (((word >>> 29) & 1) << 4);

/** Allocated operations of "Advanced SIMD three same (FP16)". */
const THREE_SAME: ReadonlySet<number> = new Set([
  ...[0x00, 0x01, 0x02, 0x03, 0x04, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0e, 0x0f],
  ...[0x10, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x1a, 0x1c, 0x1d, 0x1e],
]);

/** opcode, bits 12–16; a, bit 23; U, bit 29. */
const twoRegisters = (word: number): number =>
  ((word >>> 12) & 0x1f) | (((word >>> 23) & 1) << 5) | (((word >>> 29) & 1) << 6);

/** FABS, FNEG, FSQRT. */
const VECTOR_ONLY: ReadonlySet<number> = new Set([0x2f, 0x6f, 0x7f]);
/** FRECPX. */
const SCALAR_ONLY: ReadonlySet<number> = new Set([0x3f]);

/** Allocated operations of "Advanced SIMD (scalar) two-register miscellaneous (FP16)". */
const TWO_REGISTERS: ReadonlySet<number> = new Set([
  ...[0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x2c, 0x2d, 0x2e, 0x2f],
  ...[0x38, 0x39, 0x3a, 0x3b, 0x3d, 0x3f],
  ...[0x58, 0x59, 0x5a, 0x5b, 0x5c, 0x5d, 0x6c, 0x6d, 0x6f],
  ...[0x79, 0x7a, 0x7b, 0x7d, 0x7f],
]);

const PAGE = 4096;
const UNDEFINED = 0; // udf #0
/** Host memory for it is committed as it is touched. */
const PAGES = 256;
/**
 * An instruction that stores to its own page would change it for ever. Such a page is then executed as it is: the guard of
 * the translator (guard.ts) is behind this.
 */
const MOST_TURNS = 8;
const NOTHING = new Uint8Array(0);

/**
 * Physical pages of an ARM64 engine, behind the machine's memory, that show pages of code with undefined instructions in
 * place of untranslatable words. A guest that runs into one gets the exception that the processor manual promises.
 */
export class Screen {
  /** Made when the first page needs it; mapped by the engine before it runs on. */
  #buffer: Uint8Array | undefined;
  readonly #memory: Uint8Array;
  readonly #words: Uint32Array;
  readonly #firstPage: number;
  readonly #screened = new Set<number>();
  /** Screened pages that the guest may be writing to now. */
  readonly #written = new Set<number>();
  /** How often a page has changed between written and executed. */
  readonly #turns = new Map<number, number>();
  #used = 0;

  /** `memory`: the machine's, from physical page 0. */
  constructor(memory: Uint8Array) {
    this.#memory = memory;
    this.#words = new Uint32Array(memory.buffer, memory.byteOffset, memory.byteLength / 4);
    this.#firstPage = memory.byteLength / PAGE;
  }

  /** Memory that the engine has to map, and its physical address. */
  create(): { readonly buffer: Uint8Array; readonly address: number } {
    this.#buffer = new Uint8Array(new ArrayBuffer(PAGES * PAGE));
    return { buffer: this.#buffer, address: this.#firstPage * PAGE };
  }

  get buffer(): Uint8Array | undefined {
    return this.#buffer;
  }

  /**
   * The translation in place of one to `page` with `permissions`; negative: after a flush of the translations, and
   * {@link create} if there is no buffer. A screened page can be written or executed, not both, so that a guest that changes its own code executes the change.
   */
  translate(page: number, permissions: number, access: number): number {
    if (access === UC_MEM_FETCH) {
      if ((this.#turns.get(page) ?? 0) > MOST_TURNS) return page * 8 + permissions;
      if (this.#written.delete(page)) return -1;
      const shown = this.#show(page);
      if (shown === undefined) return -1;
      return shown === page ? page * 8 + permissions : shown * 8 + UC_PROT_EXEC;
    }
    if (!this.#screened.has(page)) return page * 8 + permissions;
    const turns = this.#turns.get(page) ?? 0;
    if (turns > MOST_TURNS) return page * 8 + permissions;
    if (access === UC_MEM_WRITE && !this.#written.has(page)) {
      this.#written.add(page);
      this.#turns.set(page, turns + 1);
      return -1;
    }
    return page * 8 + (permissions & (access === UC_MEM_WRITE ? ~UC_PROT_EXEC : UC_PROT_READ));
  }

  /** The page to execute in place of `page`: itself, a screened copy, or undefined while there is no buffer. */
  #show(page: number): number | undefined {
    const untranslatable = this.#find(page);
    if (untranslatable.length === 0) {
      this.#screened.delete(page);
      return page;
    }
    this.#screened.add(page);
    if (this.#buffer === undefined) return undefined;
    const contents = this.#memory.slice(page * PAGE, (page + 1) * PAGE);
    for (const at of untranslatable) new DataView(contents.buffer).setUint32(at, UNDEFINED, true);
    for (let index = 0; index < this.#used; index++) {
      if (Buffer.compare(this.#page(index), contents) === 0) return this.#firstPage + index;
    }
    // A page that has been executed is never rewritten: code translated from it may still be there.
    if (this.#used === PAGES) {
      throw new CpuError(
        'tooManyScreenedPages',
        'one run executes too many pages with unallocated instructions',
        {
          status: 'STATUS_NO_MEMORY',
        },
      );
    }
    this.#page(this.#used).set(contents);
    this.#used += 1;
    return this.#firstPage + this.#used - 1;
  }

  get isNearlyFull(): boolean {
    return this.#used > PAGES / 2;
  }

  /** Whether one of the pages is executed from a screened copy. */
  hasScreened(pages: ReadonlySet<number>): boolean {
    return this.#screened.size > 0 && [...pages].some((page) => this.#screened.has(page));
  }

  /** After all translated code has been forgotten. */
  clear(): void {
    this.#used = 0;
    this.#screened.clear();
    this.#written.clear();
    this.#turns.clear();
  }

  #page(index: number): Uint8Array {
    return (this.#buffer ?? NOTHING).subarray(index * PAGE, (index + 1) * PAGE);
  }

  #find(page: number): number[] {
    const offsets: number[] = [];
    const first = (page * PAGE) / 4;
    for (let index = 0; index < PAGE / 4; index++) {
      if (isUntranslatable(this.#words[first + index] ?? 0)) offsets.push(index * 4);
    }
    return offsets;
  }
}
