import { Budget } from '../budget.js';
import { ByteReader } from '../reader.js';
import {
  type CodeViewSymbol,
  type CompileSymbol,
  type DataSymbol,
  type ProcedureReference,
  type PublicSymbol,
  readSymbolRecord,
  readSymbolRecords,
  type SectionOffset,
} from './codeview.js';
import { type InlineSiteSymbol, readScopeRecords, type ScopeSymbol } from './codeview-scopes.js';
import { shortName } from './coff-symbols.js';
import { type Dbi, type DbiModule, readDbi, type SectionContribution } from './dbi.js';
import { symbolOffsets } from './global-symbols.js';
import { ItemIds } from './item-ids.js';
import {
  type InlinedRange,
  type InlineeSource,
  inlinedRanges,
  type LineTable,
  lineTable,
  type ModuleLines,
  NO_LINES,
  readModuleLines,
  StringTable,
} from './lines/index.js';
import { MsfFile } from './msf.js';
import { baseName, undecorateCompilerName } from './names.js';
import { type PdbInfo, readPdbInfo } from './pdb-info.js';
import { symbolsFromPdb } from './pdb-symbols.js';
import type { SymbolTable } from './symbol-table.js';

const STREAM = { information: 1, tpi: 2, dbi: 3, ipi: 4 } as const;
const MODULE_SIGNATURE = 4;
const SECTION_HEADER_SIZE = 40;

/** A record of the global symbols. */
export type GlobalSymbol = DataSymbol | ProcedureReference;

/** What a PDB keeps of the image's section headers. */
export interface PdbSection {
  /** At most eight bytes. */
  readonly name: string;
  /** RVA. */
  readonly virtualAddress: number;
  /** Bytes in memory. */
  readonly virtualSize: number;
  /** Bits of IMAGE_SCN. */
  readonly characteristics: number;
}

/**
 * Opens a PDB of lld-link, or of Microsoft's linker since Visual C++ 7. Needs nothing but its bytes: no processor, no
 * other file, no network.
 *
 * ```ts
 * import { pdbMatches, readImage, readPdb } from 'hotpatch-lab/image';
 *
 * const pdb = readPdb(readFileSync('demo.pdb'), { file: 'demo.pdb' });
 * if (!pdbMatches(readImage(readFileSync('demo.dll')), pdb)) throw new Error('a PDB of another build');
 *
 * pdb.symbols.byName('dispatch');       // { name: 'dispatch', rva: 0x1060, size: 118, kind: 'function', module: 'demo.obj', isStatic: false }
 * pdb.symbols.byAddress(0x1069);        // { symbol: { name: 'dispatch', … }, offset: 9 }
 * pdb.symbols.allByName('helper');      // one of each object file that has a static function of that name
 *
 * for (const module of pdb.modules)     // object files, with every CodeView record that is decoded
 *   for (const symbol of module.symbols)
 *     if (symbol.kind === 'S_GPROC32_ID') console.log(module.shortName, symbol.name, symbol.size);
 *
 * pdb.lines.byAddress(0x1069);          // { file: { name: '…/demo.c', … }, line: 42, rva: 0x1067, size: 5, … }
 *
 * pdb.sectionContributions.map(({ dataCrc }) => dataCrc); // what changed between two builds?
 * ```
 *
 * Only the directory and the information stream are read here, every other part when it is first asked for; asking again
 * costs nothing. Addresses are RVAs (numbers), sizes bytes. What comes back may be a view of `bytes`: change neither.
 * Types (the TPI stream) are not decoded; `stream(2)` gives their bytes.
 *
 * @param options.file how errors call the file
 * @throws ImageError here, or from the part that is malformed when it is asked for; the other parts stay readable. Never
 *   anything else, whatever the bytes are, and memory stays within a small multiple of the file.
 */
export function readPdb(bytes: Uint8Array, options: { file?: string | undefined } = {}): Pdb {
  // Slices of a Buffer would be views, not copies.
  return new Pdb(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength), options.file);
}

/** A program database; {@link readPdb} makes one. */
export class Pdb {
  /** What errors call the file. */
  readonly file: string | undefined;
  /** Its identity, and the names of streams. */
  readonly info: PdbInfo;
  readonly #msf: MsfFile;
  readonly #size: number;
  #dbi: Dbi | undefined;
  #modules: readonly PdbModule[] | undefined;
  #sections: readonly PdbSection[] | undefined;
  #publics: readonly PublicSymbol[] | undefined;
  #globals: readonly GlobalSymbol[] | undefined;
  #items: ItemIds | undefined;
  #symbols: SymbolTable | undefined;
  #strings: StringTable | undefined;
  #lines: LineTable | undefined;

  constructor(bytes: Uint8Array, file?: string) {
    this.file = file;
    this.#msf = new MsfFile(bytes, file);
    this.#size = bytes.length;
    this.info = readPdbInfo(this.stream(STREAM.information), file);
  }

  /** As in the image's debug directory: `FB9FB7D5-8AE2-47B9-9889-73DAF157F7AB`. */
  get guid(): string {
    return this.info.guid;
  }

  /** As in the image's debug directory: how often the image was linked into this PDB. */
  get age(): number {
    return this.#hasDbi ? this.dbi.age : this.info.age;
  }

  /** How many streams the file has. */
  get streamCount(): number {
    return this.#msf.streamSizes.length;
  }

  /** Bytes of a block of the file. */
  get blockSize(): number {
    return this.#msf.blockSize;
  }

  /** The bytes of a stream: of an index, or of a name in `info.namedStreams`. */
  stream(stream: number): Uint8Array {
    return this.#msf.stream(stream);
  }

  /** @throws ImageError when the PDB has no DBI stream (a type server) or it is malformed */
  get dbi(): Dbi {
    this.#dbi ??= readDbi(this.stream(STREAM.dbi), this.file);
    return this.#dbi;
  }

  /** Which object file each piece of the image is of. */
  get sectionContributions(): readonly SectionContribution[] {
    return this.dbi.sectionContributions;
  }

  /** One for each object file and each imported DLL, in the linker's order, and `* Linker *`. */
  get modules(): readonly PdbModule[] {
    this.#modules ??= this.#openModules();
    return this.#modules;
  }

  /** The image's sections; RVAs of symbols come from these. */
  get sections(): readonly PdbSection[] {
    this.#sections ??= this.#readSections();
    return this.#sections;
  }

  /** The linker's names for what is visible to all objects, decorated. */
  get publics(): readonly PublicSymbol[] {
    this.#publics ??= this.#recordsOf('publics', this.dbi.publicsStream).filter(
      (symbol) => symbol.kind === 'S_PUB32',
    );
    return this.#publics;
  }

  /** Global variables, static ones too, and references to the procedures in the modules. */
  get globals(): readonly GlobalSymbol[] {
    this.#globals ??= this.#recordsOf('globals', this.dbi.globalsStream).filter(isGlobal);
    return this.#globals;
  }

  /** Everything that has a name and an address. */
  get symbols(): SymbolTable {
    this.#symbols ??= symbolsFromPdb(this);
    return this.#symbols;
  }

  /** Source lines. Empty when the image was linked without line information. */
  get lines(): LineTable {
    this.#lines ??= lineTable(this);
    return this.#lines;
  }

  /** The strings of `/names`, which lines name their files by. */
  get strings(): StringTable | undefined {
    const stream = this.info.namedStreams.get('/names');
    if (stream !== undefined) this.#strings ??= new StringTable(this.stream(stream), this.file);
    return this.#strings;
  }

  /**
   * Functions that were compiled for a hotpatch. Empty for lld's PDBs: lld drops the records, read the object
   * files instead (`readObject`).
   */
  get hotPatchFunctions(): readonly { readonly name: string; readonly module: PdbModule }[] {
    return this.modules.flatMap((module) =>
      module.symbols.flatMap((symbol) =>
        symbol.kind === 'S_HOTPATCHFUNC'
          ? [
              {
                name: undecorateCompilerName(symbol.name) || (this.functionName(symbol.functionId) ?? ''),
                module,
              },
            ]
          : [],
      ),
    );
  }

  /** Name of an LF_FUNC_ID or LF_MFUNC_ID of the IPI stream. */
  functionName(functionId: number): string | undefined {
    this.#items ??= ItemIds.fromStream(this.stream(STREAM.ipi), this.file);
    return this.#items.functionName(functionId);
  }

  /** The RVA of a place, or undefined when no section of the image is meant (absolute symbols, removed code). */
  rva({ section, offset }: SectionOffset): number | undefined {
    const header = this.sections[section - 1];
    return header && header.virtualAddress + offset;
  }

  get #hasDbi(): boolean {
    return (this.#msf.streamSizes[STREAM.dbi] ?? 0) > 0;
  }

  #openModules(): PdbModule[] {
    const budget = new Budget('DBI modules', this.#size, this.file);
    return this.dbi.modules.map((module, index) => {
      budget.spend(module.symbolBytes);
      return new PdbModule(this, index, module);
    });
  }

  #recordsOf(name: 'globals' | 'publics', stream: number | undefined): CodeViewSymbol[] {
    const { symbolRecordStream } = this.dbi;
    if (stream === undefined || symbolRecordStream === undefined) return [];
    const records = new ByteReader(this.stream(symbolRecordStream), 'PDB symbol records', this.file);
    const budget = new Budget(`PDB ${name} stream`, records.length, this.file);
    const symbols: CodeViewSymbol[] = [];
    for (const offset of symbolOffsets(this.stream(stream), name, this.file)) {
      budget.spend(2 + records.u16At(offset));
      const symbol = readSymbolRecord(records, offset);
      if (symbol) symbols.push(symbol);
    }
    return symbols;
  }

  #readSections(): PdbSection[] {
    const { sectionHdr, omapFromSrc } = this.dbi.debugStreams;
    if (sectionHdr === undefined) return [];
    const reader = new ByteReader(this.stream(sectionHdr), 'PDB section headers', this.file);
    if (omapFromSrc !== undefined) {
      throw reader.error(
        'pdb.omap',
        'the image was rearranged after linking (OMAP): its RVAs are not known here',
        0,
      );
    }
    const sections: PdbSection[] = [];
    for (let at = 0; at + SECTION_HEADER_SIZE <= reader.length; at += SECTION_HEADER_SIZE) {
      sections.push({
        name: shortName(reader.bytesAt(at, 8)),
        virtualSize: reader.u32At(at + 8),
        virtualAddress: reader.u32At(at + 12),
        characteristics: reader.u32At(at + 36),
      });
    }
    return sections;
  }
}

/** One object file of the image; its stream is read when `symbols` is asked for. */
export class PdbModule {
  /** In `Pdb.modules`. */
  readonly index: number;
  readonly name: string;
  /** The library, or the same as `name`. */
  readonly objectFile: string;
  /** As map files write it: `demo.obj`, or `library:member.obj`. */
  readonly shortName: string;
  /** Its first contribution. */
  readonly contribution: SectionContribution;
  readonly #pdb: Pdb;
  readonly #module: DbiModule;
  #symbols: readonly CodeViewSymbol[] | undefined;
  #scopes: readonly ScopeSymbol[] | undefined;
  #lines: ModuleLines | undefined;

  constructor(pdb: Pdb, index: number, module: DbiModule) {
    this.index = index;
    this.name = module.name;
    this.objectFile = module.objectFile;
    this.shortName = shortModuleName(module);
    this.contribution = module.contribution;
    this.#pdb = pdb;
    this.#module = module;
  }

  /** The decoded records, those in functions too. */
  get symbols(): readonly CodeViewSymbol[] {
    this.#symbols ??= this.#readSymbols();
    return this.#symbols;
  }

  /** How the object file was compiled, if it says so. */
  get compile(): CompileSymbol | undefined {
    return this.symbols.find(
      (symbol): symbol is CompileSymbol => symbol.kind === 'S_COMPILE3' || symbol.kind === 'S_COMPILE2',
    );
  }

  /** What is inside the procedures: blocks, what was inlined, variables and where they are. */
  get scopes(): readonly ScopeSymbol[] {
    if (this.#scopes === undefined) {
      const reader = this.#symbolReader();
      this.#scopes = reader === undefined ? [] : [...readScopeRecords(reader, this.#module.symbolBytes)];
    }
    return this.#scopes;
  }

  /** Its C13 line information, as it is kept; see {@link Pdb.lines}. */
  get lines(): ModuleLines {
    this.#lines ??= this.#readLines();
    return this.#lines;
  }

  /** The code of a call that was inlined, with its lines. */
  inlinedRanges(site: InlineSiteSymbol, source: InlineeSource): InlinedRange[] {
    const reader = this.#symbolReader();
    return reader === undefined ? [] : inlinedRanges(site, source, reader);
  }

  #readSymbols(): CodeViewSymbol[] {
    const reader = this.#symbolReader();
    return reader === undefined ? [] : [...readSymbolRecords(reader, this.#module.symbolBytes)];
  }

  #readLines(): ModuleLines {
    const { stream, symbolBytes, c11Bytes, c13Bytes } = this.#module;
    const { strings } = this.#pdb;
    if (stream === undefined || c13Bytes === 0 || strings === undefined) return NO_LINES;
    const bytes = this.#reader(stream, 'lines');
    return readModuleLines(bytes.slice(symbolBytes + c11Bytes, c13Bytes, bytes.place), strings);
  }

  /** Behind the stream's signature. */
  #symbolReader(): ByteReader | undefined {
    const { stream, symbolBytes } = this.#module;
    if (stream === undefined || symbolBytes === 0) return undefined;
    const reader = this.#reader(stream, 'symbols');
    reader.need(0, symbolBytes);
    reader.skip(MODULE_SIGNATURE);
    return reader;
  }

  #reader(stream: number, part: string): ByteReader {
    const place = `PDB ${part} of module ${this.index} (${this.shortName})`;
    return new ByteReader(this.#pdb.stream(stream), place, this.#pdb.file);
  }
}

function shortModuleName({ name, objectFile }: DbiModule): string {
  const member = baseName(name);
  const library = /^(.*)\.lib$/i.exec(baseName(objectFile))?.[1];
  return library === undefined || name === objectFile ? member : `${library}:${member}`;
}

function isGlobal(symbol: CodeViewSymbol): symbol is GlobalSymbol {
  switch (symbol.kind) {
    case 'S_PROCREF':
    case 'S_LPROCREF':
    case 'S_GDATA32':
    case 'S_LDATA32':
    case 'S_GTHREAD32':
    case 'S_LTHREAD32':
      return true;
    default:
      return false;
  }
}
