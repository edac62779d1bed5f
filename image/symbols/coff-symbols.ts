import { Budget } from '../budget.js';
import type { ByteReader } from '../reader.js';
import { IMAGE_SCN, type MachineName } from '../winnt.js';
import { DECORATES_NAMES, namesOf } from './names.js';
import { type SymbolInfo, type SymbolTable, symbolTable } from './symbol-table.js';

/** IMAGE_SYMBOL of winnt.h (or IMAGE_SYMBOL_EX in a /bigobj object). */
export interface CoffSymbol {
  /** Position in the table, auxiliary records counted: relocations refer to it. */
  readonly index: number;
  /** Decorated. */
  readonly name: string;
  /** Of a symbol in a section its offset there; of a common symbol its size. */
  readonly value: number;
  /** One-based; IMAGE_SYM_UNDEFINED 0, IMAGE_SYM_ABSOLUTE -1, IMAGE_SYM_DEBUG -2. */
  readonly sectionNumber: number;
  /** Its complex type in bits 4 and 5: 2 is a function. */
  readonly type: number;
  /** IMAGE_SYM_CLASS_*. */
  readonly storageClass: number;
  /** The auxiliary records, 18 bytes each (20 with /bigobj). */
  readonly auxiliary: Uint8Array;
}

export const IMAGE_SYM_CLASS_EXTERNAL = 2;
export const IMAGE_SYM_CLASS_STATIC = 3;
export const IMAGE_SYM_CLASS_LABEL = 6;
export const IMAGE_SYM_CLASS_FILE = 103;
export const IMAGE_SYM_CLASS_SECTION = 104;
export const IMAGE_SYM_CLASS_WEAK_EXTERNAL = 105;
/** Of `type`: the complex type in bits 4 and 5 says function. */
const IMAGE_SYM_DTYPE_FUNCTION = 2;

/** Does its type say function? */
export function isFunctionSymbol(symbol: CoffSymbol): boolean {
  return ((symbol.type >> 4) & 3) === IMAGE_SYM_DTYPE_FUNCTION;
}

/**
 * Reads a COFF symbol table and the string table behind it.
 * @param file the whole file
 * @param start file offset of the table
 * @param count of records, auxiliary ones included
 * @throws ImageError `truncated`, `string`, `tooMuch`
 */
export function readCoffSymbols(
  file: ByteReader,
  start: number,
  count: number,
  bigObj = false,
): CoffSymbol[] {
  const recordSize = bigObj ? 20 : 18;
  const table = file.slice(start, count * recordSize, 'COFF symbol table');
  const strings = readStringTable(file, start + table.length);
  // Names may share their tails, and a hostile table may repeat one long name.
  const budget = new Budget('COFF symbol names', 8 * file.length, file.file);
  const nameAt = (offset: number) => {
    const name = strings.cStringAt(offset);
    budget.spend(name.length);
    return name;
  };
  const symbols: CoffSymbol[] = [];
  for (let index = 0; index < count; ) {
    const at = index * recordSize;
    const tail = at + (bigObj ? 16 : 14);
    const auxiliaries = table.u8At(tail + 3);
    const sectionNumber = bigObj ? table.i32At(at + 12) : (table.u16At(at + 12) << 16) >> 16;
    symbols.push({
      index,
      name: table.u32At(at) === 0 ? nameAt(table.u32At(at + 4)) : shortName(table.bytesAt(at, 8)),
      value: table.u32At(at + 8),
      sectionNumber,
      type: table.u16At(tail),
      storageClass: table.u8At(tail + 2),
      auxiliary: table.bytesAt(at + recordSize, auxiliaries * recordSize),
    });
    index += 1 + auxiliaries;
  }
  return symbols;
}

/** The string table; offsets into it count its own length field. Empty when the file ends before it. */
export function readStringTable(file: ByteReader, start: number): ByteReader {
  if (start + 4 > file.length) return file.slice(file.length, 0, 'COFF string table');
  return file.slice(start, Math.max(4, file.u32At(start)), 'COFF string table');
}

/** Eight bytes, padded with NUL. */
export function shortName(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return String.fromCharCode(...(end < 0 ? bytes : bytes.subarray(0, end)));
}

/** What `symbolsFromCoff` needs of an image; every PeImage has it. */
export interface CoffImage {
  /** Name of FileHeader.Machine. */
  readonly machine: MachineName;
  /** Where its symbols are. */
  readonly fileHeader: { readonly pointerToSymbolTable: number; readonly numberOfSymbols: number };
  /** Its sections, in order. */
  readonly sections: readonly { readonly virtualAddress: number; readonly characteristics: number }[];
}

/**
 * The symbols of an image's COFF symbol table (`lld-link /debug:symtab`, MinGW). Empty when there is none.
 * @throws ImageError when the table is malformed
 */
export function symbolsFromCoff(image: CoffImage, file: ByteReader): SymbolTable {
  const { pointerToSymbolTable, numberOfSymbols } = image.fileHeader;
  if (pointerToSymbolTable === 0 || numberOfSymbols === 0) return symbolTable([]);
  const symbols: SymbolInfo[] = [];
  let module: string | undefined;
  for (const symbol of readCoffSymbols(file, pointerToSymbolTable, numberOfSymbols)) {
    const { storageClass, sectionNumber, auxiliary } = symbol;
    if (storageClass === IMAGE_SYM_CLASS_FILE) module = shortName(auxiliary);
    const section = image.sections[sectionNumber - 1];
    const isStatic = storageClass === IMAGE_SYM_CLASS_STATIC || storageClass === IMAGE_SYM_CLASS_LABEL;
    if (section === undefined || !(isStatic || storageClass === IMAGE_SYM_CLASS_EXTERNAL)) continue;
    if (isStatic && auxiliary.length > 0) continue; // a section definition
    symbols.push({
      ...namesOf(symbol.name, DECORATES_NAMES[image.machine]),
      rva: section.virtualAddress + symbol.value,
      kind: storageClass === IMAGE_SYM_CLASS_LABEL ? 'label' : kindIn(section, symbol),
      ...(module === undefined ? {} : { module }),
      isStatic,
    });
  }
  return symbolTable(symbols);
}

function kindIn(section: { characteristics: number }, symbol: CoffSymbol): SymbolInfo['kind'] {
  if (isFunctionSymbol(symbol)) return 'function';
  return section.characteristics & IMAGE_SCN.MEM_EXECUTE ? 'public' : 'data';
}
