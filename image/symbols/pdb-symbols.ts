import { machineNameOf } from '../architecture.js';
import type { CodeViewSymbol, ProcedureSymbol, PublicSymbol } from './codeview.js';
import type { SectionContribution } from './dbi.js';
import { DECORATES_NAMES, namesOf } from './names.js';
import type { Pdb } from './pdb.js';
import { type SymbolInfo, type SymbolTable, symbolTable } from './symbol-table.js';

const PUBLIC_FUNCTION = 2;

/**
 * One table of a PDB's procedures, data, labels and thunks, with the linker names of the publics.
 *
 * A public that names the same place as the only symbol there becomes that symbol's `rawName`; every other
 * public is a symbol of its own, of the size that is known for the place.
 */
export function symbolsFromPdb(pdb: Pdb): SymbolTable {
  const places: Places = new Map();
  const add = (symbol: SymbolInfo) => {
    const here = places.get(symbol.rva);
    if (here === undefined) places.set(symbol.rva, [symbol]);
    else if (!here.some(({ name, module }) => name === symbol.name && module === symbol.module))
      here.push(symbol);
  };
  const objectAt = contributors(pdb);
  for (const module of pdb.modules) {
    let procedure: ProcedureSymbol | undefined;
    for (const symbol of module.symbols) {
      if (isProcedure(symbol)) procedure = symbol;
      const info = symbolInfo(pdb, symbol, module.shortName);
      if (!info) continue;
      const scope = procedure !== symbol && symbol.at < (procedure?.end ?? 0) ? procedure?.name : undefined;
      add(scope === undefined ? info : { ...info, scope });
    }
  }
  for (const symbol of pdb.globals) {
    if (!('section' in symbol)) continue;
    const info = symbolInfo(pdb, symbol, objectAt(symbol.section, symbol.offset));
    if (info) add(info);
  }
  return symbolTable(withPublics(pdb, places, objectAt), () => pdb.lines);
}

/** RVA → the symbols there, different in object or name: globals repeat what modules have. */
type Places = Map<number, SymbolInfo[]>;

function isProcedure(symbol: CodeViewSymbol): symbol is ProcedureSymbol {
  return 'end' in symbol;
}

function symbolInfo(pdb: Pdb, symbol: CodeViewSymbol, module: string | undefined): SymbolInfo | undefined {
  if (!('section' in symbol) || symbol.name === '') return undefined;
  const rva = pdb.rva(symbol);
  if (rva === undefined) return undefined;
  const { name } = symbol;
  switch (symbol.kind) {
    case 'S_GPROC32':
    case 'S_GPROC32_ID':
      return ofModule(module, { name, rva, size: symbol.size, kind: 'function', isStatic: false });
    case 'S_LPROC32':
    case 'S_LPROC32_ID':
    case 'S_THUNK32':
      return ofModule(module, { name, rva, size: symbol.size, kind: 'function', isStatic: true });
    case 'S_GDATA32':
    case 'S_GTHREAD32':
      return ofModule(module, { name, rva, kind: 'data', isStatic: false });
    case 'S_LDATA32':
    case 'S_LTHREAD32':
      return ofModule(module, { name, rva, kind: 'data', isStatic: true });
    case 'S_LABEL32':
      return ofModule(module, { name, rva, kind: 'label', isStatic: true });
    case 'S_PUB32':
      return undefined;
  }
}

function ofModule(module: string | undefined, symbol: SymbolInfo & { module?: string }): SymbolInfo {
  if (module !== undefined) symbol.module = module;
  return symbol;
}

function withPublics(pdb: Pdb, places: Places, objectAt: ObjectAt): SymbolInfo[] {
  const decoratesNames = DECORATES_NAMES[machineNameOf(pdb.dbi.machine) ?? 'UNKNOWN'];
  const publics = new Map<number, PublicSymbol[]>();
  for (const symbol of pdb.publics) {
    const rva = pdb.rva(symbol);
    if (rva === undefined) continue;
    const here = publics.get(rva);
    if (here) here.push(symbol);
    else publics.set(rva, [symbol]);
  }
  const all: SymbolInfo[] = [];
  for (const [rva, here] of places) if (!publics.has(rva)) all.push(...here);
  for (const [rva, here] of publics) {
    const known = places.get(rva) ?? NONE;
    const named = known.filter(({ kind }) => kind !== 'label');
    const only = named.length === 1 && here.length === 1 ? named[0] : undefined;
    const size = named.find((symbol) => symbol.size !== undefined)?.size;
    const renamed: SymbolInfo[] = [];
    for (const symbol of here) {
      const names = namesOf(symbol.name, decoratesNames);
      // Of several symbols with one name, from several objects, the last.
      const same = named.findLast(({ name }) => name === names.name) ?? only;
      if (same) {
        if (renamed.includes(same)) continue;
        renamed.push(same);
        all.push(same.name === symbol.name ? same : { ...same, rawName: symbol.name });
        continue;
      }
      const module = named[0]?.module ?? objectAt(symbol.section, symbol.offset);
      all.push({
        ...names,
        rva,
        kind: symbol.flags & PUBLIC_FUNCTION ? 'function' : (named[0]?.kind ?? 'public'),
        ...(size === undefined ? {} : { size }),
        ...(module === undefined ? {} : { module }),
        isStatic: false,
      });
    }
    for (const symbol of known) if (!renamed.includes(symbol)) all.push(symbol);
  }
  return all;
}

const NONE: readonly SymbolInfo[] = [];

type ObjectAt = (section: number, offset: number) => string | undefined;

/** Which object a place of the image comes from. */
function contributors(pdb: Pdb): ObjectAt {
  const bySection = new Map<number, SectionContribution[]>();
  for (const contribution of pdb.sectionContributions) {
    const list = bySection.get(contribution.section);
    if (list) list.push(contribution);
    else bySection.set(contribution.section, [contribution]);
  }
  for (const list of bySection.values()) list.sort((a, b) => a.offset - b.offset);
  return (section, offset) => {
    const list = bySection.get(section) ?? [];
    let low = 0;
    let high = list.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((list[middle]?.offset ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    const found = list[low - 1];
    if (!found || offset >= found.offset + found.size) return undefined;
    return pdb.modules[found.module]?.shortName;
  };
}
