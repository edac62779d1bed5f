import type { ProcedureSymbol } from '../codeview.js';
import type { InlineSiteSymbol } from '../codeview-scopes.js';
import type { Pdb, PdbModule } from '../pdb.js';
import type { InlinedRange } from './inline-sites.js';
import type { SourceFile } from './source-files.js';

/** A place in a source file. Lines count from 1; column 0: not known. */
export interface SourceLine {
  /** The file. */
  readonly file: SourceFile;
  /** From 1. */
  readonly line: number;
  /** From 1; 0: not known. */
  readonly column: number;
}

/** Code of one line: from `rva` on, up to the next line or the end of its function. */
export interface CodeLine extends SourceLine {
  /** Of the first byte. */
  readonly rva: number;
  /** Bytes. */
  readonly size: number;
  /** Does a statement begin here? */
  readonly isStatement: boolean;
}

/** A function whose source a place of code is of: the one that is called, or one that was inlined into it. */
export interface SourceFrame extends SourceLine {
  /** Undefined for the procedure itself, of which symbols tell. */
  readonly inlinee?: string;
}

/** The source lines of an image: which line an address is of, and where the code of a line is. */
export interface LineTable {
  /** The PDB, as its path was given. */
  readonly pdbFile: string | undefined;
  /** Every source file, in the order of the modules; one that several modules include is there once. */
  readonly files: readonly SourceFile[];
  /**
   * The line of the procedure around this RVA: a call that was inlined counts as the line that makes it. Of several lines
   * that begin at one address, the last: the others have no code of their own.
   */
  byAddress(rva: number): CodeLine | undefined;
  /** The same with what was inlined there, innermost first, the procedure last; empty when no line is known. */
  framesAt(rva: number): readonly SourceFrame[];
  /** Every line that has code in [start, end), by address. */
  inRange(start: number, end: number): readonly CodeLine[];
  /**
   * RVAs at which code of the line begins, inlined copies too, ascending. When the line has no code, those of the next one
   * that has, as debuggers place breakpoints.
   * @param file the whole name, or its end from a folder's separator on; case is ignored
   */
  addressesOf(file: string, line: number): { readonly line: number; readonly rvas: readonly number[] };
}

interface Inlined {
  readonly name: string;
  readonly file: SourceFile;
  readonly line: number;
  /** RVAs. */
  readonly start: number;
  readonly end: number;
}

/** @throws ImageError of a malformed module, from what is asked first */
export function lineTable(pdb: Pdb): LineTable {
  return new PdbLineTable(pdb);
}

class PdbLineTable implements LineTable {
  readonly files: readonly SourceFile[];
  readonly pdbFile: string | undefined;
  readonly #lines: readonly CodeLine[];
  /** Innermost last: a site lies behind the one that it is nested in. */
  readonly #inlined: readonly Inlined[];

  constructor(pdb: Pdb) {
    const files = new Map<string, SourceFile>();
    const lines: CodeLine[] = [];
    const inlined: Inlined[] = [];
    for (const module of pdb.modules) {
      for (const file of module.lines.files.values()) if (!files.has(file.name)) files.set(file.name, file);
      addLines(pdb, module, lines);
      addInlined(pdb, module, inlined);
    }
    this.files = [...files.values()];
    this.pdbFile = pdb.file;
    this.#lines = lines.reverse().sort((a, b) => a.rva - b.rva);
    this.#inlined = inlined;
  }

  byAddress(rva: number): CodeLine | undefined {
    let low = 0;
    let high = this.#lines.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#lines[middle]?.rva ?? 0) <= rva) low = middle + 1;
      else high = middle;
    }
    const line = this.#lines[low - 1];
    return line !== undefined && rva < line.rva + line.size ? line : undefined;
  }

  framesAt(rva: number): readonly SourceFrame[] {
    const line = this.byAddress(rva);
    if (line === undefined) return [];
    const around = this.#inlined.filter(({ start, end }) => start <= rva && rva < end);
    return [
      ...around.reverse().map(({ name, file, line }) => ({ inlinee: name, file, line, column: 0 })),
      { file: line.file, line: line.line, column: line.column },
    ];
  }

  inRange(start: number, end: number): readonly CodeLine[] {
    return this.#lines.filter(({ rva, size }) => rva < end && start < rva + size);
  }

  addressesOf(file: string, line: number): { line: number; rvas: readonly number[] } {
    const wanted = normalized(file);
    const isFile = (name: string) => {
      const known = normalized(name);
      return known === wanted || known.endsWith(`/${wanted}`);
    };
    const places = [
      ...this.#lines.map((each) => ({ file: each.file.name, line: each.line, rva: each.rva })),
      ...this.#inlined.map((each) => ({ file: each.file.name, line: each.line, rva: each.start })),
    ].filter((place) => place.line >= line && isFile(place.file));
    const first = places.reduce((least, place) => Math.min(least, place.line), Number.POSITIVE_INFINITY);
    const rvas = places.filter((place) => place.line === first).map(({ rva }) => rva);
    return { line: rvas.length > 0 ? first : line, rvas: [...new Set(rvas)].sort((a, b) => a - b) };
  }
}

function normalized(name: string): string {
  return name.replaceAll('\\', '/').toLowerCase();
}

function addLines(pdb: Pdb, module: PdbModule, lines: CodeLine[]): void {
  for (const contribution of module.lines.contributions) {
    const start = pdb.rva(contribution);
    if (start === undefined) continue;
    const { entries, size } = contribution;
    let [next, after] = [size, size];
    for (const { offset, line, column, isStatement, file } of entries.toReversed()) {
      if (offset < next) [next, after] = [offset, next];
      const source = module.lines.files.get(file);
      if (source === undefined || after <= offset) continue;
      lines.push({ rva: start + offset, size: after - offset, file: source, line, column, isStatement });
    }
  }
}

function addInlined(pdb: Pdb, module: PdbModule, inlined: Inlined[]): void {
  const sites = module.scopes.filter((scope): scope is InlineSiteSymbol => scope.kind === 'S_INLINESITE');
  if (sites.length === 0) return;
  const procedures = module.symbols.filter((symbol): symbol is ProcedureSymbol => 'debugStart' in symbol);
  let next = 0;
  let procedure: ProcedureSymbol | undefined;
  for (const site of sites) {
    while ((procedures[next]?.at ?? site.at) < site.at) procedure = procedures[next++];
    if (procedure === undefined || site.at >= procedure.end) continue;
    const source = module.lines.inlinees.get(site.inlinee);
    const start = pdb.rva(procedure);
    if (start === undefined || source === undefined) continue;
    const name = pdb.functionName(site.inlinee) ?? '';
    for (const range of module.inlinedRanges(site, source)) {
      const file = module.lines.files.get(range.file);
      if (file !== undefined) inlined.push({ name, file, line: range.line, ...at(start, range) });
    }
  }
}

function at(procedure: number, { start, end }: InlinedRange): { start: number; end: number } {
  return { start: procedure + start, end: procedure + end };
}
