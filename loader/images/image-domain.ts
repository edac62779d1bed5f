import type { AddressSpace, Architecture, Machine, PageTable, Ring } from '../../cpu/index.js';
import {
  assertAddress,
  assertArgument,
  INSPECT,
  printed,
  processTerminated,
  SIZE,
  TEXT,
  wordOf,
} from '../common/index.js';
import { type AddressRegion, freeMemory, type ImageWriter, type MemoryArea } from '../memory/index.js';
import type { ControlFlowGuard } from './control-flow-guard.js';
import type { LoadedImage } from './loaded-image.js';
import type { ExportSource, ImageProcess, ImageSession } from './owners.js';

/**
 * `driver`: kernel space, in PsLoadedModuleList. `session`: a driver in one session's space. `user`: a process. `secure`:
 * VTL1, invisible to NT.
 */
export type ImageKind = 'driver' | 'session' | 'user' | 'secure';

export interface ImageDomainDetails {
  readonly kind: ImageKind;
  readonly name: string;
  readonly machine: Machine;
  /** Of the code that is loaded here: x86 in a WOW64 process. */
  readonly architecture: Architecture;
  /** What code of this domain sees. */
  readonly addressSpace: AddressSpace;
  /** The part of it that the images are in. */
  readonly table: PageTable;
  readonly imageRegion: AddressRegion;
  readonly stacks: MemoryArea;
  readonly pool: MemoryArea;
  readonly services: ExportSource;
  readonly writer: ImageWriter;
  readonly guard: ControlFlowGuard;
  /** The system's domain for a session's: its images are there too. */
  readonly parent?: ImageDomain;
}

const AREA = wordOf(['pool', 'stacks']);

interface DomainOwner {
  readonly process?: ImageProcess;
  readonly session?: ImageSession | undefined;
}

let imagesOf: (domain: ImageDomain) => LoadedImage[];
let giveTo: (domain: ImageDomain, owner: DomainOwner) => void;

/** One place that images are loaded into, with its list of them: the kernel, a session, a process, or VTL1. */
export class ImageDomain {
  /** Kernel, session, user or secure. */
  readonly kind: ImageKind;
  /** `system`, `session 1`, `mail.exe (12)`, `vtl1`. */
  readonly name: string;
  /** The machine that it is a part of. */
  readonly machine: Machine;
  /** Of the code that runs in it. */
  readonly architecture: Architecture;
  /** What its code sees. */
  readonly addressSpace: AddressSpace;
  /** The page table of the part that its images are in. */
  readonly table: PageTable;
  /** Where its images go. */
  readonly imageRegion: AddressRegion;
  /** Where stacks of its threads are allocated. */
  readonly stacks: MemoryArea;
  /** Where other memory is allocated for it. */
  readonly pool: MemoryArea;
  /** The simulated exports that images of this domain can import. */
  readonly services: ExportSource;
  /** How the engine changes the images of this domain. */
  readonly writer: ImageWriter;
  /** Which addresses indirect calls of this domain may go to. */
  readonly guard: ControlFlowGuard;
  readonly #images: LoadedImage[] = [];
  #process: ImageProcess | undefined;
  #session: ImageSession | undefined;
  /** The system's domain, of a session's; otherwise undefined. */
  readonly parent: ImageDomain | undefined;

  static {
    imagesOf = (domain) => domain.#images;
    giveTo = (domain, { process, session }) => {
      domain.#process = process;
      domain.#session = session;
    };
  }

  constructor(details: ImageDomainDetails) {
    this.kind = details.kind;
    this.name = details.name;
    this.machine = details.machine;
    this.architecture = details.architecture;
    this.addressSpace = details.addressSpace;
    this.table = details.table;
    this.imageRegion = details.imageRegion;
    this.stacks = details.stacks;
    this.pool = details.pool;
    this.services = details.services;
    this.writer = details.writer;
    this.guard = details.guard;
    this.parent = details.parent;
  }

  /** In load order: PsLoadedModuleList, or PEB.Ldr's InLoadOrderModuleList. */
  get images(): readonly LoadedImage[] {
    return this.#images;
  }

  /** Of a `user` domain. */
  get process(): ImageProcess | undefined {
    return this.#process;
  }

  /** Of a `session` domain, and of the process of a `user` domain that belongs to a session. */
  get session(): ImageSession | undefined {
    return this.#session;
  }

  /** The ring that code of this domain runs in. */
  get ring(): Ring {
    return this.kind === 'user' ? 3 : 0;
  }

  /** The trust level that code of this domain runs in. */
  get vtl(): 0 | 1 {
    return this.kind === 'secure' ? 1 : 0;
  }

  /**
   * Commits zeroed memory for the guest to use; returns its address.
   * @throws KernelError `processTerminated`
   */
  allocateMemory(area: 'pool' | 'stacks', size: number): bigint {
    assertArgument(AREA, area, 'allocateMemory(area)');
    assertArgument(SIZE, size, 'allocateMemory(size)');
    this.#assertAlive();
    return this[area].allocate(size);
  }

  #assertAlive(): void {
    if (this.#process?.terminated === true) throw processTerminated(this.name);
  }

  /** Gives memory back that was allocated here; `size` in bytes. */
  freeMemory(address: bigint, size: number): void {
    assertAddress(address);
    assertArgument(SIZE, size, 'freeMemory(size)');
    freeMemory(this.addressSpace, address, size);
    for (const { region } of [this.stacks, this.pool]) region.free(address, size);
  }

  /** By file name, in any case, with or without its extension. */
  findImage(name: string): LoadedImage | undefined {
    assertArgument(TEXT, name, 'findImage(name)');
    const wanted = name.toLowerCase();
    return (
      this.images.find((image) => image.baseDllName.toLowerCase() === wanted) ??
      this.images.find((image) => image.moduleName.toLowerCase() === wanted) ??
      this.parent?.findImage(name)
    );
  }

  /** The image that the address is in, here or in {@link parent}. */
  imageAt(address: bigint): LoadedImage | undefined {
    if (typeof address !== 'bigint') assertAddress(address);
    return this.images.find((image) => image.contains(address)) ?? this.parent?.imageAt(address);
  }

  /** What identifies it, where it is printed. */
  toJSON() {
    return { kind: this.kind, name: this.name, images: this.images.length };
  }

  get [Symbol.toStringTag](): string {
    return 'ImageDomain';
  }

  [INSPECT](): string {
    return printed(this[Symbol.toStringTag], this.toJSON());
  }
}

/** Says whose it is, once: process and session are made in a domain that is there already. */
export function giveDomain(domain: ImageDomain, owner: DomainOwner): void {
  if (domain.process !== undefined || domain.session !== undefined)
    throw new Error(`${domain.name} belongs to somebody already`);
  giveTo(domain, owner);
}

/** An image is in it from now on. */
export function holdImage(domain: ImageDomain, image: LoadedImage): void {
  imagesOf(domain).push(image);
}

/** An image is in it no more; false when it was not. */
export function forgetImage(domain: ImageDomain, image: LoadedImage): boolean {
  const images = imagesOf(domain);
  const index = images.indexOf(image);
  if (index >= 0) images.splice(index, 1);
  return index >= 0;
}
