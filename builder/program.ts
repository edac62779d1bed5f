import {
  type CoffObject,
  type FunctionTableEntry,
  type ImageArchitecture,
  isExecutable,
  isWritable,
  type Pdb,
  type PeImage,
  type Section,
  type SymbolInfo,
  type SymbolTable,
  trailingFill,
} from '../image/index.js';
import { type CodeStream, decodeFunction } from './code-stream.js';
import { isLabel, scopedName } from './identity.js';
import { type Contribution, contributionsByRva } from './pdb-facts.js';
import { variableSizes } from './types.js';

/** An image with everything that is known about it. Only image and symbols are needed; a PDB makes it exact. */
export interface BuildSource {
  readonly image: PeImage;
  readonly symbols: SymbolTable;
  readonly pdb?: Pdb | undefined;
  /** The PDB or map file, where they come from one. */
  readonly symbolsFile?: string | undefined;
  /** Object files that it was linked from: their S_HOTPATCHFUNC records. */
  readonly objects?: readonly CoffObject[];
}

export interface Named {
  /** RVA of its first byte. */
  readonly rva: number;
  /** In bytes; an upper bound when `hasExactSize` is false. */
  readonly size: number;
  readonly hasExactSize: boolean;
  /** The best name; `+0x1234` when it has none. */
  readonly name: string;
  /** Every symbol at this place: aliases, folded functions. */
  readonly symbols: readonly SymbolInfo[];
  readonly module: string | undefined;
  readonly isStatic: boolean;
}

/** A run of code with a name. */
export interface CodeFunction extends Named {
  readonly kind: 'function';
  readonly contribution?: Contribution;
}

/** A variable or constant; nameless ones are string literals, switch tables and the like. */
export interface Variable extends Named {
  readonly kind: 'variable';
  readonly isNameless: boolean;
  /** In a writable section. */
  readonly isMutable: boolean;
  /** In the image's TLS template. */
  readonly isThreadLocal: boolean;
  /** A `__ref_*` pointer that the compiler made for functions that are marked for hotpatching. */
  readonly isReference: boolean;
}

/** What an RVA means. */
export type Place =
  | { readonly kind: 'function'; readonly function: CodeFunction; readonly offset: number }
  | { readonly kind: 'variable'; readonly variable: Variable; readonly offset: number }
  | { readonly kind: 'import'; readonly name: string }
  | { readonly kind: 'unknown'; readonly rva: number };

const SHORTEST_INSTRUCTION: Readonly<Record<ImageArchitecture, number>> = { x64: 1, x86: 1, arm64: 4 };

const programs = new WeakMap<BuildSource, Program>();

/** One build, seen as functions and variables that refer to each other. */
export class Program {
  readonly image: PeImage;
  readonly source: BuildSource;
  /** By RVA. */
  readonly functions: readonly CodeFunction[];
  /** Import address table slots: RVA → `module!name`. */
  readonly imports: ReadonlyMap<number, string>;
  readonly #relocations: readonly number[];
  readonly #streams = new Map<CodeFunction, CodeStream>();
  #variables: readonly Variable[] | undefined;
  #unwind: readonly FunctionTableEntry[] | undefined;

  /** The program of a source, decoded once however often it is compared. */
  static of(source: BuildSource): Program {
    const known = programs.get(source) ?? new Program(source);
    programs.set(source, known);
    return known;
  }

  constructor(source: BuildSource) {
    this.source = source;
    this.image = source.image;
    this.imports = importSlots(source.image);
    this.#relocations = source.image.relocations.map(({ rva }) => rva).sort((a, b) => a - b);
    this.functions = findFunctions(source);
  }

  /** Data items by RVA: named ones, and the nameless ones between them that code refers to. */
  get variables(): readonly Variable[] {
    this.#variables ??= findVariables(this);
    return this.#variables;
  }

  /** The decoded instructions of a function. */
  stream(of: CodeFunction): CodeStream {
    const known = this.#streams.get(of);
    if (known !== undefined) return known;
    const stream = decodeFunction(this, of);
    this.#streams.set(of, stream);
    return stream;
  }

  /** What the exception directory has for the code of a function, its parts behind the first too. */
  unwindEntries({ rva, size }: CodeFunction): readonly FunctionTableEntry[] {
    this.#unwind ??= [...this.image.functionTable].sort((a, b) => a.beginAddress - b.beginAddress);
    const first = lowerBound(this.#unwind, rva, (entry) => entry.beginAddress);
    const end = lowerBound(this.#unwind, rva + size, (entry) => entry.beginAddress);
    return this.#unwind.slice(first, end);
  }

  functionAt(rva: number): CodeFunction | undefined {
    return around(this.functions, rva);
  }

  /** The last function that begins before an RVA, in the same section. */
  functionBefore(rva: number): CodeFunction | undefined {
    const found = this.functions[lowerBound(this.functions, rva, (one) => one.rva) - 1];
    return found !== undefined && this.image.sectionAt(found.rva) === this.image.sectionAt(rva)
      ? found
      : undefined;
  }

  variableAt(rva: number): Variable | undefined {
    return around(this.variables, rva);
  }

  place(rva: number): Place {
    const imported = this.imports.get(rva);
    if (imported !== undefined) return { kind: 'import', name: imported };
    const code = this.functionAt(rva);
    if (code !== undefined) return { kind: 'function', function: code, offset: rva - code.rva };
    const variable = this.variableAt(rva);
    if (variable !== undefined) return { kind: 'variable', variable, offset: rva - variable.rva };
    return { kind: 'unknown', rva };
  }

  /** `__ImageBase` and what is read through it: a place before the first section. */
  isInHeaders(rva: number): boolean {
    return rva >= 0 && rva < this.image.optionalHeader.sizeOfHeaders;
  }

  /** RVAs of the base relocations in a range. */
  relocationsIn(rva: number, length: number): number[] {
    const found: number[] = [];
    for (let i = lowerBound(this.#relocations, rva, (at) => at); i < this.#relocations.length; i++) {
      const at = this.#relocations[i];
      if (at === undefined || at >= rva + length) break;
      found.push(at);
    }
    return found;
  }

  /** The RVA that the pointer at `rva` holds. */
  pointerTarget(rva: number): number {
    const va = this.image.pointerAt(rva, 'pointer');
    return Number(va - this.image.optionalHeader.imageBase);
  }

  /** `name`, `name+0x8`, `module!import`: for messages. */
  describe(rva: number): string {
    const place = this.place(rva);
    switch (place.kind) {
      case 'import':
        return place.name;
      case 'unknown':
        return `+0x${rva.toString(16)}`;
      case 'function':
        return withOffset(place.function.name, place.offset);
      case 'variable':
        return withOffset(place.variable.name, place.offset);
    }
  }
}

function withOffset(name: string, offset: number): string {
  return offset === 0 ? name : `${name}+0x${offset.toString(16)}`;
}

function importSlots(image: PeImage): Map<number, string> {
  const slots = new Map<number, string>();
  for (const { module, functions } of image.imports)
    for (const { name, ordinal, iatRva } of functions)
      slots.set(iatRva, `${module.toLowerCase()}!${name ?? `#${ordinal}`}`);
  // Delay-loaded: until its first use such a slot holds the address of a thunk of the linker.
  for (const { module, functions } of image.delayImports)
    for (const { name, ordinal, iatRva } of functions)
      slots.set(iatRva, `${module.toLowerCase()}!${name ?? `#${ordinal}`} (delay-loaded)`);
  return slots;
}

function findFunctions(source: BuildSource): CodeFunction[] {
  const { image, symbols, pdb } = source;
  const contributions = pdb === undefined ? undefined : contributionsByRva(pdb);
  const here = groupByRva(
    symbols.all.filter(
      (symbol) =>
        symbol.kind !== 'label' && symbol.kind !== 'data' && isCodeAt(image, symbol.rva) && !isLabel(symbol),
    ),
  );
  const starts = [...here.keys()].sort((a, b) => a - b);
  return starts.map((rva, index) => {
    const names = here.get(rva) ?? [];
    const section = image.sectionAt(rva);
    const end = Math.min(starts[index + 1] ?? Number.POSITIVE_INFINITY, endOf(section));
    const contribution = contributions?.get(rva);
    // What a compiler puts behind the function into its own chunk belongs to it: catch blocks, tables.
    const chunk = contribution !== undefined && rva + contribution.size <= end ? contribution.size : 0;
    const known = Math.max(0, ...names.map(({ size }) => size ?? 0), names.some(hasSize) ? chunk : 0);
    const size = known > 0 ? known : trimmed(image, rva, end);
    return {
      kind: 'function',
      rva,
      size,
      hasExactSize: known > 0,
      ...identity(names, rva),
      ...(contribution === undefined ? {} : { contribution }),
    };
  });
}

function findVariables(program: Program): Variable[] {
  const { image, source, functions } = program;
  const contributions = source.pdb === undefined ? undefined : contributionsByRva(source.pdb);
  const types = source.pdb === undefined ? undefined : variableSizes(source.pdb);
  const isData = (rva: number) => image.sectionAt(rva) !== undefined && !isCodeAt(image, rva);
  const named = groupByRva(source.symbols.all.filter(({ rva }) => isData(rva)));
  const starts = new Set(named.keys());
  for (const rva of contributions?.keys() ?? []) if (isData(rva)) starts.add(rva);
  for (const rva of program.imports.keys()) starts.add(rva);
  const isConstant = (rva: number) => isData(rva) && !isWritableAt(image, rva);
  for (const code of functions)
    for (const { target } of program.stream(code).references) if (isConstant(target)) starts.add(target);
  const order = [...starts].sort((a, b) => a - b);
  const tls = threadLocalRange(image);
  return order.map((rva, index) => {
    const section = image.sectionAt(rva);
    const names = named.get(rva) ?? [];
    const contribution = contributions?.get(rva);
    const end = Math.min(order[index + 1] ?? Number.POSITIVE_INFINITY, endOf(section));
    // A chunk in which several variables lie says nothing about the first.
    const chunk = contribution !== undefined && rva + contribution.size <= end ? contribution.size : 0;
    const said = Math.max(chunk, ...names.map(({ size }) => size ?? 0));
    const known = said > 0 ? said : typedSize(image, rva, types?.get(rva) ?? 0, end);
    return {
      kind: 'variable',
      rva,
      size: known > 0 ? known : end - rva,
      hasExactSize: known > 0,
      ...identity(names, rva, contribution?.module),
      isNameless: names.length === 0,
      isMutable: isWritableAt(image, rva),
      isThreadLocal: section?.name === '.tls' || (tls !== undefined && rva >= tls.start && rva < tls.end),
      isReference: names.some(isReferenceName),
    };
  });
}

const LONGEST_ALIGNMENT = 64;

/**
 * The size of a variable's type, where nothing but zeros, for alignment, lies between it and the next one; else 0: what is
 * initialised beyond its type (a flexible array member) is a part of it too.
 */
function typedSize(image: PeImage, rva: number, size: number, end: number): number {
  const gap = end - rva - size;
  if (size === 0 || gap < 0) return 0;
  const behind = image.read(rva + size, Math.min(gap, LONGEST_ALIGNMENT));
  return behind.every((byte) => byte === 0) ? size : 0;
}

/** `__ref_NAME`, which x86 decorates with one underscore more. */
function isReferenceName({ name, rawName = name }: SymbolInfo): boolean {
  return name.startsWith('__ref_') || rawName.startsWith('___ref_');
}

function hasSize({ size }: SymbolInfo): boolean {
  return size !== undefined && size > 0;
}

function identity(
  names: readonly SymbolInfo[],
  rva: number,
  module?: string,
): Pick<Named, 'name' | 'symbols' | 'module' | 'isStatic'> {
  const best = names.find(({ name }) => !name.startsWith('.')) ?? names[0];
  return {
    name: best === undefined ? `+0x${rva.toString(16)}` : scopedName(best),
    symbols: names,
    module: best?.module ?? module,
    isStatic: best?.isStatic ?? true,
  };
}

function threadLocalRange(image: PeImage): { start: number; end: number } | undefined {
  const { tls } = image;
  if (tls === undefined) return undefined;
  const base = image.optionalHeader.imageBase;
  return {
    start: Number(tls.startAddressOfRawData - base),
    end: Number(tls.endAddressOfRawData - base) + tls.sizeOfZeroFill,
  };
}

/** The length of a function of unknown size: up to the next one, without the padding between them. */
function trimmed(image: PeImage, rva: number, end: number): number {
  const bytes = image.read(rva, end - rva);
  const { architecture } = image;
  return Math.max(SHORTEST_INSTRUCTION[architecture], bytes.length - trailingFill(architecture, bytes));
}

export function isCodeAt(image: PeImage, rva: number): boolean {
  const section = image.sectionAt(rva);
  return section !== undefined && isExecutable(section);
}

export function isWritableAt(image: PeImage, rva: number): boolean {
  const section = image.sectionAt(rva);
  return section !== undefined && isWritable(section);
}

function endOf(section: Section | undefined): number {
  return section === undefined ? 0 : section.virtualAddress + Math.max(section.virtualSize, 1);
}

function groupByRva(symbols: readonly SymbolInfo[]): Map<number, SymbolInfo[]> {
  const groups = new Map<number, SymbolInfo[]>();
  for (const symbol of symbols) {
    const group = groups.get(symbol.rva);
    if (group === undefined) groups.set(symbol.rva, [symbol]);
    else group.push(symbol);
  }
  return groups;
}

/** The item of an ordered list in which an RVA lies. */
function around<T extends { rva: number; size: number }>(items: readonly T[], rva: number): T | undefined {
  const index = lowerBound(items, rva + 1, (item) => item.rva) - 1;
  const item = items[index];
  return item !== undefined && (rva < item.rva + item.size || rva === item.rva) ? item : undefined;
}

/** Index of the first item whose key is at least `value`. */
function lowerBound<T>(items: readonly T[], value: number, key: (item: T) => number): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = items[middle];
    if (item !== undefined && key(item) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
