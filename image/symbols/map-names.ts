import type { PeImage } from '../image.js';
import { IMAGE_SCN } from '../winnt.js';
import type { Pdb } from './pdb.js';
import { type SymbolInfo, type SymbolTable, symbolTable } from './symbol-table.js';

/**
 * A PDB's symbols with what only a map of the same build knows: the linker names of static functions and variables, which
 * a PDB gives for public ones only, and variables of which the compiler tells nothing (parts of split structures, guards
 * of static initialisers).
 */
export function withMapNames(pdb: Pdb, map: SymbolTable, image: PeImage): SymbolTable {
  const table = pdb.symbols;
  const here = new Map<number, SymbolInfo[]>();
  for (const symbol of table.all) {
    if (symbol.kind === 'label') continue;
    const list = here.get(symbol.rva);
    if (list === undefined) here.set(symbol.rva, [symbol]);
    else list.push(symbol);
  }
  const renamed = new Map<SymbolInfo, SymbolInfo>();
  const added: SymbolInfo[] = [];
  for (const [rva, names] of staticNames(map)) {
    const known = here.get(rva) ?? [];
    const [only, second] = known;
    const [name, another] = names;
    if (name === undefined) continue;
    if (known.length === 0) {
      // Places in code that have no record in the PDB are labels of hand-written functions.
      const section = image.sectionAt(rva);
      if (section !== undefined && (section.characteristics & IMAGE_SCN.MEM_EXECUTE) === 0)
        added.push(...names);
    } else if (
      second === undefined &&
      another === undefined &&
      only?.isStatic &&
      only.rawName === undefined
    ) {
      const rawName = name.rawName ?? name.name;
      if (rawName !== only.name) renamed.set(only, { ...only, rawName });
    }
  }
  if (renamed.size === 0 && added.length === 0) return table;
  const all = [...table.all.map((symbol) => renamed.get(symbol) ?? symbol), ...added];
  return symbolTable(all, () => pdb.lines);
}

function staticNames(map: SymbolTable): Map<number, SymbolInfo[]> {
  const found = new Map<number, SymbolInfo[]>();
  for (const symbol of map.all) {
    if (!symbol.isStatic || symbol.name.startsWith('.')) continue;
    const list = found.get(symbol.rva);
    if (list === undefined) found.set(symbol.rva, [symbol]);
    else list.push(symbol);
  }
  return found;
}
