import type { AddressSpace, Processor } from '../../cpu/index.js';
import type { PeImage } from '../../image/index.js';
import { type ImageDomain, LdrTable, type LoadedImage } from '../images/index.js';
import {
  type MakeRegion,
  MemoryArea,
  type Pool,
  readPointer,
  USER_SPACE,
  writePointer,
} from '../memory/index.js';
import type { ThreadEnvironment, ThreadStack } from '../threads/index.js';

/** Offsets in TEB and PEB (public PDBs; ntpsapi.h and ntpebteb.h of the public native-API headers). */
const OFFSETS = {
  8: {
    teb: {
      stackBase: 8,
      stackLimit: 0x10,
      self: 0x30,
      clientId: 0x40,
      tls: 0x58,
      peb: 0x60,
      lastError: 0x68,
      deallocationStack: 0x1478,
    },
    peb: { imageBaseAddress: 0x10, processHeap: 0x30, crossProcessFlags: 0x50, sessionId: 0x2c0 },
    tlsSlots: 0x1480,
  },
  4: {
    teb: {
      stackBase: 4,
      stackLimit: 8,
      self: 0x18,
      clientId: 0x20,
      tls: 0x2c,
      peb: 0x30,
      lastError: 0x34,
      deallocationStack: 0xe0c,
    },
    peb: { imageBaseAddress: 8, processHeap: 0x18, crossProcessFlags: 0x28, sessionId: 0x1d4 },
    tlsSlots: 0xe10,
  },
} as const;

/** EXCEPTION_REGISTRATION_RECORD of nobody: NtTib.ExceptionList of a thread without handlers (x86). */
const END_OF_CHAIN = 0xffff_ffffn;

const TEB_SIZE = 0x2000;
/** The vector of thread-local storage blocks lies behind the TEB: one pointer for each image with a TLS directory. */
const TLS_VECTOR_SIZE = 0x1000;
const PEB_SIZE = 0x1000;
/** What the C runtime keeps for each thread lies behind its vector. */
const RUNTIME_THREAD_SIZE = 0x1000;
/** What the C runtime keeps for the process. */
const RUNTIME_PROCESS_SIZE = 0x8000;
const TEB_AREA_SIZE = TEB_SIZE + TLS_VECTOR_SIZE + RUNTIME_THREAD_SIZE;
/** PEB.CrossProcessFlags (docs/fidelity.md#the-system-around-it). */
const PROCESS_IMAGES_HOT_PATCHED = 0x80;

interface TlsModule {
  readonly index: number;
  readonly image: LoadedImage;
  readonly template: Uint8Array;
  readonly size: number;
}

/** Of the process that it is kept in. */
export interface EnvironmentDetails {
  readonly id: number;
  readonly domain: ImageDomain;
  readonly sessionId: number;
  readonly heap: Pool;
  readonly region: MakeRegion;
}

/** What the user-mode half of the loader keeps in the process itself: PEB, a TEB for each thread, thread-local storage. */
export class ProcessEnvironment implements ThreadEnvironment {
  readonly peb: bigint;
  /** PEB.Ldr, of a 32-bit process that of its PEB32. */
  readonly ldr: LdrTable;
  /** What the C runtime keeps for the process: zeros at first. */
  readonly runtimeData: bigint;
  readonly #tlsModules = new Map<LoadedImage, TlsModule>();
  readonly #tebs = new Set<bigint>();
  #dynamicSlots: boolean[] = [];
  #nextTlsIndex = 0;

  readonly #process: EnvironmentDetails;

  constructor(details: EnvironmentDetails) {
    this.#process = details;
    const { domain } = details;
    this.peb = domain.allocateMemory('pool', PEB_SIZE);
    const { peb } = this.#offsets;
    this.#space.writeU32(this.peb + BigInt(peb.sessionId), details.sessionId);
    this.ldr = new LdrTable(
      { addressSpace: this.#space, pointerSize: this.#pointerSize },
      this.peb,
      this.#loaderMemory(),
    );
    this.runtimeData = domain.allocateMemory('pool', RUNTIME_PROCESS_SIZE);
  }

  /** 32-bit processes keep their loader data apart from the heap (modelled). */
  #loaderMemory(): (size: number) => bigint {
    const { domain, region } = this.#process;
    const { loaderData } = USER_SPACE[domain.architecture.addressBits];
    if (loaderData === undefined) return (size) => domain.allocateMemory('pool', size);
    const area = new MemoryArea(domain.table, region('loader data', loaderData));
    return (size) => area.allocate(size);
  }

  /** PEB.ImageBaseAddress. */
  setImageBase(dllBase: bigint): void {
    this.#write(this.peb + BigInt(this.#offsets.peb.imageBaseAddress), dllBase);
  }

  /** PEB.CrossProcessFlags.ProcessImagesHotPatched: is any image of the process patched? */
  get imagesHotPatched(): boolean {
    return (this.#space.readU32(this.#crossProcessFlags) & PROCESS_IMAGES_HOT_PATCHED) !== 0;
  }

  /** Sets it. */
  noteHotPatch(): void {
    const flags = this.#space.readU32(this.#crossProcessFlags);
    this.#space.writeU32(this.#crossProcessFlags, (flags | PROCESS_IMAGES_HOT_PATCHED) >>> 0);
  }

  /** A TEB with the thread's own copy of every image's thread-local storage. */
  createTeb(threadId: number, stack: ThreadStack): bigint {
    const teb = this.#process.domain.allocateMemory('pool', TEB_AREA_SIZE);
    this.#tebs.add(teb);
    try {
      this.#fillTeb(teb, threadId, stack);
    } catch (error) {
      this.destroyTeb(teb);
      throw error;
    }
    return teb;
  }

  #fillTeb(teb: bigint, threadId: number, stack: ThreadStack): void {
    const { teb: at } = this.#offsets;
    this.#write(teb + BigInt(at.stackBase), stack.end);
    this.#write(teb + BigInt(at.deallocationStack), stack.base);
    this.setStackLimit(teb, stack.limit);
    if (!this.#process.domain.architecture.hasUnwindTables) this.#write(teb, END_OF_CHAIN);
    this.#write(teb + BigInt(at.self), teb);
    this.#write(teb + BigInt(at.clientId), BigInt(this.#process.id));
    this.#write(teb + BigInt(at.clientId + this.#pointerSize), BigInt(threadId));
    this.#write(teb + BigInt(at.peb), this.peb);
    this.#write(teb + BigInt(at.tls), teb + BigInt(TEB_SIZE));
    for (const module of this.#tlsModules.values()) this.#giveBlock(teb, module);
  }

  /** TEB.NtTib.StackLimit: the lowest address of the stack that has memory. */
  setStackLimit(teb: bigint, limit: bigint): void {
    this.#write(teb + BigInt(this.#offsets.teb.stackLimit), limit);
  }

  destroyTeb(teb: bigint): void {
    if (!this.#tebs.delete(teb)) return;
    for (const module of this.#tlsModules.values()) this.#takeBlock(teb, module);
    this.#process.domain.freeMemory(teb, TEB_AREA_SIZE);
  }

  /** Points the register that user code finds its TEB with at it. */
  setTebRegister(processor: Processor, teb: bigint): void {
    processor.set(this.#process.domain.architecture.threadRegister, teb);
  }

  /** What the C runtime keeps for the thread: zeros at first. */
  runtimeThreadData(teb: bigint): bigint {
    return teb + BigInt(TEB_SIZE + TLS_VECTOR_SIZE);
  }

  getLastError(teb: bigint): number {
    return this.#space.readU32(teb + BigInt(this.#offsets.teb.lastError));
  }

  setLastError(teb: bigint, error: number): void {
    this.#space.writeU32(teb + BigInt(this.#offsets.teb.lastError), error);
  }

  /** TlsAlloc: an index into TEB.TlsSlots, -1 when all 64 are in use. */
  allocateTlsSlot(): number {
    const free = Array.from({ length: 64 }, (_, i) => i).find((i) => this.#dynamicSlots[i] !== true);
    if (free === undefined) return -1;
    this.#dynamicSlots[free] = true;
    return free;
  }

  freeTlsSlot(index: number): boolean {
    const used = this.#dynamicSlots[index] === true;
    this.#dynamicSlots[index] = false;
    return used;
  }

  /** TlsBitmap, for snapshots. */
  saveSlots(): readonly boolean[] {
    return [...this.#dynamicSlots];
  }

  loadSlots(slots: readonly boolean[]): void {
    this.#dynamicSlots = [...slots];
  }

  /** Address of TEB.TlsSlots[index]. */
  tlsSlot(teb: bigint, index: number): bigint {
    return teb + BigInt(this.#offsets.tlsSlots + index * this.#pointerSize);
  }

  /** Gives an image with a TLS directory its index, and every thread a copy of its template. */
  addTlsImage(loaded: LoadedImage): void {
    const { image } = loaded;
    const { tls } = image;
    if (tls === undefined) return;
    const module = { index: this.#nextTlsIndex++, image: loaded, ...template(image) };
    this.#tlsModules.set(loaded, module);
    const indexRva = image.vaToRva(tls.addressOfIndex, 'TLS directory, AddressOfIndex');
    this.#space.writeU32(loaded.address(indexRva), module.index);
    for (const teb of this.#tebs) this.#giveBlock(teb, module);
  }

  removeTlsImage(loaded: LoadedImage): void {
    const module = this.#tlsModules.get(loaded);
    if (module === undefined) return;
    for (const teb of this.#tebs) this.#takeBlock(teb, module);
    this.#tlsModules.delete(loaded);
  }

  #giveBlock(teb: bigint, { index, template, size }: TlsModule): void {
    const { heap } = this.#process;
    const block = heap.allocate(Math.max(1, size), 0, { fill: 0, quota: false });
    try {
      this.#space.write(block, template);
      this.#write(this.#vectorEntry(teb, index), block);
    } catch (error) {
      heap.free(block, 0);
      throw error;
    }
  }

  #takeBlock(teb: bigint, { index }: TlsModule): void {
    const entry = this.#vectorEntry(teb, index);
    const block = readPointer(this.#space, entry, this.#pointerSize);
    if (block === 0n) return;
    this.#process.heap.free(block, 0);
    this.#write(entry, 0n);
  }

  #vectorEntry(teb: bigint, index: number): bigint {
    return teb + BigInt(TEB_SIZE + index * this.#pointerSize);
  }

  get #crossProcessFlags(): bigint {
    return this.peb + BigInt(this.#offsets.peb.crossProcessFlags);
  }

  get #space(): AddressSpace {
    return this.#process.domain.addressSpace;
  }

  get #pointerSize(): 4 | 8 {
    return this.#process.domain.architecture.pointerSize;
  }

  get #offsets() {
    return OFFSETS[this.#pointerSize];
  }

  #write(address: bigint, value: bigint): void {
    writePointer(this.#space, address, value, this.#pointerSize);
  }
}

function template(image: PeImage): { template: Uint8Array; size: number } {
  const { tls } = image;
  if (tls === undefined || tls.startAddressOfRawData === 0n)
    return { template: new Uint8Array(), size: tls?.sizeOfZeroFill ?? 0 };
  const rva = image.vaToRva(tls.startAddressOfRawData, 'TLS directory, StartAddressOfRawData');
  const length = Number(tls.endAddressOfRawData - tls.startAddressOfRawData);
  return { template: image.read(rva, length, 'TLS template'), size: length + tls.sizeOfZeroFill };
}
