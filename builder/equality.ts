import type { Reference } from './code-stream.js';
import { frameOf } from './frames.js';
import { isImagePrivate } from './image-private.js';
import type { Matching } from './match.js';
import type { CodeFunction, Place, Program, Variable } from './program.js';

/** A function or a constant of both builds, and what it takes to be the same. */
interface Node {
  /** What differs in it, whatever becomes of what it refers to. */
  readonly differences: string[];
  /** What must be the same too: with the text to tell when it is not. */
  readonly dependsOn: { readonly node: Node; readonly text: string }[];
  isDifferent: boolean;
}

/** What two references mean to each other: the same, another thing, or the same if contents are. */
type Relation = 'same' | 'different' | Node;

/**
 * Tells whether functions and constants of two builds are the same. Equality of what refers to itself, directly or in a
 * circle, is the greatest that the contents allow: everything that can be reached is looked at, what differs is marked,
 * and the mark goes to whatever refers to it.
 */
export class Equality {
  readonly #nodes = new Map<string, Node>();
  #open: { readonly node: Node; readonly fill: () => void }[] = [];

  constructor(
    private readonly base: Program,
    private readonly fixed: Program,
    private readonly matching: Matching,
  ) {}

  /** Why a function is another; empty when it is the same. */
  functionDifferences(before: CodeFunction, after: CodeFunction): string[] {
    return this.#settle(this.#function(before, after));
  }

  /** Do these RVAs mean the same? Functions and variables by identity, constants by contents. */
  isSame(baseRva: number, fixedRva: number): boolean {
    const relation = this.#relate(baseRva, fixedRva);
    return typeof relation === 'string' ? relation === 'same' : this.#settle(relation).length === 0;
  }

  /** How the contents of two variables differ; undefined when they mean the same. */
  difference(before: Variable, after: Variable): string | undefined {
    if (before.hasExactSize && after.hasExactSize && before.size !== after.size)
      return `${before.size} → ${after.size} bytes`;
    const size = Math.min(before.size, after.size);
    return this.#settle(this.#contents(before.rva, after.rva, size))[0];
  }

  /** Fills every node that can be reached, then marks those that lead to a difference. */
  #settle(root: Node): string[] {
    const filled: Node[] = [];
    for (let next = this.#open.pop(); next !== undefined; next = this.#open.pop()) {
      next.fill();
      filled.push(next.node);
    }
    const users = new Map<Node, Node[]>();
    for (const node of filled)
      for (const { node: other } of node.dependsOn) users.set(other, [...(users.get(other) ?? []), node]);
    const work = filled.filter(
      (node) => node.differences.length > 0 || node.dependsOn.some(({ node: other }) => other.isDifferent),
    );
    for (let node = work.pop(); node !== undefined; node = work.pop()) {
      if (node.isDifferent) continue;
      node.isDifferent = true;
      work.push(...(users.get(node) ?? []));
    }
    return root.isDifferent ? reasonsOf(root) : [];
  }

  #node(key: string, fill: (node: Node) => void): Node {
    const known = this.#nodes.get(key);
    if (known !== undefined) return known;
    const node: Node = { differences: [], dependsOn: [], isDifferent: false };
    this.#nodes.set(key, node);
    this.#open.push({ node, fill: () => fill(node) });
    return node;
  }

  #function(before: CodeFunction, after: CodeFunction): Node {
    return this.#node(`f${before.rva}:${after.rva}`, (node) => {
      this.#compareInstructions(node, before, after);
      this.#compareFrames(node, before, after);
    });
  }

  #compareInstructions(node: Node, before: CodeFunction, after: CodeFunction): void {
    const { masked, instructions: left } = this.base.stream(before);
    const { masked: others, instructions: right } = this.fixed.stream(after);
    const isSameCode = sameBytes(masked, others);
    for (let i = 0; i < Math.max(left.length, right.length); i++) {
      const a = left[i];
      const b = right[i];
      if (a === undefined || b === undefined) {
        node.differences.push(`the code is ${after.size} bytes long instead of ${before.size}`);
        return;
      }
      if (
        a.branch !== b.branch ||
        a.references.length !== b.references.length ||
        !(isSameCode || sameBytes(a.bytes, b.bytes))
      ) {
        node.differences.push(`the instructions differ from ${at(a.offset)} on`);
        return;
      }
      if (a.references.length === 0) continue;
      for (const [j, from] of a.references.entries()) {
        const to = b.references[j];
        if (to !== undefined) this.#compareReferences(node, from, to, before, after);
      }
    }
  }

  #compareReferences(
    node: Node,
    from: Reference,
    to: Reference,
    before: CodeFunction,
    after: CodeFunction,
  ): void {
    const relation =
      from.kind === to.kind ? this.#relate(from.target, to.target, { before, after }) : 'different';
    if (relation === 'same' || relation === node) return;
    const verb = from.kind === 'data' ? 'refers to' : `${from.kind}s`;
    const what = this.base.describe(from.target);
    const now = this.fixed.describe(to.target);
    const contents = what === now || isNameless(what) ? ', whose contents differ' : '';
    const text = `${at(from.offset)} ${verb} ${what === now ? what : `${now} instead of ${what}`}${contents}`;
    if (relation === 'different') node.differences.push(text);
    else node.dependsOn.push({ node: relation, text });
  }

  /** The scopes of a function's handlers, and the filters and blocks that belong to its frame. */
  #compareFrames(node: Node, before: CodeFunction, after: CodeFunction): void {
    const left = frameOf(this.base, before);
    const right = frameOf(this.fixed, after);
    if (left.shape !== right.shape) node.differences.push('its exception handling differs');
    for (const [i, funclet] of left.funclets.entries()) {
      const other = right.funclets[i];
      if (other === undefined) continue;
      node.dependsOn.push({
        node: this.#function(funclet, other),
        text: `${other.name}, which runs in its frame, differs`,
      });
    }
    for (const [i, { rva }] of left.targets.entries()) {
      const other = right.targets[i];
      if (other === undefined || this.#relate(rva, other.rva) === 'same') continue;
      node.differences.push(
        `its exception handler is ${this.fixed.describe(other.rva)} instead of ${this.base.describe(rva)}`,
      );
    }
  }

  #relate(
    baseRva: number,
    fixedRva: number,
    of?: { readonly before: CodeFunction; readonly after: CodeFunction },
  ): Relation {
    const left = this.base.place(baseRva);
    const right = this.fixed.place(fixedRva);
    if (left.kind === 'function' && right.kind === 'function') return this.#relateCode(left, right);
    if (left.kind === 'import' && right.kind === 'import')
      return left.name === right.name ? 'same' : 'different';
    if (left.kind === 'unknown' && right.kind === 'unknown') return this.#relateUnknown(baseRva, fixedRva);
    if (left.kind !== 'variable' || right.kind !== 'variable') return 'different';
    const mutable = left.variable.isMutable || right.variable.isMutable;
    if (mutable || isImagePrivate(left.variable))
      return left.offset === right.offset && this.#isOneVariable(left.variable, right.variable)
        ? 'same'
        : 'different';
    const exact = left.variable.hasExactSize && right.variable.hasExactSize;
    const leftSize = left.variable.size - left.offset;
    const rightSize = right.variable.size - right.offset;
    if (exact && leftSize !== rightSize) return 'different';
    return this.#contents(baseRva, fixedRva, Math.min(leftSize, rightSize), {
      ...of,
      hasRvas: HAS_RVAS.test(left.variable.name),
    });
  }

  /** A place inside a function is the same only if the whole function is: an offset alone says nothing. */
  #relateCode(left: Place & { kind: 'function' }, right: Place & { kind: 'function' }): Relation {
    if (left.offset !== right.offset) return 'different';
    if (!this.matching.functions.isPair(left.function, right.function)) return 'different';
    return left.offset === 0 ? 'same' : this.#function(left.function, right.function);
  }

  /** Headers lie where they lie; code that no symbol names (thunks of the linker) is the same when its bytes are. */
  #relateUnknown(baseRva: number, fixedRva: number): Relation {
    const { base, fixed } = this;
    const inHeaders = (program: Program, rva: number) => rva < program.image.optionalHeader.sizeOfHeaders;
    if (inHeaders(base, baseRva) && inHeaders(fixed, fixedRva))
      return baseRva === fixedRva ? 'same' : 'different';
    if (base.image.sectionAt(baseRva) === undefined || fixed.image.sectionAt(fixedRva) === undefined)
      return baseRva === fixedRva ? 'same' : 'different';
    return sameBytes(base.image.read(baseRva, 16), fixed.image.read(fixedRva, 16)) ? 'same' : 'different';
  }

  #isOneVariable(before: Variable, after: Variable): boolean {
    if (this.matching.variables.isPair(before, after)) return true;
    // What only the linker names: two images never share it.
    return isImagePrivate(before) && isImagePrivate(after) && before.name === after.name;
  }

  #contents(
    baseRva: number,
    fixedRva: number,
    size: number,
    of: { readonly before?: CodeFunction; readonly after?: CodeFunction; readonly hasRvas?: boolean } = {},
  ): Node {
    return this.#node(`c${baseRva}:${fixedRva}`, (node) => {
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
      const alone =
        pointers.find((offset) => !others.includes(offset)) ??
        others.find((offset) => !pointers.includes(offset));
      if (alone !== undefined) {
        node.differences.push(contentsText(alone));
        return;
      }
      for (const offset of pointers) {
        const relation = this.#relate(
          this.base.pointerTarget(baseRva + offset),
          this.fixed.pointerTarget(fixedRva + offset),
          of.before === undefined || of.after === undefined
            ? undefined
            : { before: of.before, after: of.after },
        );
        if (relation === 'different') node.differences.push(contentsText(offset));
        else if (relation !== 'same' && relation !== node)
          node.dependsOn.push({ node: relation, text: contentsText(offset) });
        left.fill(0, offset, offset + pointerSize);
        right.fill(0, offset, offset + pointerSize);
      }
      if (of.hasRvas) this.#clearRvas(left, right);
      const first = left.findIndex((byte, i) => byte !== right[i]);
      if (first < 0) return;
      if (this.#isSameSwitchTable(baseRva, fixedRva, length, of)) return;
      node.differences.push(contentsText(first));
    });
  }

  /** Dwords that are RVAs of the same things, in tables of the C++ runtime. */
  #clearRvas(left: Uint8Array, right: Uint8Array): void {
    const a = new DataView(left.buffer, left.byteOffset, left.byteLength);
    const b = new DataView(right.buffer, right.byteOffset, right.byteLength);
    for (let offset = 0; offset + 4 <= left.length; offset += 4) {
      const [from, to] = [a.getUint32(offset, true), b.getUint32(offset, true)];
      if (from === to || this.base.image.sectionAt(from) === undefined) continue;
      const [before, after] = [this.base.place(from), this.fixed.place(to)];
      const isOne =
        before.kind === 'variable' && after.kind === 'variable'
          ? before.offset === after.offset && before.variable.name === after.variable.name
          : this.#relate(from, to) === 'same';
      if (isOne) {
        a.setUint32(offset, 0, true);
        b.setUint32(offset, 0, true);
      }
    }
  }

  /** x64 and ARM64 switch tables hold distances from the table itself: the same cases when both lead to the same offsets. */
  #isSameSwitchTable(
    baseRva: number,
    fixedRva: number,
    length: number,
    { before, after }: { readonly before?: CodeFunction; readonly after?: CodeFunction },
  ): boolean {
    if (before === undefined || after === undefined || length < 4) return false;
    const left = this.base.image.readerAt(baseRva, length & ~3, 'switch table');
    const right = this.fixed.image.readerAt(fixedRva, length & ~3, 'switch table');
    for (let offset = 0; offset < (length & ~3); offset += 4) {
      const from = baseRva + left.i32At(offset);
      const to = fixedRva + right.i32At(offset);
      const inside = from >= before.rva && from < before.rva + before.size;
      // What follows the last entry is padding or the next constant, which is none of this function's.
      if (!inside) return offset > 0;
      if (from - before.rva !== to - after.rva) return false;
    }
    return true;
  }
}

/** Tables of the C++ runtime on 64-bit processors: RTTI and what is thrown (rttidata.h, ehdata.h). */
const HAS_RVAS = /^(\?\?_R[1-4]|_TI\d|_CTA?[\d?])/;

const at = (offset: number) => `+0x${offset.toString(16)}`;
const contentsText = (offset: number) => `the contents differ from ${at(offset)} on`;

/** Its own differences, else what differs of what it refers to. */
function reasonsOf({ differences, dependsOn }: Node): string[] {
  if (differences.length > 0) return differences;
  return [...new Set(dependsOn.filter(({ node }) => node.isDifferent).map(({ text }) => text))];
}

function isNameless(text: string): boolean {
  return text.startsWith('+0x');
}

/** Bytes from an RVA on that the file holds; what follows in the section is zero. */
function initialisedBytes({ image }: Program, rva: number): number {
  const section = image.sectionAt(rva);
  return section === undefined ? 0 : Math.max(0, section.virtualAddress + section.fileSize - rva);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
