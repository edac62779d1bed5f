import { isExecutable, isWritable, type PeImage, type Section, type SymbolTable } from '../../image/index.js';
import {
  assertAddress,
  assertArgument,
  FLAG,
  hex,
  INSPECT,
  KernelError,
  printed,
  TEXT,
  VALUE,
  whole,
} from '../common/index.js';
import { readPointer, writePointer } from '../memory/index.js';
import type { BoundImport } from './bind-imports.js';
import type { HotPatchAddressTable } from './hpat.js';
import type { ImageDomain } from './image-domain.js';
import type { ImageSection } from './image-section.js';

/** LDR_HOT_PATCH_STATE of the loader data table entry (public native-API headers). */
export type LdrHotPatchState =
  | 'BaseImage'
  | 'NotApplied'
  | 'AppliedReverse'
  | 'AppliedForward'
  | 'FailedToPatch';

/** LDR_DLL_LOAD_REASON, as far as this loader gives one. */
export type LoadReason = 'StaticDependency' | 'DynamicLoad' | 'PatchImage';

export interface LoadedImageDetails {
  readonly baseDllName: string;
  readonly dllBase: bigint;
  readonly image: PeImage;
  readonly domain: ImageDomain;
  readonly symbols: SymbolTable;
  readonly loadReason: LoadReason;
  readonly hpat: HotPatchAddressTable | undefined;
  readonly section: ImageSection;
  readonly retpolinePage: bigint | undefined;
  readonly speculationControlPage: bigint | undefined;
  readonly largePages: boolean;
}

/** What of an image in memory changes. */
export interface LoadedImageFields {
  referenceCount: number;
  dependencies: readonly LoadedImage[];
  imports: readonly BoundImport[];
  driverObject: bigint | undefined;
  initialized: boolean;
  hearsOfThreads: boolean;
  hotPatchState: LdrHotPatchState;
  activePatchImageBase: bigint | undefined;
  jumpHpat: bigint | undefined;
}

const RVA = whole(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 'an RVA: a whole number');

/** What the process has in its own loader data, too. */
const IN_ENTRY = ['referenceCount', 'hotPatchState', 'activePatchImageBase'] as const;

let fieldsOf: (image: LoadedImage) => LoadedImageFields;
let rememberCode: (image: LoadedImage) => void;

/**
 * An image in memory: what Windows keeps in KLDR_DATA_TABLE_ENTRY and LDR_DATA_TABLE_ENTRY. Only the loader and the engine
 * change it.
 */
export class LoadedImage {
  /** File name with its extension: `demo.dll`. */
  readonly baseDllName: string;
  /** Address of its first byte. */
  readonly dllBase: bigint;
  /** The file that it was loaded from. */
  readonly image: PeImage;
  /** Where it is loaded. */
  readonly domain: ImageDomain;
  /** Names of what is in it. */
  readonly symbols: SymbolTable;
  /** What it was loaded as; a hotpatch is a `PatchImage`. */
  readonly loadReason: LoadReason;
  /** Reserved behind the image when the system was booted with a HotPatchTableSize. */
  readonly hpat: HotPatchAddressTable | undefined;
  /** The image section that it is a view of. */
  readonly section: ImageSection;
  /** Behind the HPAT of a kernel image, in a system with retpoline; in build 26100 it is KSCP. */
  readonly retpolinePage: bigint | undefined;
  /** Behind the HPAT of a process's image in build 26100 (modelled: before or behind is not public). */
  readonly speculationControlPage: bigint | undefined;
  /** A driver that is mapped with 2 MB pages. */
  readonly largePages: boolean;
  readonly #fields: LoadedImageFields;
  #codeBytesBeforePatch: Uint8Array | undefined;

  static {
    fieldsOf = (image) => image.#fields;
    rememberCode = (image) => {
      image.#codeBytesBeforePatch = image.codeBytes();
    };
  }

  constructor(details: LoadedImageDetails) {
    this.baseDllName = details.baseDllName;
    this.dllBase = details.dllBase;
    this.image = details.image;
    this.domain = details.domain;
    this.symbols = details.symbols;
    this.loadReason = details.loadReason;
    this.hpat = details.hpat;
    this.section = details.section;
    this.retpolinePage = details.retpolinePage;
    this.speculationControlPage = details.speculationControlPage;
    this.largePages = details.largePages;
    this.#fields = {
      referenceCount: 1,
      dependencies: [],
      imports: [],
      driverObject: undefined,
      initialized: false,
      hearsOfThreads: true,
      hotPatchState: details.loadReason === 'PatchImage' ? 'NotApplied' : 'BaseImage',
      activePatchImageBase: undefined,
      jumpHpat: undefined,
    };
  }

  /** Loads minus unloads; the last unload takes the image out. */
  get referenceCount(): number {
    return this.#fields.referenceCount;
  }

  /** Images that it imports from and holds a reference on. */
  get dependencies(): readonly LoadedImage[] {
    return this.#fields.dependencies;
  }

  /** How its imports were bound. */
  get imports(): readonly BoundImport[] {
    return this.#fields.imports;
  }

  /** DRIVER_OBJECT of a driver. */
  get driverObject(): bigint | undefined {
    return this.#fields.driverObject;
  }

  /** Has its entry point run? */
  get initialized(): boolean {
    return this.#fields.initialized;
  }

  /** Does it hear of threads that start and end? DisableThreadLibraryCalls says no. */
  get hearsOfThreads(): boolean {
    return this.#fields.hearsOfThreads;
  }

  /** LDR_HOT_PATCH_STATE, as the loader's entry has it. */
  get hotPatchState(): LdrHotPatchState {
    return this.#fields.hotPatchState;
  }

  /** DllBase of the newest patch image that is applied to this one. */
  get activePatchImageBase(): bigint | undefined {
    return this.#fields.activePatchImageBase;
  }

  /** `__guard_retpoline_jump_hpat` in the image's retpoline page, in a system with retpoline. */
  get jumpHpat(): bigint | undefined {
    return this.#fields.jumpHpat;
  }

  /** `demo` of `demo.dll`: how WinDbg writes it before the `!`. */
  get moduleName(): string {
    return this.baseDllName.replace(/\.[^.]*$/, '');
  }

  /** Bytes, as in the optional header. */
  get sizeOfImage(): number {
    return this.image.optionalHeader.sizeOfImage;
  }

  /** Of the optional header. */
  get checkSum(): number {
    return this.image.optionalHeader.checkSum;
  }

  /** Of the file header, in seconds since 1970, or a hash. */
  get timeDateStamp(): number {
    return this.image.fileHeader.timeDateStamp;
  }

  /** Address of DriverEntry or DllMain; undefined when the image has none. */
  get entryPoint(): bigint | undefined {
    const rva = this.image.optionalHeader.addressOfEntryPoint;
    return rva === 0 ? undefined : this.address(rva);
  }

  /** Is this address in the image, or in its HPAT, retpoline or SCP page, which belong to it? */
  contains(address: bigint): boolean {
    if (typeof address !== 'bigint') assertAddress(address);
    return address >= this.dllBase && (this.#inImage(address) || this.#inExtension(address));
  }

  #inImage(address: bigint): boolean {
    return address < this.dllBase + BigInt(this.sizeOfImage);
  }

  /** Where the view ends: behind HPAT, retpoline or SCP page. */
  get viewEnd(): bigint {
    const page = this.retpolinePage ?? this.speculationControlPage;
    if (page !== undefined) return page + 0x1000n;
    if (this.hpat !== undefined) return this.hpat.base + BigInt(this.hpat.reserveSize);
    return this.dllBase + ((BigInt(this.sizeOfImage) + 0xfffn) & ~0xfffn);
  }

  /** Is this address in what lies behind the image: HPAT, retpoline or SCP page? Their protection is the kernel's alone. */
  isExtension(address: bigint): boolean {
    if (typeof address !== 'bigint') assertAddress(address);
    return address >= this.dllBase && !this.#inImage(address) && this.#inExtension(address);
  }

  #inExtension(address: bigint): boolean {
    const page = this.retpolinePage ?? this.speculationControlPage;
    return (
      this.hpat?.contains(address) === true ||
      (page !== undefined && address >= page && address < page + 0x1000n)
    );
  }

  /** The address of an RVA. */
  address(rva: number): bigint {
    if (!Number.isSafeInteger(rva)) assertArgument(RVA, rva, 'address(rva)');
    return this.dllBase + BigInt(rva);
  }

  /** The RVA of an address. */
  rva(address: bigint): number {
    if (typeof address !== 'bigint') assertAddress(address);
    return Number(address - this.dllBase);
  }

  /** Address of a symbol, or of `offset` bytes behind it. */
  symbol(name: string, offset = 0): bigint {
    if (!Number.isSafeInteger(offset))
      throw new KernelError({
        rule: 'address',
        status: 'STATUS_INVALID_PARAMETER',
        image: this.baseDllName,
        place: name,
        message: `${offset} is no whole number of bytes`,
      });
    assertArgument(TEXT, name, 'symbol(name)');
    const symbol = this.symbols.byName(name);
    const exported = symbol === undefined ? this.exportRva(name) : undefined;
    const rva = symbol?.rva ?? exported;
    if (rva === undefined)
      throw new KernelError({
        rule: 'symbolNotFound',
        status: 'STATUS_PROCEDURE_NOT_FOUND',
        image: this.baseDllName,
        message: `there is no symbol '${name}'`,
        hint: 'give a map file or a PDB of this very build, or an address as +0xRVA',
      });
    return this.address(rva + offset);
  }

  /** RVA of a function that it exports by this name. */
  exportRva(name: string): number | undefined {
    assertArgument(TEXT, name, 'exportRva(name)');
    return this.image.exports?.functions.find((entry) => entry.name === name)?.rva;
  }

  /** Sections whose characteristics allow writing. */
  get writableSections(): readonly Section[] {
    return this.image.sections.filter(isWritable);
  }

  /** Sections whose characteristics allow execution. */
  get executableSections(): readonly Section[] {
    return this.image.sections.filter(isExecutable);
  }

  /** Is it in its address space? */
  get isMapped(): boolean {
    return this.domain.images.includes(this);
  }

  /** @throws KernelError `imageNotMapped` when it has been taken out, as the end of its process does */
  assertMapped(): void {
    if (this.isMapped) return;
    const { domain } = this;
    const ended = domain.process?.exitStatus;
    const why = ended === undefined ? 'it was unloaded' : `the process has ended with ${hex(ended)}`;
    throw new KernelError({
      rule: 'imageNotMapped',
      status: 'STATUS_NOT_MAPPED_VIEW',
      image: this.baseDllName,
      place: domain.name,
      message: `is no longer in ${domain.name}: ${why}`,
      hint: 'what was in it before is in a dump or a snapshot that was taken then; image.image is the file',
    });
  }

  /** A pointer of the image's own size, as data reads see it now. */
  readPointer(rva: number): bigint {
    this.assertMapped();
    return readPointer(this.domain.addressSpace, this.address(rva), this.domain.architecture.pointerSize);
  }

  /** Stores a pointer as the loader does, also into pages that the guest may only read. */
  writePointer(rva: number, value: bigint): void {
    assertArgument(VALUE, value, 'writePointer(value)');
    this.assertMapped();
    const { addressSpace, architecture, machine } = this.domain;
    const address = this.address(rva);
    if (addressSpace.query(address).protection?.startsWith('PAGE_EXECUTE') === true) {
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
      machine.writeCode(addressSpace, address, bytes.subarray(0, architecture.pointerSize));
    } else writePointer(addressSpace, address, value, architecture.pointerSize);
  }

  /**
   * The bytes of all executable sections as data reads see them now, one section after the other.
   * @throws KernelError `imageNotMapped`
   */
  codeBytes(): Uint8Array {
    this.assertMapped();
    return concatenate(
      this.executableSections.map((section) =>
        this.domain.addressSpace.read(this.address(section.virtualAddress), section.virtualSize),
      ),
    );
  }

  /** {@link codeBytes} as it was when the image had been loaded: relocated, and not patched. */
  get codeBytesBeforePatch(): Uint8Array {
    this.#codeBytesBeforePatch ??= concatenate(
      this.executableSections.map(({ virtualAddress, virtualSize }) =>
        this.section.layout.subarray(virtualAddress, virtualAddress + virtualSize),
      ),
    );
    return this.#codeBytesBeforePatch;
  }

  /** `demo!dispatch+0x9`, `demo!HPAT[3].code`, or `demo+0x1234` where no symbol is near. */
  describe(address: bigint): string {
    if (typeof address !== 'bigint') assertAddress(address);
    const slot = this.hpat?.contains(address) ? this.#describeSlot(address, this.hpat) : undefined;
    if (slot !== undefined) return slot;
    if (this.retpolinePage !== undefined && address >= this.retpolinePage)
      return `${this.moduleName}!retpoline+0x${(address - this.retpolinePage).toString(16)}`;
    if (this.speculationControlPage !== undefined && address >= this.speculationControlPage)
      return `${this.moduleName}!SCP+0x${(address - this.speculationControlPage).toString(16)}`;
    const rva = this.rva(address);
    const near = this.symbols.byAddress(rva);
    if (near === undefined) return `${this.moduleName}+0x${rva.toString(16)}`;
    const offset = near.offset === 0 ? '' : `+0x${near.offset.toString(16)}`;
    return `${this.moduleName}!${near.symbol.name}${offset}`;
  }

  /**
   * `demo!dispatch+0x9 (demo.c:42)` where source lines are known, else as {@link describe}.
   * @param isReturn the address is one that a call returns to: the line is that of the call
   */
  describeCode(address: bigint, isReturn = false): string {
    assertArgument(FLAG, isReturn, 'describeCode(isReturn)');
    if (typeof address !== 'bigint') assertAddress(address);
    const line = this.symbols.lines?.byAddress(this.rva(address) - Number(isReturn));
    const name = line?.file.name.split(/[\\/]/).at(-1);
    return name === undefined ? this.describe(address) : `${this.describe(address)} (${name}:${line?.line})`;
  }

  #describeSlot(address: bigint, hpat: HotPatchAddressTable): string {
    const code = hpat.indexOf(address & ~7n);
    const data = hpat.layout === 'pairs' ? hpat.indexOf((address & ~7n) - 0x1000n) : code;
    const within = (address & 7n) === 0n ? '' : `+0x${(address & 7n).toString(16)}`;
    if (code !== undefined && hpat.layout === 'pairs')
      return `${this.moduleName}!HPAT[${code}].code${within}`;
    if (data !== undefined) return `${this.moduleName}!HPAT[${data}].data${within}`;
    return `${this.moduleName}!HPAT+0x${(address - hpat.base).toString(16)}`;
  }

  /** What identifies it, where it is printed. */
  toJSON() {
    return {
      baseDllName: this.baseDllName,
      dllBase: `0x${this.dllBase.toString(16)}`,
      domain: this.domain.name,
      hotPatchState: this.hotPatchState,
    };
  }

  get [Symbol.toStringTag](): string {
    return 'LoadedImage';
  }

  [INSPECT](): string {
    return printed(this[Symbol.toStringTag], this.toJSON());
  }
}

/** The loader's own way to change what it knows of an image. The process sees it too, in its own loader data. */
export function changeImage(image: LoadedImage, fields: Partial<LoadedImageFields>): void {
  Object.assign(fieldsOf(image), fields);
  if (IN_ENTRY.some((name) => name in fields)) image.domain.process?.environment?.ldr.update(image);
}

export function addReference(image: LoadedImage): void {
  changeImage(image, { referenceCount: image.referenceCount + 1 });
}

/** For the loader, when imports were bound inside executable sections: the code is now as it was loaded. */
export function rememberLoadedCode(image: LoadedImage): void {
  rememberCode(image);
}

/** For the engine: what the loader's entry says of hotpatches. */
export function changeHotPatchState(
  image: LoadedImage,
  fields: Partial<Pick<LoadedImageFields, 'hotPatchState' | 'activePatchImageBase'>>,
): void {
  changeImage(image, fields);
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
