import { IMAGE_SCN, type MachineName } from '../winnt.js';
import { DECORATES_NAMES, undecorate } from './names.js';
import { type SymbolInfo, type SymbolTable, symbolTable } from './symbol-table.js';

/** What `symbolsFromExports` needs of an image; every PeImage has it. */
export interface ExportImage {
  /** Name of FileHeader.Machine. */
  readonly machine: MachineName;
  /** Its export directory. */
  readonly exports?:
    | {
        readonly functions: readonly {
          readonly ordinal: number;
          readonly name?: string | undefined;
          readonly rva: number;
          readonly forwarder?: string | undefined;
        }[];
      }
    | undefined;
  /** The section that an RVA lies in: code or data? */
  sectionAt(rva: number): { readonly characteristics: number } | undefined;
}

/** The exported functions and variables. Nameless ones are called `Ordinal5`, as WinDbg does; forwarders are left out. */
export function symbolsFromExports(image: ExportImage): SymbolTable {
  const symbols: SymbolInfo[] = [];
  for (const { ordinal, name, rva, forwarder } of image.exports?.functions ?? []) {
    if (forwarder !== undefined || rva === 0) continue;
    const executable = ((image.sectionAt(rva)?.characteristics ?? 0) & IMAGE_SCN.MEM_EXECUTE) !== 0;
    symbols.push({
      ...exportNames(name ?? `Ordinal${ordinal}`, DECORATES_NAMES[image.machine]),
      rva,
      kind: executable ? 'function' : 'data',
      isStatic: false,
    });
  }
  return symbolTable(symbols);
}

/** Linkers export cdecl functions under their source name: a lone leading `_` belongs to it. */
function exportNames(exported: string, decoratesNames: boolean): { name: string; rawName?: string } {
  const name = decoratesNames && exported.includes('@') ? undecorate(exported) : exported;
  return name === exported ? { name } : { name, rawName: exported };
}
