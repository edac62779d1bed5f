import type { AddressSpace } from '../cpu/index.js';
import type { LdrHotPatchState, LoadedImage, LoadReason } from './loaded-image.js';
import type { Process } from './process.js';

/** Offsets in LDR_DATA_TABLE_ENTRY of 64-bit processes (windows-hotpatching.md 2.3; public PDBs). */
const ENTRY = {
  inLoadOrderLinks: 0x00,
  inMemoryOrderLinks: 0x10,
  dllBase: 0x30,
  entryPoint: 0x38,
  sizeOfImage: 0x40,
  fullDllName: 0x48,
  baseDllName: 0x58,
  timeDateStamp: 0x80,
  loadReason: 0x10c,
  referenceCount: 0x114,
  checkSum: 0x120,
  activePatchImageBase: 0x128,
  hotPatchState: 0x130,
  size: 0x138,
} as const;

/** PEB_LDR_DATA: its lists are headed at 0x10 (load order) and 0x20 (memory order). */
const LDR_DATA = { size: 0x58, inLoadOrder: 0x10, inMemoryOrder: 0x20 } as const;
const PEB_LDR = 0x18n;

/** LDR_DLL_LOAD_REASON. */
const LOAD_REASONS: Readonly<Record<LoadReason, number>> = {
  StaticDependency: 0,
  DynamicLoad: 4,
  PatchImage: 9,
};
const HOT_PATCH_STATES: Readonly<Record<LdrHotPatchState, number>> = {
  BaseImage: 0,
  NotApplied: 1,
  AppliedReverse: 2,
  AppliedForward: 3,
  FailedToPatch: 4,
};

const CHUNK = 0x10000;

/** The loader data of a 64-bit process as its own code sees it: PEB.Ldr and one LDR_DATA_TABLE_ENTRY for each image. */
export class LdrTable {
  readonly #data: bigint;
  readonly #entries = new Map<LoadedImage, bigint>();
  #chunk = 0n;
  #used = CHUNK;

  constructor(
    private readonly process: Process,
    peb: bigint,
  ) {
    this.#data = this.#allocate(LDR_DATA.size);
    this.#space.writeU32(this.#data, LDR_DATA.size);
    this.#space.writeU32(this.#data + 4n, 1);
    for (const list of [LDR_DATA.inLoadOrder, LDR_DATA.inMemoryOrder])
      this.#initialize(this.#data + BigInt(list));
    this.#space.writeU64(peb + PEB_LDR, this.#data);
  }

  /** Address of an image's entry. */
  entry(loaded: LoadedImage): bigint | undefined {
    return this.#entries.get(loaded);
  }

  add(loaded: LoadedImage): void {
    const entry = this.#allocate(ENTRY.size);
    this.#entries.set(loaded, entry);
    const at = (offset: number) => entry + BigInt(offset);
    const space = this.#space;
    space.writeU64(at(ENTRY.dllBase), loaded.dllBase);
    space.writeU64(at(ENTRY.entryPoint), loaded.entryPoint ?? 0n);
    space.writeU32(at(ENTRY.sizeOfImage), loaded.sizeOfImage);
    this.#writeString(at(ENTRY.fullDllName), `C:\\Windows\\System32\\${loaded.baseDllName}`);
    this.#writeString(at(ENTRY.baseDllName), loaded.baseDllName);
    space.writeU32(at(ENTRY.timeDateStamp), loaded.timeDateStamp);
    space.writeU32(at(ENTRY.loadReason), LOAD_REASONS[loaded.loadReason]);
    space.writeU32(at(ENTRY.checkSum), loaded.checkSum);
    this.update(loaded);
    this.#insert(this.#data + BigInt(LDR_DATA.inLoadOrder), at(ENTRY.inLoadOrderLinks));
    this.#insert(this.#data + BigInt(LDR_DATA.inMemoryOrder), at(ENTRY.inMemoryOrderLinks));
  }

  /** Writes what changes while an image is loaded: references and hotpatch state. */
  update(loaded: LoadedImage): void {
    const entry = this.#entries.get(loaded);
    if (entry === undefined) return;
    const space = this.#space;
    space.writeU32(entry + BigInt(ENTRY.referenceCount), loaded.referenceCount);
    space.writeU64(entry + BigInt(ENTRY.activePatchImageBase), loaded.activePatchImageBase ?? 0n);
    space.writeU32(entry + BigInt(ENTRY.hotPatchState), HOT_PATCH_STATES[loaded.hotPatchState]);
  }

  remove(loaded: LoadedImage): void {
    const entry = this.#entries.get(loaded);
    if (entry === undefined) return;
    this.#entries.delete(loaded);
    this.#unlink(entry + BigInt(ENTRY.inLoadOrderLinks));
    this.#unlink(entry + BigInt(ENTRY.inMemoryOrderLinks));
  }

  #initialize(head: bigint): void {
    this.#space.writeU64(head, head);
    this.#space.writeU64(head + 8n, head);
  }

  /** InsertTailList. */
  #insert(head: bigint, links: bigint): void {
    const last = this.#space.readU64(head + 8n);
    this.#space.writeU64(links, head);
    this.#space.writeU64(links + 8n, last);
    this.#space.writeU64(last, links);
    this.#space.writeU64(head + 8n, links);
  }

  #unlink(links: bigint): void {
    const next = this.#space.readU64(links);
    const previous = this.#space.readU64(links + 8n);
    this.#space.writeU64(previous, next);
    this.#space.writeU64(next + 8n, previous);
  }

  #writeString(target: bigint, text: string): void {
    const bytes = Buffer.from(`${text}\0`, 'utf16le');
    const buffer = this.#allocate(bytes.length);
    this.#space.write(buffer, bytes);
    this.#space.writeU16(target, bytes.length - 2);
    this.#space.writeU16(target + 2n, bytes.length);
    this.#space.writeU64(target + 8n, buffer);
  }

  #allocate(size: number): bigint {
    if (this.#used + size > CHUNK) {
      this.#chunk = this.process.domain.allocateMemory('pool', CHUNK);
      this.#used = 0;
    }
    const address = this.#chunk + BigInt(this.#used);
    this.#used += (size + 15) & ~15;
    return address;
  }

  get #space(): AddressSpace {
    return this.process.addressSpace;
  }
}
