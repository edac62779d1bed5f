import type { AddressSpace } from '../../cpu/index.js';
import { GuestList, writePointer } from '../memory/index.js';
import { isProgram } from './image-kind.js';
import type { LdrHotPatchState, LoadedImage, LoadReason } from './loaded-image.js';
import { LoaderHeap } from './loader-heap.js';

/**
 * Offsets in LDR_DATA_TABLE_ENTRY, PEB_LDR_DATA and PEB of 64-bit processes (docs/fidelity.md#the-system-around-it; public PDBs) and
 * of 32-bit ones (LDR_DATA_TABLE_ENTRY32, PEB_LDR_DATA32, PEB32: the same fields in the same order).
 */
const LAYOUTS = {
  8: {
    entry: {
      inLoadOrderLinks: 0x00,
      inMemoryOrderLinks: 0x10,
      inInitializationOrderLinks: 0x20,
      dllBase: 0x30,
      entryPoint: 0x38,
      sizeOfImage: 0x40,
      fullDllName: 0x48,
      baseDllName: 0x58,
      flags: 0x68,
      timeDateStamp: 0x80,
      originalBase: 0xf8,
      loadReason: 0x10c,
      referenceCount: 0x114,
      checkSum: 0x120,
      activePatchImageBase: 0x128,
      hotPatchState: 0x130,
      size: 0x138,
    },
    data: { size: 0x58, initialized: 4, inLoadOrder: 0x10, inMemoryOrder: 0x20, inInitializationOrder: 0x30 },
    pebLdr: 0x18n,
  },
  4: {
    entry: {
      inLoadOrderLinks: 0x00,
      inMemoryOrderLinks: 0x08,
      inInitializationOrderLinks: 0x10,
      dllBase: 0x18,
      entryPoint: 0x1c,
      sizeOfImage: 0x20,
      fullDllName: 0x24,
      baseDllName: 0x2c,
      flags: 0x34,
      timeDateStamp: 0x44,
      originalBase: 0x80,
      loadReason: 0x94,
      referenceCount: 0x9c,
      checkSum: 0xa8,
      activePatchImageBase: 0xac,
      hotPatchState: 0xb0,
      size: 0xb8,
    },
    data: { size: 0x30, initialized: 4, inLoadOrder: 0x0c, inMemoryOrder: 0x14, inInitializationOrder: 0x1c },
    pebLdr: 0x0cn,
  },
} as const;

/** LDR_DATA_TABLE_ENTRY.Flags. */
const LDRP_IMAGE_DLL = 0x4;
const LDRP_PROCESS_ATTACH_CALLED = 0x8_0000;

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

interface Entry {
  readonly address: bigint;
  readonly strings: readonly bigint[];
}

/** Where a process keeps its loader data. */
export interface LdrPlace {
  readonly addressSpace: AddressSpace;
  readonly pointerSize: 4 | 8;
}

/** The loader data of a process as its own code sees it: PEB.Ldr and one LDR_DATA_TABLE_ENTRY for each image. */
export class LdrTable {
  readonly #data: bigint;
  readonly #entries = new Map<LoadedImage, Entry>();
  readonly #heap: LoaderHeap;
  readonly #lists: GuestList;

  constructor(
    /** Address space and width of the process. */
    private readonly place: LdrPlace,
    peb: bigint,
    commit: (size: number) => bigint,
  ) {
    this.#heap = new LoaderHeap(this.#space, commit);
    this.#lists = new GuestList(this.#space, this.#pointerSize);
    const { data, pebLdr } = this.#layout;
    this.#data = this.#heap.allocate(data.size);
    this.#space.writeU32(this.#data, data.size);
    this.#space.writeU32(this.#data + BigInt(data.initialized), 1);
    for (const list of [data.inLoadOrder, data.inMemoryOrder, data.inInitializationOrder])
      this.#lists.initialize(this.#data + BigInt(list));
    this.#write(peb + pebLdr, this.#data);
  }

  /** Address of an image's entry. */
  entry(loaded: LoadedImage): bigint | undefined {
    return this.#entries.get(loaded)?.address;
  }

  add(loaded: LoadedImage): void {
    const { entry: fields, data } = this.#layout;
    const space = this.#space;
    const address = this.#heap.allocate(fields.size);
    const at = (offset: number) => address + BigInt(offset);
    this.#write(at(fields.dllBase), loaded.dllBase);
    this.#write(at(fields.entryPoint), loaded.entryPoint ?? 0n);
    space.writeU32(at(fields.sizeOfImage), loaded.sizeOfImage);
    const names = [
      [fields.fullDllName, `C:\\Windows\\System32\\${loaded.baseDllName}`],
      [fields.baseDllName, loaded.baseDllName],
    ] as const;
    const strings = names.map(([offset, text]) =>
      this.#heap.writeString(at(offset), text, this.#pointerSize),
    );
    this.#entries.set(loaded, { address, strings });
    space.writeU32(at(fields.flags), isProgram(loaded.image) ? 0 : LDRP_IMAGE_DLL);
    space.writeU32(at(fields.timeDateStamp), loaded.timeDateStamp);
    this.#write(at(fields.originalBase), loaded.image.optionalHeader.imageBase);
    space.writeU32(at(fields.loadReason), LOAD_REASONS[loaded.loadReason]);
    space.writeU32(at(fields.checkSum), loaded.checkSum);
    this.update(loaded);
    this.#lists.append(this.#data + BigInt(data.inLoadOrder), at(fields.inLoadOrderLinks));
    this.#lists.append(this.#data + BigInt(data.inMemoryOrder), at(fields.inMemoryOrderLinks));
  }

  /** Writes what changes while an image is loaded: references and hotpatch state. */
  update(loaded: LoadedImage): void {
    const address = this.entry(loaded);
    if (address === undefined) return;
    const { entry: fields } = this.#layout;
    const space = this.#space;
    space.writeU32(address + BigInt(fields.referenceCount), loaded.referenceCount);
    this.#write(address + BigInt(fields.activePatchImageBase), loaded.activePatchImageBase ?? 0n);
    space.writeU32(address + BigInt(fields.hotPatchState), HOT_PATCH_STATES[loaded.hotPatchState]);
  }

  /** The DLL is about to get DLL_PROCESS_ATTACH: from now on it is in the list of initialisation order. Programs never are. */
  initialize(loaded: LoadedImage): void {
    const address = this.entry(loaded);
    if (address === undefined || isProgram(loaded.image)) return;
    const { entry: fields, data } = this.#layout;
    const flags = address + BigInt(fields.flags);
    this.#space.writeU32(flags, this.#space.readU32(flags) | LDRP_PROCESS_ATTACH_CALLED);
    const links = address + BigInt(fields.inInitializationOrderLinks);
    this.#lists.append(this.#data + BigInt(data.inInitializationOrder), links);
  }

  remove(loaded: LoadedImage): void {
    const entry = this.#entries.get(loaded);
    if (entry === undefined) return;
    this.#entries.delete(loaded);
    const { entry: fields } = this.#layout;
    for (const links of [
      fields.inLoadOrderLinks,
      fields.inMemoryOrderLinks,
      fields.inInitializationOrderLinks,
    ])
      this.#lists.remove(entry.address + BigInt(links));
    for (const address of [...entry.strings].reverse()) this.#heap.free(address);
    this.#heap.free(entry.address);
  }

  #write(address: bigint, value: bigint): void {
    writePointer(this.#space, address, value, this.#pointerSize);
  }

  get #layout() {
    return LAYOUTS[this.#pointerSize];
  }

  get #pointerSize(): 4 | 8 {
    return this.place.pointerSize;
  }

  get #space() {
    return this.place.addressSpace;
  }
}
