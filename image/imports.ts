import { Budget } from './budget.js';
import type { PeImage } from './image.js';
import { Struct } from './struct.js';
import { hex } from './text.js';

/** A function that is imported, by name with a hint or by ordinal. */
export type ImportFunction = {
  /** RVA of the import address table slot that receives the address. */
  readonly iatRva: number;
} & (
  | { readonly name: string; readonly hint: number; readonly ordinal?: undefined }
  | { readonly ordinal: number; readonly name?: undefined; readonly hint?: undefined }
);

/** IMAGE_IMPORT_DESCRIPTOR, with what it leads to. */
export interface ImportModule {
  /** As written in the image, e.g. `ntoskrnl.exe`. */
  readonly module: string;
  /** 0 in an image that is not bound; -1 with bound imports of the new kind. */
  readonly timeDateStamp: number;
  /** Index of the first forwarder; -1: none. */
  readonly forwarderChain: number;
  /** RVA of the import lookup table; 0 if there is none. */
  readonly originalFirstThunk: number;
  /** RVA of the import address table. */
  readonly firstThunk: number;
  /** In the order of the table. */
  readonly functions: readonly ImportFunction[];
}

/** A delay-load module (ImgDelayDescr, delayimp.h). */
export interface DelayImportModule {
  /** As written in the image. */
  readonly module: string;
  /** 1: the fields are RVAs; 0: virtual addresses, as Visual C++ 6 wrote them. */
  readonly attributes: number;
  /** Where the module's handle is kept once it is loaded. */
  readonly moduleHandleRva: number;
  /** Where the addresses go. */
  readonly importAddressTableRva: number;
  /** The names, in the order of the addresses. */
  readonly importNameTableRva: number;
  /** Addresses of a bound module; 0: none. */
  readonly boundImportAddressTableRva: number;
  /** A copy of the address table, for unloading; 0: none. */
  readonly unloadInformationTableRva: number;
  /** Of the module that it was bound to; 0: not bound. */
  readonly timeDateStamp: number;
  /** In the order of the table. */
  readonly functions: readonly ImportFunction[];
}

/** IMAGE_BOUND_IMPORT_DESCRIPTOR: a module whose addresses the image was built with. */
export interface BoundImport {
  /** As written in the image. */
  readonly module: string;
  /** Of the file that it was bound to. */
  readonly timeDateStamp: number;
  /** Modules that the module's own exports lead to. */
  readonly forwarders: readonly { readonly module: string; readonly timeDateStamp: number }[];
}

const IMPORT_DESCRIPTOR = new Struct('IMAGE_IMPORT_DESCRIPTOR', {
  originalFirstThunk: 'u32',
  timeDateStamp: 'u32',
  forwarderChain: 'u32',
  name: 'u32',
  firstThunk: 'u32',
});

const DELAYLOAD_DESCRIPTOR = new Struct('IMAGE_DELAYLOAD_DESCRIPTOR', {
  attributes: 'u32',
  dllNameRva: 'u32',
  moduleHandleRva: 'u32',
  importAddressTableRva: 'u32',
  importNameTableRva: 'u32',
  boundImportAddressTableRva: 'u32',
  unloadInformationTableRva: 'u32',
  timeDateStamp: 'u32',
});

/** Names longer than this are refused: a mangled C++ name of MSVC has at most 4096 characters. */
const NAME_LIMIT = 0x1000;

function budgets(image: PeImage, what: string) {
  return {
    entries: new Budget(what, image.bytes.length / image.pointerSize + 1, image.file),
    text: new Budget(`${what} names`, 4 * image.bytes.length, image.file),
  };
}

/** The import directory: modules in file order. The table ends with a descriptor whose name or first thunk is zero. */
export function readImports(image: PeImage): ImportModule[] {
  const directory = image.directory('import');
  if (directory === undefined) return [];
  const table = image.readerFrom(directory.virtualAddress, 'import directory');
  const modules: ImportModule[] = [];
  const budget = budgets(image, 'import directory');
  for (let at = 0; ; at += IMPORT_DESCRIPTOR.size) {
    const descriptor = IMPORT_DESCRIPTOR.read(table, at);
    if (descriptor.name === 0 || descriptor.firstThunk === 0) return modules;
    budget.entries.spend();
    const module = image.cStringAt(descriptor.name, `import descriptor ${modules.length}, Name`, NAME_LIMIT);
    budget.text.spend(module.length);
    const lookup =
      descriptor.originalFirstThunk === 0 ? descriptor.firstThunk : descriptor.originalFirstThunk;
    const functions = readThunks(image, lookup, descriptor.firstThunk, `imports from ${module}`, 0n, budget);
    modules.push({
      module,
      timeDateStamp: descriptor.timeDateStamp,
      forwarderChain: descriptor.forwarderChain,
      originalFirstThunk: descriptor.originalFirstThunk,
      firstThunk: descriptor.firstThunk,
      functions,
    });
  }
}

export function readDelayImports(image: PeImage): DelayImportModule[] {
  const directory = image.directory('delayImport');
  if (directory === undefined) return [];
  const table = image.readerFrom(directory.virtualAddress, 'delay import directory');
  const modules: DelayImportModule[] = [];
  const budget = budgets(image, 'delay import directory');
  for (let at = 0; ; at += DELAYLOAD_DESCRIPTOR.size) {
    const raw = DELAYLOAD_DESCRIPTOR.read(table, at);
    if (raw.dllNameRva === 0) return modules;
    budget.entries.spend();
    const bias = (raw.attributes & 1) === 1 ? 0n : image.optionalHeader.imageBase;
    const rva = (field: number) => (field === 0 ? 0 : Number(BigInt.asUintN(32, BigInt(field) - bias)));
    const descriptor = {
      ...raw,
      moduleHandleRva: rva(raw.moduleHandleRva),
      importAddressTableRva: rva(raw.importAddressTableRva),
      importNameTableRva: rva(raw.importNameTableRva),
      boundImportAddressTableRva: rva(raw.boundImportAddressTableRva),
      unloadInformationTableRva: rva(raw.unloadInformationTableRva),
    };
    const module = image.cStringAt(
      rva(raw.dllNameRva),
      `delay import descriptor ${modules.length}, DllNameRVA`,
      NAME_LIMIT,
    );
    budget.text.spend(module.length);
    const { dllNameRva: _, ...fields } = descriptor;
    modules.push({
      module,
      ...fields,
      functions: readThunks(
        image,
        descriptor.importNameTableRva,
        descriptor.importAddressTableRva,
        `delay imports from ${module}`,
        bias,
        budget,
      ),
    });
  }
}

/** IMAGE_THUNK_DATA list: pointer sized, ends with zero; top bit set: ordinal, else RVA of IMAGE_IMPORT_BY_NAME. */
function readThunks(
  image: PeImage,
  lookup: number,
  iat: number,
  place: string,
  bias: bigint,
  budget: { entries: Budget; text: Budget },
): ImportFunction[] {
  const { pointerSize } = image;
  const reader = image.readerFrom(lookup, place);
  const functions: ImportFunction[] = [];
  for (let at = 0; ; at += pointerSize) {
    const low = reader.u32At(at);
    const high = pointerSize === 8 ? reader.u32At(at + 4) : 0;
    if (low === 0 && high === 0) return functions;
    budget.entries.spend();
    const iatRva = iat + at;
    const byOrdinal = (reader.u32At(at + pointerSize - 4) & 0x80000000) !== 0;
    if (byOrdinal) functions.push({ ordinal: low & 0xffff, iatRva });
    else {
      const nameRva = bias === 0n ? low : Number(BigInt.asUintN(32, BigInt(low) - bias));
      if (high !== 0) throw reader.error('imports.thunk', `${hex(high)}\`${hex(low)} is not an RVA`, at);
      const name = image.cStringAt(nameRva + 2, `${place}, function ${functions.length}`, NAME_LIMIT);
      budget.text.spend(name.length);
      functions.push({ name, hint: image.u16At(nameRva, place), iatRva });
    }
  }
}

/**
 * The bound import directory (obsolete since address space randomisation): IMAGE_BOUND_IMPORT_DESCRIPTOR with its
 * IMAGE_BOUND_FORWARDER_REFs. Name offsets count from the directory's start. It usually lies in the headers.
 */
export function readBoundImports(image: PeImage): BoundImport[] {
  const directory = image.directory('boundImport');
  if (directory === undefined) return [];
  const table = image.readerFrom(directory.virtualAddress, 'bound import directory');
  const entry = (at: number) => ({
    timeDateStamp: table.u32At(at),
    nameOffset: table.u16At(at + 4),
    forwarders: table.u16At(at + 6),
  });
  const budget = budgets(image, 'bound import directory');
  const named = (offset: number): string => {
    const name = table.cStringAt(offset, NAME_LIMIT);
    budget.text.spend(name.length);
    return name;
  };
  const imports: BoundImport[] = [];
  let at = 0;
  for (;;) {
    const { timeDateStamp, nameOffset, forwarders: count } = entry(at);
    if (timeDateStamp === 0 && nameOffset === 0) return imports;
    at += 8;
    const forwarders: { module: string; timeDateStamp: number }[] = [];
    for (let i = 0; i < count; i++, at += 8) {
      const forwarder = entry(at);
      forwarders.push({ module: named(forwarder.nameOffset), timeDateStamp: forwarder.timeDateStamp });
    }
    imports.push({ module: named(nameOffset), timeDateStamp, forwarders });
  }
}
