import { machineNameOf } from '../architecture.js';
import { Budget } from '../budget.js';
import { ByteReader } from '../reader.js';
import { SECTION_HEADER_REST, SECTION_HEADER_SIZE, SECTION_NAME_SIZE } from '../sections.js';
import { hex } from '../text.js';
import { IMAGE_FILE_MACHINE, IMAGE_SCN } from '../winnt.js';
import type { CodeViewSymbol, CompileSymbol, HotPatchFunctionSymbol } from './codeview.js';
import { type CoffSymbol, readCoffSymbols, readStringTable, shortName } from './coff-symbols.js';
import { undecorateCompilerName } from './names.js';
import { readDebugS } from './object-codeview.js';
import { type ObjectRelocation, relocationTypeName } from './object-relocations.js';

const FILE_HEADER_SIZE = 20;
const RELOCATION_SIZE = 10;
/** ANON_OBJECT_HEADER_BIGOBJ.ClassID: {D1BAA1C7-BAEE-4BA9-AF20-FAF66AA4DCB8}. */
const BIG_OBJ_CLASS = 'c7a1bad1eebaa94baf20faf66aa4dcb8';
const BIG_OBJ_HEADER_SIZE = 56;

/** A section of an object file. */
export interface ObjectSection {
  /** One-based, as symbols refer to it. */
  readonly number: number;
  /** Whole, also when it is longer than eight bytes. */
  readonly name: string;
  /** Bytes; of uninitialised data too, which has no `data`. */
  readonly size: number;
  /** Its bytes; empty where it is uninitialised. */
  readonly data: Uint8Array;
  /** Bits of IMAGE_SCN. */
  readonly characteristics: number;
  /** In bytes; 1 when the object asks for none. */
  readonly alignment: number;
  /** In the order of the file. */
  readonly relocations: readonly ObjectRelocation[];
}

/** The auxiliary record of a section's symbol. */
export interface SectionDefinition {
  /** Bytes of the section. */
  readonly length: number;
  /** CRC of its bytes; 0: none. */
  readonly checkSum: number;
  /** IMAGE_COMDAT_SELECT_*; 0: no COMDAT. */
  readonly selection: number;
  /** For IMAGE_COMDAT_SELECT_ASSOCIATIVE (5): the section that this one follows. */
  readonly number: number;
}

/**
 * Reads a COFF object file, `/bigobj` too. Relocations and CodeView are read when they are asked for.
 *
 * @example
 * const object = readObject(readFileSync('demo.obj'), { file: 'demo.obj' });
 * object.hotPatchFunctions.map(({ name }) => name); // what -fms-secure-hotpatch-functions-list marked
 * @throws ImageError `object.format`, `object.relocation`, `truncated` and others, here or when a part is asked for
 */
export function readObject(bytes: Uint8Array, options: { file?: string | undefined } = {}): CoffObject {
  return new CoffObject(bytes, options.file);
}

interface Header {
  readonly machine: number;
  readonly timeDateStamp: number;
  readonly sections: number;
  readonly sectionTable: number;
  readonly symbolTable: number;
  readonly symbols: number;
}

/** A COFF object file; {@link readObject} makes one. */
export class CoffObject {
  /** What errors call the file. */
  readonly file: string | undefined;
  /** Is it of the format for more sections than 16 bits count (`/bigobj`)? */
  readonly isBigObj: boolean;
  /** IMAGE_FILE_MACHINE_*. */
  readonly machine: number;
  /** Seconds since 1970, or a hash. */
  readonly timeDateStamp: number;
  /** In order. */
  readonly sections: readonly ObjectSection[];
  /** Without the auxiliary records. */
  readonly symbols: readonly CoffSymbol[];
  readonly #reader: ByteReader;
  readonly #byIndex: ReadonlyMap<number, CoffSymbol>;
  #codeView: readonly CodeViewSymbol[] | undefined;

  constructor(bytes: Uint8Array, file?: string) {
    this.file = file;
    const reader = new ByteReader(bytes, 'object file', file);
    this.#reader = reader;
    this.isBigObj = isBigObj(reader);
    const header = this.isBigObj ? readBigObjHeader(reader) : readFileHeader(reader);
    this.machine = header.machine;
    this.timeDateStamp = header.timeDateStamp;
    this.symbols =
      header.symbolTable === 0
        ? []
        : readCoffSymbols(reader, header.symbolTable, header.symbols, this.isBigObj);
    this.#byIndex = new Map(this.symbols.map((symbol) => [symbol.index, symbol]));
    const symbolSize = this.isBigObj ? 20 : 18;
    const strings =
      header.symbolTable === 0
        ? reader.slice(0, 0, 'COFF string table')
        : readStringTable(reader, header.symbolTable + header.symbols * symbolSize);
    this.sections = this.#readSections(header, strings);
  }

  /** The symbol that relocations call by this index. */
  symbolAt(index: number): CoffSymbol | undefined {
    return this.#byIndex.get(index);
  }

  /** What a section's symbol says about it: COMDAT selection, checksum; undefined for other symbols. */
  sectionDefinition(symbol: CoffSymbol): SectionDefinition | undefined {
    const { auxiliary } = symbol;
    const section = this.sections[symbol.sectionNumber - 1];
    if (auxiliary.length < 18 || symbol.value !== 0 || section?.name !== symbol.name) return undefined;
    const reader = new ByteReader(auxiliary, `definition of section ${section.number}`, this.file);
    const high = this.isBigObj ? reader.u16At(16) : 0;
    return {
      length: reader.u32At(0),
      checkSum: reader.u32At(8),
      number: reader.u16At(12) | (high << 16),
      selection: reader.u8At(14),
    };
  }

  /**
   * The CodeView records of all `.debug$S` sections. Their `section` is a number of `sections` and their `offset` an
   * offset in it; section 0: defined in another object.
   */
  get codeView(): readonly CodeViewSymbol[] {
    if (!this.#codeView) {
      const budget = new Budget('.debug$S sections', this.#reader.length, this.file);
      this.#codeView = this.sections
        .filter(({ name }) => name === '.debug$S')
        .flatMap((section) => {
          budget.spend(section.data.length);
          return readDebugS(section, this.machine, this.file);
        });
    }
    return this.#codeView;
  }

  /** How it was compiled, if it says so. */
  get compile(): CompileSymbol | undefined {
    return this.codeView.find(
      (symbol): symbol is CompileSymbol => symbol.kind === 'S_COMPILE3' || symbol.kind === 'S_COMPILE2',
    );
  }

  /** Functions that were compiled for a hotpatch, under their linker names without x86 decoration. */
  get hotPatchFunctions(): readonly HotPatchFunctionSymbol[] {
    return this.codeView
      .filter((symbol) => symbol.kind === 'S_HOTPATCHFUNC')
      .map((symbol) => ({ ...symbol, name: undecorateCompilerName(symbol.name) }));
  }

  #readSections(header: Header, strings: ByteReader): ObjectSection[] {
    const table = this.#reader.slice(
      header.sectionTable,
      header.sections * SECTION_HEADER_SIZE,
      'object section table',
    );
    const budget = new Budget('object relocations', this.#reader.length, this.file);
    return Array.from({ length: header.sections }, (_, index) => {
      const at = index * SECTION_HEADER_SIZE;
      const fields = SECTION_HEADER_REST.read(table, at + SECTION_NAME_SIZE);
      const name = longName(shortName(table.bytesAt(at, SECTION_NAME_SIZE)), strings);
      const { characteristics, sizeOfRawData: size } = fields;
      const hasData =
        (characteristics & IMAGE_SCN.CNT_UNINITIALIZED_DATA) === 0 && fields.pointerToRawData !== 0;
      const readRelocations = () => this.#readRelocations(fields, index + 1, budget);
      let relocations: readonly ObjectRelocation[] | undefined;
      return {
        number: index + 1,
        name,
        size,
        data: hasData ? this.#reader.bytesAt(fields.pointerToRawData, size) : new Uint8Array(0),
        characteristics,
        alignment: 2 ** Math.max(0, ((characteristics >>> 20) & 15) - 1),
        get relocations() {
          relocations ??= readRelocations();
          return relocations;
        },
      };
    });
  }

  #readRelocations(
    fields: { pointerToRelocations: number; numberOfRelocations: number; characteristics: number },
    section: number,
    budget: Budget,
  ): ObjectRelocation[] {
    const start = fields.pointerToRelocations;
    // When their number does not fit into 16 bits, the first record holds it and counts itself.
    const overflow =
      (fields.characteristics & IMAGE_SCN.LNK_NRELOC_OVFL) !== 0 && fields.numberOfRelocations === 0xffff;
    const count = overflow ? this.#reader.u32At(start) : fields.numberOfRelocations;
    if (count === 0) return [];
    budget.spend(count * RELOCATION_SIZE);
    const table = this.#reader.slice(start, count * RELOCATION_SIZE, `relocations of section ${section}`);
    const relocations: ObjectRelocation[] = [];
    for (let at = overflow ? RELOCATION_SIZE : 0; at < table.length; at += RELOCATION_SIZE) {
      const symbolIndex = table.u32At(at + 4);
      const symbol = this.#byIndex.get(symbolIndex);
      if (!symbol) throw table.error('object.relocation', `there is no symbol ${symbolIndex}`, at + 4);
      const type = table.u16At(at + 8);
      const typeName = relocationTypeName(this.machine, type);
      relocations.push({ offset: table.u32At(at), type, typeName, symbol });
    }
    return relocations;
  }
}

function isBigObj(reader: ByteReader): boolean {
  if (reader.length < BIG_OBJ_HEADER_SIZE || reader.u32At(0) !== 0xffff0000) return false;
  const classId = Array.from(reader.bytesAt(12, 16), (byte) => byte.toString(16).padStart(2, '0')).join('');
  return classId === BIG_OBJ_CLASS;
}

function readBigObjHeader(reader: ByteReader): Header {
  return {
    machine: reader.u16At(6),
    timeDateStamp: reader.u32At(8),
    sections: reader.u32At(44),
    sectionTable: BIG_OBJ_HEADER_SIZE,
    symbolTable: reader.u32At(48),
    symbols: reader.u32At(52),
  };
}

/** IMAGE_FILE_HEADER; an object has no signature, so an unknown machine is all that tells other files from it. */
function readFileHeader(reader: ByteReader): Header {
  const machine = reader.u16At(0);
  if (reader.u32At(0) === 0xffff0000) throw reader.error('object.format', 'an import, not an object file', 0);
  if (machine === IMAGE_FILE_MACHINE.UNKNOWN || machineNameOf(machine) === undefined) {
    const other: Record<number, string> = {
      23117: 'this is an image',
      15393: 'this is a library: read its members',
      17218: 'this is LLVM bitcode: compile it without -flto',
    };
    throw reader.error('object.format', other[machine] ?? `machine ${hex(machine)} is unknown`, 0);
  }
  return {
    machine,
    timeDateStamp: reader.u32At(4),
    sections: reader.u16At(2),
    sectionTable: FILE_HEADER_SIZE + reader.u16At(16),
    symbolTable: reader.u32At(8),
    symbols: reader.u32At(12),
  };
}

/** `/123`: a decimal offset into the string table; `//AAAAAA`: one in base 64, where decimals do not suffice. */
function longName(name: string, strings: ByteReader): string {
  if (/^\/\d+$/.test(name)) return strings.cStringAt(Number(name.slice(1)));
  if (!/^\/\/[A-Za-z0-9+/]{6}$/.test(name)) return name;
  const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  const offset = [...name.slice(2)].reduce((sum, digit) => sum * 64 + digits.indexOf(digit), 0);
  return strings.cStringAt(offset);
}
