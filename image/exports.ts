import { Budget } from './budget.js';
import type { PeImage } from './image.js';
import { Struct } from './struct.js';
import { hex } from './text.js';

const EXPORT_DIRECTORY = new Struct('IMAGE_EXPORT_DIRECTORY', {
  characteristics: 'u32',
  timeDateStamp: 'u32',
  majorVersion: 'u16',
  minorVersion: 'u16',
  name: 'u32',
  base: 'u32',
  numberOfFunctions: 'u32',
  numberOfNames: 'u32',
  addressOfFunctions: 'u32',
  addressOfNames: 'u32',
  addressOfNameOrdinals: 'u32',
});

/** One export: of code or data, or of another module's. */
export interface ExportFunction {
  /** The biased ordinal, as importers write it. */
  readonly ordinal: number;
  /** Undefined: exported by ordinal only. */
  readonly name?: string;
  /** RVA of the function or variable; of the forwarder string where there is one. */
  readonly rva: number;
  /** `NTDLL.RtlAllocateHeap`, `MODULE.#17`. */
  readonly forwarder?: string;
}

/** IMAGE_EXPORT_DIRECTORY, with all that it leads to. */
export interface Exports {
  /** The module's own name in the directory; empty if it has none. */
  readonly name: string;
  /** Seconds since 1970, or a hash. */
  readonly timeDateStamp: number;
  /** As the linker has set it; usually 0. */
  readonly majorVersion: number;
  /** As the linker has set it; usually 0. */
  readonly minorVersion: number;
  /** The ordinal of the first entry. */
  readonly ordinalBase: number;
  /** By ordinal; a function with several names appears once per name; unused ordinals do not appear. */
  readonly functions: readonly ExportFunction[];
}

const NAME_LIMIT = 0x1000;

export function readExports(image: PeImage): Exports | undefined {
  const directory = image.directory('export');
  if (directory === undefined) return undefined;
  const place = 'export directory';
  const header = EXPORT_DIRECTORY.read(
    image.readerAt(directory.virtualAddress, EXPORT_DIRECTORY.size, place),
  );
  const text = new Budget('export names', 4 * image.bytes.length, image.file);
  const string = (rva: number, what: string): string => {
    const value = image.cStringAt(rva, what, NAME_LIMIT);
    text.spend(value.length);
    return value;
  };

  const addresses = image.tableAt(
    header.addressOfFunctions,
    4 * header.numberOfFunctions,
    'export address table',
  );
  const names = image.tableAt(header.addressOfNames, 4 * header.numberOfNames, 'export name table');
  const ordinals = image.tableAt(
    header.addressOfNameOrdinals,
    2 * header.numberOfNames,
    'export ordinal table',
  );

  const namesOf = new Map<number, string[]>();
  for (let i = 0; i < header.numberOfNames; i++) {
    const index = ordinals.u16At(2 * i);
    if (index >= header.numberOfFunctions) {
      throw ordinals.error(
        'exports.ordinal',
        `index ${hex(index)} is outside the export address table`,
        2 * i,
      );
    }
    const name = string(names.u32At(4 * i), `export name ${i}`);
    const list = namesOf.get(index);
    if (list === undefined) namesOf.set(index, [name]);
    else list.push(name);
  }

  const functions: ExportFunction[] = [];
  const directoryEnd = directory.virtualAddress + directory.size;
  for (let index = 0; index < header.numberOfFunctions; index++) {
    const rva = addresses.u32At(4 * index);
    const named = namesOf.get(index);
    if (rva === 0 && named === undefined) continue;
    const ordinal = header.base + index;
    // An address inside the export directory itself is a forwarder string (PE format, "Export Address Table").
    const forwards = rva >= directory.virtualAddress && rva < directoryEnd;
    const entry = forwards
      ? { ordinal, rva, forwarder: string(rva, `forwarder of ordinal ${ordinal}`) }
      : { ordinal, rva };
    if (named === undefined) functions.push(entry);
    else for (const name of named) functions.push({ ...entry, name });
  }

  return {
    name: header.name === 0 ? '' : string(header.name, 'export directory, Name'),
    timeDateStamp: header.timeDateStamp,
    majorVersion: header.majorVersion,
    minorVersion: header.minorVersion,
    ordinalBase: header.base,
    functions,
  };
}
