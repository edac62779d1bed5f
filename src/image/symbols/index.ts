export { type CoffImage, symbolsFromCoff } from './coff-symbols.js';
export { type ExportImage, symbolsFromExports } from './export-symbols.js';
export { type MapAddress, type MapFile, type MapSection, readMapFile } from './map-file.js';
export { undecorate } from './names.js';
export { Pdb, PdbModule, readPdb } from './pdb.js';
export { type SymbolAtAddress, type SymbolInfo, type SymbolTable, symbolTable } from './symbol-table.js';
