import type { Matching } from './match.js';
import type { CodeFunction, Place, Program, Variable } from './program.js';

/** Tells whether places and contents of two builds mean the same. */
export class CompareData {
  /** `base RVA:fixed RVA` of constants that are being compared or were found equal. */
  readonly #equal = new Set<string>();

  constructor(
    private readonly base: Program,
    private readonly fixed: Program,
    private readonly matching: Matching,
  ) {}

  /**
   * Do these RVAs mean the same? Functions and mutable variables by identity, constants by contents: which copy of a
   * constant is read does not matter. `before` and `after` are the functions that refer to it (a switch table's
   * entries lead into them).
   */
  isSame(baseRva: number, fixedRva: number, before?: CodeFunction, after?: CodeFunction): boolean {
    const left = this.base.place(baseRva);
    const right = this.fixed.place(fixedRva);
    if (left.kind === 'function' && right.kind === 'function')
      return (
        left.offset === right.offset && this.matching.functions.fixedOf(left.function) === right.function
      );
    if (left.kind === 'import' && right.kind === 'import') return left.name === right.name;
    if (left.kind === 'unknown' && right.kind === 'unknown') return left.rva === right.rva;
    if (left.kind !== 'variable' || right.kind !== 'variable') return false;
    return this.#isSameVariable(left, right, before, after);
  }

  /** How the contents of two variables differ; undefined when they mean the same. */
  difference(before: Variable, after: Variable): string | undefined {
    const length = Math.min(before.size, after.size);
    if (before.hasExactSize && after.hasExactSize && before.size !== after.size)
      return `${before.size} → ${after.size} bytes`;
    const at = this.#firstDifference(before.rva, after.rva, length);
    return at === undefined ? undefined : `the contents differ from +0x${at.toString(16)} on`;
  }

  #isSameVariable(
    left: Place & { kind: 'variable' },
    right: Place & { kind: 'variable' },
    before: CodeFunction | undefined,
    after: CodeFunction | undefined,
  ): boolean {
    const matched = this.matching.variables.fixedOf(left.variable) === right.variable;
    const mutable = left.variable.isMutable || right.variable.isMutable;
    if (mutable || isImagePrivate(left.variable)) return matched && left.offset === right.offset;
    const baseRva = left.variable.rva + left.offset;
    const fixedRva = right.variable.rva + right.offset;
    const key = `${baseRva}:${fixedRva}`;
    if (this.#equal.has(key)) return true;
    this.#equal.add(key);
    const exact = left.variable.hasExactSize && right.variable.hasExactSize;
    const leftSize = left.variable.size - left.offset;
    const rightSize = right.variable.size - right.offset;
    const same =
      (!exact || leftSize === rightSize) &&
      (this.#firstDifference(baseRva, fixedRva, Math.min(leftSize, rightSize)) === undefined ||
        this.#isSameSwitchTable(baseRva, fixedRva, Math.min(leftSize, rightSize), before, after));
    if (!same) this.#equal.delete(key);
    return same;
  }

  /** Offset of the first byte or pointer that differs. */
  #firstDifference(baseRva: number, fixedRva: number, size: number): number | undefined {
    const { pointerSize } = this.base.image;
    const initialised = Math.max(
      initialisedBytes(this.base, baseRva),
      initialisedBytes(this.fixed, fixedRva),
    );
    const length = Math.min(size, initialised);
    const left = Uint8Array.from(this.base.image.read(baseRva, length));
    const right = Uint8Array.from(this.fixed.image.read(fixedRva, length));
    const pointers = this.base.relocationsIn(baseRva, length).map((rva) => rva - baseRva);
    const others = this.fixed.relocationsIn(fixedRva, length).map((rva) => rva - fixedRva);
    const alone = pointers.find((offset) => !others.includes(offset));
    const stray = others.find((offset) => !pointers.includes(offset));
    if (alone !== undefined || stray !== undefined) return alone ?? stray;
    for (const offset of pointers) {
      const from = this.base.pointerTarget(baseRva + offset);
      const to = this.fixed.pointerTarget(fixedRva + offset);
      if (!this.isSame(from, to)) return offset;
      left.fill(0, offset, offset + pointerSize);
      right.fill(0, offset, offset + pointerSize);
    }
    const at = left.findIndex((byte, i) => byte !== right[i]);
    return at < 0 ? undefined : at;
  }

  /** x64 and ARM64 switch tables hold distances from the table itself: the same cases when both lead to the same offsets. */
  #isSameSwitchTable(
    baseRva: number,
    fixedRva: number,
    length: number,
    before: CodeFunction | undefined,
    after: CodeFunction | undefined,
  ): boolean {
    if (before === undefined || after === undefined || length < 4) return false;
    const left = this.base.image.readerAt(baseRva, length & ~3, 'switch table');
    const right = this.fixed.image.readerAt(fixedRva, length & ~3, 'switch table');
    for (let at = 0; at < (length & ~3); at += 4) {
      const from = baseRva + left.i32At(at);
      const to = fixedRva + right.i32At(at);
      const inside = from >= before.rva && from < before.rva + before.size;
      // What follows the last entry is padding or the next constant, which is none of this function's.
      if (!inside) return at > 0;
      if (from - before.rva !== to - after.rva) return false;
    }
    return true;
  }
}

/** Bytes from an RVA on that the file holds; what follows in the section is zero. */
function initialisedBytes({ image }: Program, rva: number): number {
  const section = image.sectionAt(rva);
  return section === undefined ? 0 : Math.max(0, section.virtualAddress + section.fileSize - rva);
}

const IMAGE_PRIVATE = /^(__security_cookie|__guard_|_load_config_used|_tls_|_fltused|__ImageBase)/;

/** Data that each image has for itself, whatever was patched: the stack cookie, CFG's pointers, the load configuration. */
export function isImagePrivate(variable: Variable): boolean {
  return variable.symbols.some(({ name }) => IMAGE_PRIVATE.test(name));
}
