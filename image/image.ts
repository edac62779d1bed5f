import { type Certificate, readCertificates } from './certificates.js';
import { computeCheckSum } from './checksum.js';
import { type DebugEntry, exDllCharacteristics, readDebugDirectory } from './debug.js';
import { type DynamicRelocation, readDynamicRelocations } from './dynamic-relocations.js';
import { type Exports, readExports } from './exports.js';
import { type GuardTables, readGuardTables } from './guard.js';
import { optionalHeaderStruct } from './headers.js';
import { type HotPatchTable, readImageHotPatchTable } from './hotpatch/index.js';
import { type HybridMetadata, readHybridMetadata } from './hybrid.js';
import {
  type BoundImport,
  type DelayImportModule,
  type ImportModule,
  readBoundImports,
  readDelayImports,
  readImports,
} from './imports.js';
import { type LoadConfig, readLoadConfig } from './load-config.js';
import { MappedFile, type ReadImageOptions } from './mapped-file.js';
import type { Relocation, RelocationList } from './relocation-list.js';
import { flattenRelocations, type RelocationBlock, readRelocationBlocks } from './relocations.js';
import { readTls, type Tls } from './tls.js';
import { type FunctionTableEntry, readFunctionTable } from './unwind/function-table.js';
import { IMAGE_FILE } from './winnt.js';

/**
 * Reads a PE32 or PE32+ image.
 * @throws ImageError when the headers or the section table are not those of an image that Windows would map
 */
export function readImage(bytes: Uint8Array, options: ReadImageOptions = {}): PeImage {
  // Of a Node Buffer, slice() would be a view.
  return new PeImage(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength), options);
}

/**
 * An image. Headers and sections are read at once; every directory on first use, so that an image with one broken
 * directory can still be looked at. A directory that is broken throws an ImageError whenever it is asked for.
 */
export class PeImage extends MappedFile {
  readonly #cache = new Map<string, unknown>();

  /** The blocks of the base relocation directory as they are in the file, padding entries included. */
  get relocationBlocks(): readonly RelocationBlock[] {
    return this.#once('relocationBlocks', () => {
      const directory = this.directory('baseReloc');
      if (directory === undefined) return [];
      return readRelocationBlocks(
        this.tableAt(directory.virtualAddress, directory.size, 'base relocation directory'),
      );
    });
  }

  /** The base relocations in file order, padding left out. */
  get relocations(): RelocationList {
    return this.#once('relocations', () =>
      flattenRelocations(this.relocationBlocks, this.optionalHeader.sizeOfImage, this.file),
    );
  }

  /** The base relocations that change any of `length` bytes at an RVA. */
  relocationsIn(rva: number, length: number): readonly Relocation[] {
    return this.relocations.in(rva, length);
  }

  /** Whether the linker threw the relocations away: the image can only be loaded at its preferred base. */
  get isRelocationStripped(): boolean {
    return (this.fileHeader.characteristics & IMAGE_FILE.RELOCS_STRIPPED) !== 0;
  }

  /** The modules that it imports from, with what of each; empty without an import directory. */
  get imports(): readonly ImportModule[] {
    return this.#once('imports', () => readImports(this));
  }

  /** The same of imports that are bound when they are first called. */
  get delayImports(): readonly DelayImportModule[] {
    return this.#once('delayImports', () => readDelayImports(this));
  }

  /** The modules that its imports were bound to when it was built; empty without that directory. */
  get boundImports(): readonly BoundImport[] {
    return this.#once('boundImports', () => readBoundImports(this));
  }

  /** What it exports; undefined without an export directory. */
  get exports(): Exports | undefined {
    return this.#once('exports', () => readExports(this));
  }

  /** Its thread-local storage; undefined without that directory. */
  get tls(): Tls | undefined {
    return this.#once('tls', () => readTls(this));
  }

  /** The entries of its debug directory, such as the name of its PDB. */
  get debug(): readonly DebugEntry[] {
    return this.#once('debug', () => readDebugDirectory(this));
  }

  /** Bits of IMAGE_DLLCHARACTERISTICS_EX from the debug directory; 0 without such an entry. */
  get exDllCharacteristics(): number {
    return exDllCharacteristics(this.debug);
  }

  /** Its load configuration; undefined without that directory. */
  get loadConfig(): LoadConfig | undefined {
    return this.#once('loadConfig', () => readLoadConfig(this));
  }

  /** Control flow guard: the tables that the load configuration points to. */
  get guard(): GuardTables {
    return this.#once('guard', () => readGuardTables(this));
  }

  /** The dynamic value relocation table: retpoline and import call sites, function overrides, ARM64X fixups. */
  get dynamicRelocations(): readonly DynamicRelocation[] {
    return this.#once('dynamicRelocations', () => readDynamicRelocations(this));
  }

  /** Of images with two instruction sets: ARM64EC, ARM64X and the older CHPE. */
  get hybrid(): HybridMetadata | undefined {
    return this.#once('hybrid', () => readHybridMetadata(this));
  }

  /** The `.pdata` function table (RUNTIME_FUNCTION) in file order; empty on x86. */
  get functionTable(): readonly FunctionTableEntry[] {
    return this.#once('functionTable', () => readFunctionTable(this));
  }

  /** The hotpatch table; undefined if HotPatchTableOffset is absent or zero. Throws when there is one but it is broken. */
  get hotPatch(): HotPatchTable | undefined {
    return this.#once('hotPatch', () => readImageHotPatchTable(this));
  }

  /** The embedded signatures. A catalog-signed file has none. */
  get certificates(): readonly Certificate[] {
    return this.#once('certificates', () => readCertificates(this));
  }

  /** Whether the file carries an embedded signature (a certificate table). */
  get isSigned(): boolean {
    return this.directory('security') !== undefined;
  }

  /** The checksum that the file should carry; compare with `optionalHeader.checkSum` (0: never set). */
  get computedCheckSum(): number {
    return this.#once('computedCheckSum', () => computeCheckSum(this.bytes, this.checkSumOffset));
  }

  /** File offset of OptionalHeader.CheckSum. */
  get checkSumOffset(): number {
    return this.headers.optionalHeaderOffset + optionalHeaderStruct(this.pointerSize).offsetOf('checkSum');
  }

  #once<T>(key: string, compute: () => T): T {
    if (!this.#cache.has(key)) this.#cache.set(key, compute());
    return this.#cache.get(key) as T;
  }
}
