import type { PeImage } from '../image.js';
import { isExecutable } from '../sections.js';
import type { SymbolInfo, SymbolTable } from '../symbols/symbol-table.js';
import type { SymbolsOrigin } from '../symbols/symbols-file.js';
import { hex } from '../text.js';
import { isX64Entry, readUnwindInfoArm64, readUnwindInfoX64, UNW_FLAG } from '../unwind/index.js';

/** A place where a function begins. */
export interface FunctionPlace {
  /** The first of its names. */
  readonly name: string;
  /** Further names of the same address. */
  readonly aliases: readonly string[];
  /** Where it begins. */
  readonly rva: number;
  /** First RVA behind the function, where something says it. */
  readonly end?: number;
  /** Object file, where the symbols say it. */
  readonly module?: string;
}

/** Symbols, and how far they can be trusted. */
export interface CheckSymbols {
  /** The symbols. */
  readonly table: SymbolTable;
  /** From what kind of file they are. */
  readonly origin: Pick<SymbolsOrigin, 'kind'>;
}

/**
 * The functions of an image by address: what its PDB or map says; without one, its exports and the entries of its
 * function table, which leaves out the leaf functions of x64 and everything that is not exported of x86.
 */
export function listFunctions(
  image: PeImage,
  symbols: CheckSymbols,
  ends: ReadonlyMap<number, number> = functionEnds(image),
): FunctionPlace[] {
  const complete = symbols.origin.kind === 'pdb' || symbols.origin.kind === 'map';
  const byRva = new Map<number, SymbolInfo[]>();
  let covered = 0;
  for (const symbol of symbols.table.all) {
    if (symbol.kind !== 'function' && symbol.kind !== 'public') continue;
    const section = image.sectionAt(symbol.rva);
    if (section === undefined || !isExecutable(section)) continue;
    // A name inside a function whose size is known is a second entry or a label.
    if (symbol.kind === 'public' && symbol.rva < covered && !byRva.has(symbol.rva)) continue;
    if (symbol.kind === 'function' && symbol.size !== undefined)
      covered = Math.max(covered, symbol.rva + symbol.size);
    const same = byRva.get(symbol.rva);
    if (same === undefined) byRva.set(symbol.rva, [symbol]);
    else same.push(symbol);
  }
  if (!complete) {
    for (const rva of ends.keys()) if (!byRva.has(rva)) byRva.set(rva, []);
  }
  return [...byRva]
    .sort(([a], [b]) => a - b)
    .map(([rva, same]) => {
      const functions = bestOf(same);
      const [first] = functions;
      const size = functions.find((symbol) => symbol.size !== undefined)?.size;
      const end = size === undefined ? ends.get(rva) : rva + size;
      const names = [...new Set(functions.map(({ name }) => name))];
      return {
        name: names[0] ?? `sub_${hex(rva).slice(2)}`,
        aliases: names.slice(1),
        rva,
        ...(end === undefined ? {} : { end }),
        ...(first?.module === undefined ? {} : { module: first.module }),
      };
    });
}

/** Of several names for one address those that say most: procedures of known size, else functions, else all. */
function bestOf(same: readonly SymbolInfo[]): readonly SymbolInfo[] {
  const sized = same.filter(({ kind, size }) => kind === 'function' && size !== undefined);
  if (sized.length > 0) return sized;
  const functions = same.filter(({ kind }) => kind === 'function');
  return functions.length > 0 ? functions : same;
}

/** Where the functions of the function table begin and end; continuations of other functions are left out. */
export function functionEnds(image: PeImage): Map<number, number> {
  const ends = new Map<number, number>();
  for (const entry of image.functionTable) {
    if (isX64Entry(entry)) {
      const continues =
        (entry.unwindInfoAddress & 1) !== 0 ||
        (readUnwindInfoX64(image, entry).flags & UNW_FLAG.CHAININFO) !== 0;
      if (!continues) ends.set(entry.beginAddress, entry.endAddress);
    } else {
      const info = readUnwindInfoArm64(image, entry);
      const fragment = info.form === 'packed' && info.flag !== 1;
      if (!fragment) ends.set(entry.beginAddress, entry.beginAddress + info.functionLength);
    }
  }
  return ends;
}
