import {
  type Architecture,
  type ArchitectureName,
  CpuError,
  formatAddress,
  PAGE_SIZE,
} from '../../cpu/index.js';
import { PeImage, type Section, type SymbolTable, symbolsFromExports } from '../../image/index.js';
import {
  ADDRESS,
  assertArgument,
  FLAG,
  hex,
  instanceOf,
  KernelError,
  OBJECT,
  type OptionTable,
  optional,
  optionsOf,
  TEXT,
  wordOf,
} from '../common/index.js';
import { type BoundImport, bindImports, resolveImports } from './bind-imports.js';
import { HotPatchAddressTable } from './hpat.js';
import { forgetImage, holdImage, type ImageDomain } from './image-domain.js';
import { initializeImage, uninitializeImage } from './image-initialization.js';
import { isProgram } from './image-kind.js';
import { hpatOffset, ImageSection, LARGE_PAGE_ALIGNMENT } from './image-section.js';
import { bindGuardFunctions, setSecurityCookie } from './image-security.js';
import {
  addReference,
  changeImage,
  LoadedImage,
  type LoadReason,
  rememberLoadedCode,
} from './loaded-image.js';
import { refuseStoresElsewhere } from './loader-stores.js';
import { imageViews } from './map-image.js';
import type { LoaderOwner } from './owners.js';
import {
  applyRetpoline,
  mapRetpolinePage,
  mapSpeculationControlPage,
  RETPOLINE_PAGE_SIZE,
} from './retpoline.js';

/** How an image is loaded. */
export interface LoadOptions {
  /** BaseDllName; default: the file's name. */
  readonly name?: string;
  /** Names of what is in the image. Default: what it exports. */
  readonly symbols?: SymbolTable | undefined;
  /** What it is loaded as. Default: an ordinary image. */
  readonly loadReason?: LoadReason;
  /** Run the image's entry point (DriverEntry, DllMain). Default true, but for patch images. */
  readonly initialize?: boolean;
  /** Where to load it, for a driver or a secure image that must not lie beside the others; a multiple of 64 KB. */
  readonly dllBase?: bigint | undefined;
  /** Map a driver with 2 MB pages: its HPAT lies behind its end rounded up to 2 MB. */
  readonly largePages?: boolean;
}

/** What {@link LoadOptions} may be. */
export const LOAD_OPTIONS: OptionTable<LoadOptions> = {
  name: optional(TEXT),
  symbols: optional(OBJECT),
  loadReason: optional(wordOf(['StaticDependency', 'DynamicLoad', 'PatchImage'])),
  initialize: optional(FLAG),
  dllBase: optional(ADDRESS),
  largePages: optional(FLAG),
};

const LOADING = optionsOf(LOAD_OPTIONS);
const PE_IMAGE = instanceOf(PeImage, 'an image: what readImage returns');

/** What a call that loads an image is given. */
export function assertLoading(image: unknown, options: unknown, place: string): void {
  assertArgument(PE_IMAGE, image, `${place}(image)`);
  assertArgument(LOADING, options, `${place}(options)`);
}

/** What is public of pages against speculation: x64's alone (docs/fidelity.md#builds-of-windows). */
const SPECULATION_PAGES: Readonly<
  Record<ArchitectureName, { readonly user: boolean; readonly kernel: boolean }>
> = {
  x64: { user: true, kernel: true },
  x86: { user: false, kernel: false },
  arm64: { user: false, kernel: false },
};

/**
 * Loads images into any domain, in one order: map the image and everything it imports, bind, prepare (cookie, guard,
 * thread-local storage), tell the load-image routines, and only then run the first instruction. Nothing is left behind
 * when any of that fails, unless the system has stopped.
 */
export class ImageLoader {
  #depth = 0;

  constructor(private readonly kernel: LoaderOwner) {}

  /** Is it loading or unloading an image, whose code may run meanwhile? */
  get isBusy(): boolean {
    return this.#depth > 0;
  }

  load(domain: ImageDomain, image: PeImage, options: LoadOptions): LoadedImage {
    this.kernel.bugChecks.assertRunning(`load ${options.name ?? fileName(image)}`);
    return this.#busy(() => this.#load(domain, image, options));
  }

  #busy<T>(action: () => T): T {
    this.#depth += 1;
    try {
      return action();
    } finally {
      this.#depth -= 1;
    }
  }

  #load(domain: ImageDomain, image: PeImage, options: LoadOptions): LoadedImage {
    const name = options.name ?? fileName(image);
    const known = options.loadReason === 'PatchImage' ? undefined : this.#loaded(domain, image, name);
    if (known !== undefined) return known;
    readDirectories(image);
    const batch: LoadedImage[] = [];
    try {
      const loaded = this.#map(domain, image, { ...options, name }, batch);
      for (const each of batch) this.#snap(each);
      for (const each of batch) this.kernel.imageMapped(each);
      for (const each of batch)
        if (each !== loaded || (options.initialize ?? options.loadReason !== 'PatchImage'))
          initializeImage(this.kernel, each);
      return loaded;
    } catch (error) {
      if (this.kernel.bugChecks.current === undefined) for (const each of batch.reverse()) this.unload(each);
      throw error;
    }
  }

  /** Gives back one reference; the last one runs DllMain or DriverUnload and takes the image out. */
  release(loaded: LoadedImage): void {
    loaded.assertMapped();
    this.kernel.bugChecks.assertRunning(`unload ${loaded.baseDllName}`);
    changeImage(loaded, { referenceCount: loaded.referenceCount - 1 });
    if (loaded.referenceCount > 0) return;
    this.#busy(() => {
      uninitializeImage(this.kernel, loaded);
      this.unload(loaded);
      for (const dependency of loaded.dependencies) this.release(dependency);
    });
  }

  /** Takes the image and its HPAT out of the address space. The caller makes sure that nothing runs in it. */
  unload(loaded: LoadedImage): void {
    const { domain } = loaded;
    if (!forgetImage(domain, loaded)) return;
    domain.guard.removeImage(loaded.dllBase);
    domain.process?.environment?.removeTlsImage(loaded);
    domain.process?.environment?.ldr.remove(loaded);
    this.kernel.loadedModules.remove(loaded);
    if (loaded.driverObject !== undefined) this.kernel.io.drivers.forget(domain, loaded.driverObject);
    changeImage(loaded, { driverObject: undefined });
    loaded.section.unmap(domain.table);
    const { hpat } = loaded;
    const page = loaded.retpolinePage ?? loaded.speculationControlPage;
    if (hpat !== undefined) domain.table.release(hpat.base, hpat.reserveSize / PAGE_SIZE);
    if (page !== undefined) domain.table.release(page, RETPOLINE_PAGE_SIZE / PAGE_SIZE);
    this.kernel.imageUnmapped(loaded);
  }

  #loaded(domain: ImageDomain, image: PeImage, name: string): LoadedImage | undefined {
    const known = domain.images.find((each) => each.baseDllName.toLowerCase() === name.toLowerCase());
    if (known === undefined) return undefined;
    if (known.loadReason === 'PatchImage')
      throw new KernelError({
        rule: 'loadedAsPatchImage',
        status: 'STATUS_IMAGE_LOADED_AS_PATCH_IMAGE',
        image: name,
        message: 'is in this address space as a patch image already',
      });
    if (domain.kind !== 'user')
      throw new KernelError({
        rule: 'alreadyLoaded',
        status: 'STATUS_IMAGE_ALREADY_LOADED',
        image: name,
        message: `is loaded already in ${domain.name}`,
      });
    if (known.image === image || known.checkSum === image.optionalHeader.checkSum) addReference(known);
    return known;
  }

  /** Maps an image, then what it imports that is not there; `batch` gets them in the order in which they are initialised. */
  #map(
    domain: ImageDomain,
    image: PeImage,
    options: LoadOptions & { name: string },
    batch: LoadedImage[],
  ): LoadedImage {
    const { name, loadReason = 'DynamicLoad' } = options;
    refuseOtherMachine(domain.architecture, domain.name, image, name);
    refuseStoresElsewhere(image, name);
    const section = this.#openSection(domain, image, options);
    const hpatBase = section.dllBase + BigInt(hpatOffset(image, options.largePages === true));
    const reserve = this.kernel.hotPatchReserveSize;
    const { table } = domain;
    mapWhole(section, domain);
    const made: bigint[] = [];
    try {
      const hpat =
        reserve === 0
          ? undefined
          : new HotPatchAddressTable(hpatBase, reserve, domain.addressSpace, table, this.kernel.hpatLayout);
      if (hpat !== undefined) made.push(hpatBase);
      const lastPage = hpatBase + BigInt(reserve);
      const retpolinePage = this.#hasRetpolinePage(domain) ? lastPage : undefined;
      const speculationControlPage = this.#hasSpeculationControlPage(domain) ? lastPage : undefined;
      const loaded = new LoadedImage({
        baseDllName: name,
        dllBase: section.dllBase,
        image,
        domain,
        section,
        symbols: options.symbols ?? symbolsFromExports(image),
        loadReason,
        hpat,
        retpolinePage,
        speculationControlPage,
        largePages: options.largePages === true,
      });
      holdImage(domain, loaded);
      domain.process?.environment?.ldr.add(loaded);
      this.kernel.loadedModules.add(loaded);
      if (retpolinePage !== undefined) {
        const kind = this.kernel.speculationControlPages ? 'KSCP' : 'RETPOL';
        const jumpHpat = mapRetpolinePage(domain, retpolinePage, kind);
        if (this.kernel.retpoline) changeImage(loaded, { jumpHpat });
      }
      if (speculationControlPage !== undefined) mapSpeculationControlPage(domain, speculationControlPage);
      const stubs = retpolinePage ?? speculationControlPage;
      domain.guard.addImage(
        section.dllBase,
        image,
        stubs === undefined ? lastPage : stubs + BigInt(RETPOLINE_PAGE_SIZE),
      );
      this.#mapDependencies(domain, loaded, batch);
      batch.push(loaded);
      return loaded;
    } catch (error) {
      const half = domain.images.find((each) => each.section === section && !batch.includes(each));
      if (half !== undefined) this.unload(half);
      else {
        section.unmap(table);
        for (const base of made) table.release(base, reserve / PAGE_SIZE);
      }
      throw error;
    }
  }

  #openSection(
    domain: ImageDomain,
    image: PeImage,
    { name, dllBase, largePages = false }: LoadOptions & { name: string },
  ): ImageSection {
    const span = hpatOffset(image, largePages) + this.kernel.hotPatchReserveSize + RETPOLINE_PAGE_SIZE;
    const create = () => {
      const stripped = image.isRelocationStripped && domain.kind === 'user';
      const base = stripped
        ? image.optionalHeader.imageBase
        : (dllBase ?? domain.imageRegion.allocate(span, largePages ? LARGE_PAGE_ALIGNMENT : undefined));
      const reserveEnd = base + BigInt(span - RETPOLINE_PAGE_SIZE);
      const finish =
        this.kernel.retpoline && this.#hasRetpolinePage(domain)
          ? (layout: Uint8Array) => applyRetpoline(image, layout, Number(reserveEnd - base))
          : undefined;
      return new ImageSection(this.kernel.machine, image, name, base, finish);
    };
    if (sharingOf(domain) === 'private') return create();
    const world = domain.kind === 'session' ? 'session' : `user${domain.architecture.pointerSize * 8}`;
    const section = this.kernel.sections.open(world, image, name, create);
    // A second view in the same address space lies elsewhere, relocated for itself (STATUS_IMAGE_NOT_AT_BASE).
    return domain.table.query(section.dllBase).state === 'free' ? section : create();
  }

  /** Of x64, which is all that is public; only what is hotpatchable has one (docs/fidelity.md#builds-of-windows). */
  #hasSpeculationControlPage(domain: ImageDomain): boolean {
    const { speculationControlPages, hotPatchReserveSize } = this.kernel;
    const { user } = SPECULATION_PAGES[domain.architecture.name];
    return speculationControlPages && hotPatchReserveSize !== 0 && domain.kind === 'user' && user;
  }

  /** The stubs are x64's, for drivers (docs/fidelity.md#hpat-and-trampolines). */
  #hasRetpolinePage(domain: ImageDomain): boolean {
    return (
      (this.kernel.retpoline || this.kernel.speculationControlPages) &&
      SPECULATION_PAGES[domain.architecture.name].kernel &&
      domain.kind !== 'user' &&
      domain.kind !== 'secure'
    );
  }

  #mapDependencies(domain: ImageDomain, loaded: LoadedImage, batch: LoadedImage[]): void {
    for (const { module } of loaded.image.imports) {
      const known = domain.findImage(module);
      if (known !== undefined) {
        if (known !== loaded && !loaded.dependencies.includes(known) && known.domain === domain) {
          addReference(known);
          addDependency(loaded, known);
        }
        continue;
      }
      const file = this.kernel.files.find(module, domain.architecture.name);
      if (file === undefined) continue;
      const options = { ...file.options, name: file.name, loadReason: 'StaticDependency' as const };
      addDependency(loaded, this.#map(domain, file.image, options, batch));
    }
  }

  /** What nobody exports is told at once, all of it: calling it stops the call. */
  #tellMissing(loaded: LoadedImage, imports: readonly BoundImport[]): void {
    const missing = imports.filter(({ origin }) => origin === 'missing');
    if (missing.length === 0) return;
    for (const { module, name } of missing)
      loaded.domain.services.noteImporter(module, name, loaded.baseDllName);
    const names = missing.map(({ module, name }) => `${module}!${name}`).join(', ');
    this.kernel.events.emit({
      kind: 'importsMissing',
      text: `${loaded.baseDllName} imports ${missing.length} that nothing exports here: ${names}`,
    });
  }

  /** Binds and prepares an image whose dependencies are all mapped. */
  #snap(loaded: LoadedImage): void {
    const { domain, image } = loaded;
    const imports = resolveImports(image, domain);
    changeImage(loaded, { imports });
    bindImports(loaded, imports);
    this.#tellMissing(loaded, imports);
    if (loaded.executableSections.some((section) => imports.some(({ iatRva }) => isInside(section, iatRva))))
      rememberLoadedCode(loaded);
    setSecurityCookie(loaded, this.kernel.layoutRandom);
    bindGuardFunctions(loaded);
    domain.process?.environment?.addTlsImage(loaded);
    if (isProgram(image) && domain.process !== undefined && loaded.loadReason !== 'PatchImage') {
      domain.process.environment?.setImageBase(loaded.dllBase);
    }
    this.#announce(loaded, imports);
  }

  #announce(loaded: LoadedImage, imports: readonly BoundImport[]): void {
    const { name } = loaded.domain.architecture;
    const missing = imports
      .filter((entry) => entry.origin === 'missing')
      .map((entry) => `${entry.module}!${entry.name}`);
    const where = loaded.domain === this.kernel.system ? '' : ` in ${loaded.domain.name}`;
    this.kernel.events.emit({
      kind: 'imageLoaded',
      text:
        `loaded ${loaded.baseDllName}${where} at ${formatAddress(name, loaded.dllBase)}, size ${hex(loaded.sizeOfImage)}, ` +
        `checksum ${hex(loaded.checkSum)}, timestamp ${hex(loaded.timeDateStamp)}` +
        (loaded.hpat === undefined ? '' : `; HPAT reserved at ${formatAddress(name, loaded.hpat.base)}`) +
        (missing.length === 0 ? '' : `; not modelled: ${missing.join(', ')}`),
    });
  }
}

function addDependency(loaded: LoadedImage, dependency: LoadedImage): void {
  changeImage(loaded, { dependencies: [...loaded.dependencies, dependency] });
}

/** Refuses what cannot be loaded, before a process is created for it. */
export function assertLoadable(image: PeImage): void {
  readDirectories(image);
  refuseStoresElsewhere(image, fileName(image));
  imageViews(image, fileName(image));
}

/** Reads everything that loading will need, so that a broken image is refused before anything has been done. */
function readDirectories(image: PeImage): void {
  void [image.relocations, image.imports, image.delayImports, image.exports, image.tls, image.loadConfig];
  void [image.guard, image.functionTable];
}

/** Maps the section, or leaves nothing of it; pages that lie in the way belong to another image and stay. */
function mapWhole(section: ImageSection, domain: ImageDomain): void {
  try {
    section.map(domain.table, sharingOf(domain));
  } catch (error) {
    const inTheWay = error instanceof CpuError && error.status?.name === 'STATUS_CONFLICTING_ADDRESSES';
    if (!inTheWay) section.unmap(domain.table);
    throw error;
  }
}

export function fileName(image: PeImage): string {
  return image.file?.replace(/^.*[\\/]/, '') ?? 'image';
}

function isInside({ virtualAddress, sizeInMemory }: Section, rva: number): boolean {
  return rva >= virtualAddress && rva < virtualAddress + sizeInMemory;
}

/** Processes and sessions share the pages of an image; kernel space and VTL1 exist once. */
function sharingOf(domain: ImageDomain): 'private' | 'copyOnWrite' {
  return domain.kind === 'user' || domain.kind === 'session' ? 'copyOnWrite' : 'private';
}

export function refuseOtherMachine(
  architecture: Architecture,
  where: string,
  image: PeImage,
  name: string,
): void {
  if (image.architecture === architecture.name) return;
  throw new KernelError({
    rule: 'machineMismatch',
    status: 'STATUS_IMAGE_MACHINE_TYPE_MISMATCH',
    image: name,
    message: `is for ${image.architecture}, ${where} runs ${architecture.name} code`,
  });
}
