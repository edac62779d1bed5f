import { POINTER_SIZE } from '../architecture.js';
import { PADDING_NEEDED } from '../entry.js';
import { ImageError } from '../error.js';
import type { HotPatchTableInput } from '../hotpatch/encode.js';
import { type PeImage, readImage } from '../image.js';
import { loadConfigStruct } from '../load-config.js';
import type { ImageArchitecture } from '../mapped-file.js';
import type { RelocationType } from '../relocation-list.js';
import { type SymbolTable, symbolTable } from '../symbols/symbol-table.js';
import {
  type DirectoryName,
  IMAGE_DLLCHARACTERISTICS_EX,
  IMAGE_SCN,
  type IMAGE_SUBSYSTEM,
} from '../winnt.js';
import * as directories from './directories.js';
import { type Contents, concat, cString, type Item, type Layout, u32s } from './items.js';
import { link } from './link.js';

/** What is built. */
export interface ImageBuilderOptions {
  /** File name, which is also the module's name in its export directory. Default `test.sys`, `test.dll` with `dll`. */
  name?: string;
  /** Default NATIVE: a driver. */
  subsystem?: keyof typeof IMAGE_SUBSYSTEM;
  /** Build a DLL. Default: a driver. */
  dll?: boolean;
  /** Preferred base. Default: one for each width of pointers, and another for DLLs. */
  imageBase?: bigint;
  /** FileHeader.TimeDateStamp, default 0x5f000000. */
  timeDateStamp?: number;
  /** Leave the relocations out and set RELOCS_STRIPPED. */
  relocationsStripped?: boolean;
  /** Fill bytes before each function: default 6 on x64 and x86, 0 on ARM64. */
  functionPadding?: number;
  /** Further bits of IMAGE_DLLCHARACTERISTICS. */
  dllCharacteristics?: number;
}

/** How a function lies. */
export interface CodeOptions {
  /** Default: the builder's `functionPadding`. */
  padding?: number;
  /** Default 16. */
  alignment?: number;
  /** Offsets in the code that hold an absolute address. */
  relocations?: readonly number[];
  /** UNWIND_INFO (x64) or .xdata (ARM64) contents, or an ARM64 packed word. */
  unwind?: Contents | number;
}

/** How data lie. */
export interface DataOptions {
  /** Default `.data`; others are made on demand. */
  section?: string;
  /** Default: the pointer size. */
  alignment?: number;
  /** Offsets in the data that hold an absolute address. */
  relocations?: readonly number[];
}

/** An image that was built. */
export interface BuiltImage {
  /** The file. */
  readonly bytes: Uint8Array;
  /** The same, read. */
  readonly image: PeImage;
  /** Every named part; the names of import slots begin with `__imp_`. */
  readonly symbols: SymbolTable;
  /** RVA of a named part. */
  rva(name: string): number;
  /** At the preferred base. */
  address(name: string): bigint;
}

/**
 * Builds small PE images from nothing, for tests and lessons.
 *
 * @example
 * ```ts
 * const victim = new ImageBuilder('x64', { name: 'victim.sys' })
 *   .code('answer', [0xb8, 42, 0, 0, 0, 0xc3]) // mov eax, 42; ret
 *   .data('counter', [0, 0, 0, 0])
 *   .pointers('table', ['answer'])
 *   .import('ntoskrnl.exe', ['DbgPrint'])
 *   .export('answer')
 *   .loadConfig()
 *   .build();
 * victim.image.read(victim.rva('answer'), 6);
 * ```
 */
export class ImageBuilder {
  /** The processor. */
  readonly architecture: ImageArchitecture;
  /** As given. */
  readonly options: Readonly<ImageBuilderOptions>;
  readonly #items: Item[] = [];
  readonly #sections = new Map<string, number>([
    ['.text', IMAGE_SCN.CNT_CODE | IMAGE_SCN.MEM_EXECUTE | IMAGE_SCN.MEM_READ],
    ['.rdata', IMAGE_SCN.CNT_INITIALIZED_DATA | IMAGE_SCN.MEM_READ],
    ['.data', IMAGE_SCN.CNT_INITIALIZED_DATA | IMAGE_SCN.MEM_READ | IMAGE_SCN.MEM_WRITE],
    ['.pdata', IMAGE_SCN.CNT_INITIALIZED_DATA | IMAGE_SCN.MEM_READ],
  ]);
  readonly #imports = new Map<string, (string | number)[]>();
  readonly #exports: directories.ExportSpec[] = [];
  readonly #debug: { type: directories.DebugType; data: Contents; size: number }[] = [];
  readonly #functions: directories.FunctionTableSpec[] = [];
  #loadConfig: { fields: directories.LoadConfigInput; size: number } | undefined;
  #hotPatch: HotPatchTableInput | ((layout: Layout) => HotPatchTableInput) | undefined;
  #entryPoint: string | undefined;
  readonly #directories = new Map<DirectoryName, { first: string; last: string }>();

  constructor(architecture: ImageArchitecture, options: ImageBuilderOptions = {}) {
    this.architecture = architecture;
    this.options = options;
  }

  /** 4 on x86, 8 elsewhere. */
  get pointerSize(): 4 | 8 {
    return POINTER_SIZE[this.architecture];
  }

  /** Declares a section (bits of IMAGE_SCN), or changes the characteristics of one of the usual ones. */
  section(name: string, characteristics: number): this {
    this.#sections.set(name, characteristics >>> 0);
    return this;
  }

  /** A function in `.text`, padded before its entry as a linker does with /FUNCTIONPADMIN. */
  code(name: string, contents: Contents, options: CodeOptions = {}): this {
    const padding = options.padding ?? this.options.functionPadding ?? PADDING_NEEDED[this.architecture];
    this.#add({
      name,
      section: '.text',
      contents,
      alignment: options.alignment ?? 16,
      padding,
      kind: 'function',
      relocations: this.#addresses(options.relocations ?? []),
    });
    if (typeof options.unwind === 'number') this.#functions.push({ name, unwind: options.unwind });
    else if (options.unwind !== undefined) {
      const unwind = `unwind ${name}`;
      this.data(unwind, options.unwind, { section: '.rdata', alignment: 4 });
      this.#functions.push({ name, unwind });
    }
    return this;
  }

  /** Adds named bytes to a section of data. */
  data(name: string, contents: Contents, options: DataOptions = {}): this {
    return this.#add({
      name,
      section: options.section ?? '.data',
      contents,
      alignment: options.alignment ?? this.pointerSize,
      padding: 0,
      kind: 'data',
      relocations: this.#addresses(options.relocations ?? []),
    });
  }

  /** Data in `.rdata`. */
  constant(name: string, contents: Contents): this {
    return this.data(name, contents, { section: '.rdata' });
  }

  /** Zero bytes behind the file data of `.data`. */
  uninitialized(name: string, size: number): this {
    this.data(name, []);
    const item = this.#items.pop();
    if (item !== undefined) this.#add({ ...item, uninitialized: size });
    return this;
  }

  /** An array of addresses of parts, with their base relocations; default in `.rdata`. */
  pointers(name: string, targets: readonly string[], options: Omit<DataOptions, 'relocations'> = {}): this {
    const { pointerSize } = this;
    return this.data(
      name,
      (layout) =>
        directories.addresses(
          targets.map((target) => layout.address(target)),
          pointerSize,
        ),
      { section: '.rdata', ...options, relocations: targets.map((_, i) => i * pointerSize) },
    );
  }

  /** Imports by name (string) or ordinal (number). The slot's name is `__imp_` and the name, or `__imp_MODULE#ORDINAL`. */
  import(module: string, functions: readonly (string | number)[]): this {
    this.#imports.set(module, [...(this.#imports.get(module) ?? []), ...functions]);
    return this;
  }

  /** Exports a part under a name (default: its own; `false`: by ordinal only). */
  export(symbol: string, options: { name?: string | false; ordinal?: number } = {}): this {
    const name = options.name ?? symbol;
    const ordinal = options.ordinal ?? this.#nextOrdinal();
    this.#exports.push(name === false ? { symbol, ordinal } : { symbol, name, ordinal });
    return this;
  }

  /** Exports a name that another module implements, e.g. `NTDLL.RtlAllocateHeap`. */
  forward(name: string, forwarder: string, options: { ordinal?: number } = {}): this {
    this.#exports.push({ name, forwarder, ordinal: options.ordinal ?? this.#nextOrdinal() });
    return this;
  }

  /** A load configuration of `size` bytes (default: as long as the Windows SDK declares it). */
  loadConfig(fields: directories.LoadConfigInput = {}, size = loadConfigStruct(this.pointerSize).size): this {
    this.#loadConfig = { fields: { ...this.#loadConfig?.fields, ...fields }, size };
    return this;
  }

  /** A hotpatch table, and the load configuration that points to it. */
  hotPatchTable(table: HotPatchTableInput | ((layout: Layout) => HotPatchTableInput)): this {
    this.#hotPatch = table;
    return this.loadConfig({ hotPatchTableOffset: 'hotpatch table' }, this.#loadConfig?.size);
  }

  /** Control flow guard: the valid call targets and the flags that announce them. */
  guardFunctions(names: readonly string[]): this {
    this.data(
      'guard functions',
      (layout) => u32s(...names.map((name) => layout.rva(name)).sort((a, b) => a - b)),
      {
        section: '.rdata',
      },
    );
    const CF_INSTRUMENTED_AND_TABLE_PRESENT = 0x500;
    return this.loadConfig(
      {
        guardCFFunctionTable: 'guard functions',
        guardCFFunctionCount: names.length,
        guardFlags: CF_INSTRUMENTED_AND_TABLE_PRESENT,
      },
      this.#loadConfig?.size,
    );
  }

  /** Adds an entry to the debug directory. */
  debugEntry(type: directories.DebugType, data: Uint8Array): this {
    this.#debug.push({ type, data, size: data.length });
    return this;
  }

  /** The EX_DLLCHARACTERISTICS entry that link /HOTPATCHCOMPATIBLE writes. */
  hotPatchCompatible(): this {
    return this.debugEntry('EX_DLLCHARACTERISTICS', u32s(IMAGE_DLLCHARACTERISTICS_EX.HOTPATCH_COMPATIBLE));
  }

  /** The CodeView entry that names the PDB. `guid`: 16 bytes. */
  codeView(pdbFileName: string, guid: Uint8Array, age = 1): this {
    const RSDS = 0x53445352;
    return this.debugEntry('CODEVIEW', concat([u32s(RSDS), guid, u32s(age), cString(pdbFileName)]));
  }

  /** Makes a data directory of a part that was added as data; for directories that have no method of their own. */
  directory(entry: DirectoryName, part: string): this {
    this.#directories.set(entry, { first: part, last: part });
    return this;
  }

  /** Makes a function the image's entry point. */
  entryPoint(symbol: string): this {
    this.#entryPoint = symbol;
    return this;
  }

  /** Lays the image out, checksum included. */
  build(): BuiltImage {
    const directoryParts = new Map(this.#directories);
    const items = [...this.#items, ...this.#directoryItems(directoryParts)];
    const aliases = this.#aliases();
    const {
      bytes,
      items: placed,
      layout,
    } = link({
      architecture: this.architecture,
      options: this.options,
      sections: this.#sections,
      items,
      aliases,
      directories: directoryParts,
      entryPoint: this.#entryPoint,
    });
    const symbol = { isStatic: false };
    const symbols = symbolTable([
      ...placed.map(({ name, rva, size, kind }) => ({ name, rva, size, kind, ...symbol })),
      ...[...aliases.keys()].map((name) => ({
        name,
        rva: layout.rva(name),
        size: this.pointerSize,
        kind: 'data' as const,
        ...symbol,
      })),
    ]);
    return {
      bytes,
      image: readImage(bytes, { file: this.#name() }),
      symbols,
      rva: (name) => layout.rva(name),
      address: (name) => layout.address(name),
    };
  }

  #add(item: Item): this {
    if (this.#items.some(({ name }) => name === item.name))
      throw new ImageError({
        rule: 'build.duplicate',
        status: 'STATUS_OBJECT_NAME_COLLISION',
        file: this.options.name,
        place: item.name,
        message: 'it is defined twice',
      });
    if (!this.#sections.has(item.section)) this.section(item.section, this.#sections.get('.data') ?? 0);
    this.#items.push(item);
    return this;
  }

  #addresses(offsets: readonly number[]): { offset: number; type: RelocationType }[] {
    return offsets.map((offset) => ({ offset, type: this.pointerSize === 8 ? 'DIR64' : 'HIGHLOW' }));
  }

  #nextOrdinal(): number {
    return Math.max(0, ...this.#exports.map((entry) => entry.ordinal)) + 1;
  }

  #name(): string {
    return this.options.name ?? (this.options.dll ? 'test.dll' : 'test.sys');
  }

  /** `__imp_…` names inside the import address tables. */
  #aliases(): Map<string, { item: string; offset: number }> {
    const aliases = new Map<string, { item: string; offset: number }>();
    for (const [module, functions] of this.#imports) {
      for (const [i, entry] of functions.entries()) {
        aliases.set(directories.iatName(module, entry), {
          item: `import iat ${module}`,
          offset: i * this.pointerSize,
        });
      }
    }
    return aliases;
  }

  #directoryItems(directoryParts: Map<DirectoryName, { first: string; last: string }>): Item[] {
    const items: Item[] = [];
    const { pointerSize } = this;
    const part = (
      name: string,
      contents: Contents,
      section = '.rdata',
      relocations: readonly number[] = [],
    ) => {
      items.push({
        name,
        section,
        contents,
        alignment: pointerSize,
        padding: 0,
        kind: 'data',
        relocations: this.#addresses(relocations),
      });
    };
    const directory = (entry: DirectoryName, first: string, last = first) =>
      directoryParts.set(entry, { first, last });

    const imports = [...this.#imports].map(([module, functions]) => ({ module, functions }));
    for (const spec of imports)
      part(`import iat ${spec.module}`, directories.importThunks(spec, pointerSize));
    for (const spec of imports) {
      part(`import lookup ${spec.module}`, directories.importThunks(spec, pointerSize));
      part(`import module ${spec.module}`, cString(spec.module));
      for (const entry of spec.functions) {
        if (typeof entry === 'string')
          part(`import hint ${spec.module} ${entry}`, directories.importByName(entry));
      }
    }
    const [firstImport, lastImport] = [imports[0], imports.at(-1)];
    if (firstImport !== undefined && lastImport !== undefined) {
      part('import directory', directories.importDirectory(imports));
      directory('import', 'import directory');
      directory('iat', `import iat ${firstImport.module}`, `import iat ${lastImport.module}`);
    }
    if (this.#exports.length > 0) {
      part('export directory', directories.exportDirectory(this.#name(), this.#exports, 'export directory'));
      directory('export', 'export directory');
    }
    if (this.#hotPatch !== undefined) part('hotpatch table', directories.hotPatchTable(this.#hotPatch));
    if (this.#loadConfig !== undefined) {
      const { fields, size } = this.#loadConfig;
      const relocations = directories.loadConfigRelocations(pointerSize, fields);
      part('load config', directories.loadConfig(pointerSize, size, fields), '.rdata', relocations);
      directory('loadConfig', 'load config');
    }
    if (this.#debug.length > 0) {
      const entries = this.#debug.map(({ type, size }, i) => ({ type, size, name: `debug data ${i}` }));
      for (const [i, { data }] of this.#debug.entries()) part(`debug data ${i}`, data);
      part('debug directory', directories.debugDirectory(entries, this.options.timeDateStamp ?? 0));
      directory('debug', 'debug directory');
    }
    if (this.#functions.length > 0) {
      part('function table', directories.functionTable(this.architecture, this.#functions), '.pdata');
      directory('exception', 'function table');
    }
    return items;
  }
}
