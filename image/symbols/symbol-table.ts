import type { LineTable } from './lines/index.js';

/** A symbol of an image. */
export interface SymbolInfo {
  /** The name as in source: C decoration of x86 is removed, C++ names stay as the symbol source has them. */
  readonly name: string;
  /** The decorated (linker) name, when it differs: `_copy_name`, `?f@D@@UEAAHXZ`. */
  readonly rawName?: string;
  /** Offset from the image's base, in bytes. */
  readonly rva: number;
  /** Length in bytes, where the source of the symbol knows it. */
  readonly size?: number;
  /** `public`: a name of which the source does not tell what it names. */
  readonly kind: 'function' | 'data' | 'label' | 'public';
  /** The object file that defines it, without folders: `demo.obj`, or `library:member`. */
  readonly module?: string;
  /** The function that declares it: of static variables and labels in functions, where the source of the symbol knows. */
  readonly scope?: string;
  /** Visible in its own object only; another object may have one of the same name. */
  readonly isStatic: boolean;
}

/** What lies at an address. */
export interface SymbolAtAddress {
  /** The last symbol at or before it. */
  readonly symbol: SymbolInfo;
  /** Bytes from the start of the symbol; beyond its size when the address lies between symbols. */
  readonly offset: number;
}

/** Symbols of one image, by address and by name. */
export interface SymbolTable {
  /** In order of their addresses. */
  readonly all: readonly SymbolInfo[];
  /**
   * The symbol with this name, decorated or not. When several objects have one, the one that is visible to
   * all of them, else the one of lowest address: see `allByName`.
   */
  byName(name: string): SymbolInfo | undefined;
  /** Every symbol with this name: those visible to all objects before static ones, functions before data, then by address. */
  allByName(name: string): readonly SymbolInfo[];
  /**
   * The innermost function or variable around this RVA; without one, the nearest symbol before it.
   * Undefined when the first symbol begins after it.
   */
  byAddress(rva: number): SymbolAtAddress | undefined;
  /** Source lines, where the symbols come from a PDB that has them. */
  readonly lines?: LineTable | undefined;
}

const rank: Record<SymbolInfo['kind'], number> = { function: 0, data: 1, public: 2, label: 3 };

/** A table over symbols in any order, and the lines that are asked for when they are needed. */
export function symbolTable(symbols: Iterable<SymbolInfo>, lines?: () => LineTable): SymbolTable {
  return new IndexedSymbolTable([...symbols], lines);
}

class IndexedSymbolTable implements SymbolTable {
  readonly all: readonly SymbolInfo[];
  #names: Map<string, SymbolInfo[]> | undefined;
  #addresses: AddressIndex | undefined;

  constructor(
    symbols: SymbolInfo[],
    private readonly readLines: (() => LineTable) | undefined,
  ) {
    this.all = symbols.sort(byPlace);
  }

  get lines(): LineTable | undefined {
    return this.readLines?.();
  }

  byName(name: string): SymbolInfo | undefined {
    return this.allByName(name)[0];
  }

  allByName(name: string): readonly SymbolInfo[] {
    this.#names ??= indexNames(this.all);
    return this.#names.get(name) ?? [];
  }

  byAddress(rva: number): SymbolAtAddress | undefined {
    this.#addresses ??= new AddressIndex(this.all);
    const symbol = this.#addresses.at(rva);
    return symbol && { symbol, offset: rva - symbol.rva };
  }
}

function byPlace(a: SymbolInfo, b: SymbolInfo): number {
  return a.rva - b.rva || rank[a.kind] - rank[b.kind] || (b.size ?? 0) - (a.size ?? 0);
}

function byImportance(a: SymbolInfo, b: SymbolInfo): number {
  return Number(a.isStatic) - Number(b.isStatic) || rank[a.kind] - rank[b.kind] || a.rva - b.rva;
}

function indexNames(symbols: readonly SymbolInfo[]): Map<string, SymbolInfo[]> {
  const names = new Map<string, SymbolInfo[]>();
  const add = (name: string, symbol: SymbolInfo) => {
    const same = names.get(name);
    if (same) same.push(symbol);
    else names.set(name, [symbol]);
  };
  for (const symbol of symbols) {
    add(symbol.name, symbol);
    if (symbol.rawName !== undefined && symbol.rawName !== symbol.name) add(symbol.rawName, symbol);
  }
  for (const same of names.values()) if (same.length > 1) same.sort(byImportance);
  return names;
}

/** Where each symbol begins, and which sized symbol lies around that place. */
class AddressIndex {
  readonly #symbols: SymbolInfo[] = [];
  /** For each symbol the index of the innermost sized symbol that contains its start; -1: none. */
  readonly #parent: Int32Array;

  constructor(all: readonly SymbolInfo[]) {
    for (const symbol of all) if (symbol.rva !== this.#symbols.at(-1)?.rva) this.#symbols.push(symbol);
    this.#parent = new Int32Array(this.#symbols.length);
    const open: number[] = [];
    this.#symbols.forEach((symbol, index) => {
      while (open.length > 0 && this.#end(open.at(-1) ?? -1) <= symbol.rva) open.pop();
      this.#parent[index] = open.at(-1) ?? -1;
      if (symbol.size) open.push(index);
    });
  }

  at(rva: number): SymbolInfo | undefined {
    const nearest = this.#lastAtOrBefore(rva);
    for (let index = nearest; index >= 0; index = this.#parent[index] ?? -1) {
      if (rva < this.#end(index)) return this.#symbols[index];
    }
    return this.#symbols[nearest];
  }

  #lastAtOrBefore(rva: number): number {
    let low = 0;
    let high = this.#symbols.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#symbols[middle]?.rva ?? 0) <= rva) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** The first RVA after the symbol; its own RVA when it has no size. */
  #end(index: number): number {
    const symbol = this.#symbols[index];
    return symbol ? symbol.rva + (symbol.size ?? 0) : 0;
  }
}
