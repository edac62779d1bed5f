import type { AddressSpace } from '../../cpu/index.js';
import { FUNCTION_TABLE_ENTRY_SIZE } from '../../image/index.js';
import { GuestList } from '../memory/index.js';
import type { LoadedImage } from './loaded-image.js';
import { LoaderHeap } from './loader-heap.js';

/** Offsets in KLDR_DATA_TABLE_ENTRY of 64-bit kernels (public PDBs, ntfill.h of the public native-API headers). */
const ENTRY = {
  inLoadOrderLinks: 0x00n,
  exceptionTable: 0x10n,
  exceptionTableSize: 0x18n,
  dllBase: 0x30n,
  entryPoint: 0x38n,
  sizeOfImage: 0x40n,
  fullDllName: 0x48n,
  baseDllName: 0x58n,
  flags: 0x68n,
  loadCount: 0x6cn,
  u1: 0x6en,
  checkSum: 0x78n,
  sizeOfImageNotRounded: 0x98n,
  timeDateStamp: 0x9cn,
} as const;
const ENTRY_SIZE = 0xa0;
/** u1.HotPatch (docs/fidelity.md#the-system-around-it); that it marks patch images is modelled. */
const HOT_PATCH = 1 << 9;
/** Flags: LDRP_ENTRY_PROCESSED. */
const ENTRY_PROCESSED = 0x4000;

interface Entry {
  readonly address: bigint;
  readonly strings: readonly bigint[];
  /** Places that have it: sessions share one entry, as they share the address. */
  holders: number;
}

/** PsLoadedModuleList in kernel memory: one KLDR_DATA_TABLE_ENTRY for each driver and session driver. VTL1 images are not in it. */
export class LoadedModuleList {
  /** Address of the LIST_ENTRY that the export PsLoadedModuleList leads to. */
  readonly head: bigint;
  readonly #heap: LoaderHeap;
  readonly #lists: GuestList;
  readonly #entries = new Map<bigint, Entry>();

  constructor(
    private readonly space: AddressSpace,
    commit: (size: number) => bigint,
  ) {
    this.#heap = new LoaderHeap(space, commit);
    this.#lists = new GuestList(space, 8);
    this.head = this.#heap.allocate(16);
    this.#lists.initialize(this.head);
  }

  /** Address of an image's entry: DRIVER_OBJECT.DriverSection. */
  entry(loaded: LoadedImage): bigint | undefined {
    return this.#entries.get(loaded.dllBase)?.address;
  }

  add(loaded: LoadedImage): void {
    if (loaded.domain.kind !== 'driver' && loaded.domain.kind !== 'session') return;
    const known = this.#entries.get(loaded.dllBase);
    if (known !== undefined) {
      known.holders += 1;
      this.update(loaded);
      return;
    }
    const { space } = this;
    const { image } = loaded;
    const address = this.#heap.allocate(ENTRY_SIZE);
    const strings = [
      this.#heap.writeString(
        address + ENTRY.fullDllName,
        `\\SystemRoot\\System32\\drivers\\${loaded.baseDllName}`,
        8,
      ),
      this.#heap.writeString(address + ENTRY.baseDllName, loaded.baseDllName, 8),
    ];
    this.#entries.set(loaded.dllBase, { address, strings, holders: 1 });
    const exceptions = image.directory('exception');
    if (exceptions !== undefined) {
      const size = FUNCTION_TABLE_ENTRY_SIZE[image.architecture];
      space.writeU64(address + ENTRY.exceptionTable, loaded.address(exceptions.virtualAddress));
      space.writeU32(address + ENTRY.exceptionTableSize, image.functionTable.length * size);
    }
    space.writeU64(address + ENTRY.dllBase, loaded.dllBase);
    space.writeU64(address + ENTRY.entryPoint, loaded.entryPoint ?? 0n);
    space.writeU32(address + ENTRY.sizeOfImage, Math.ceil(loaded.sizeOfImage / 0x1000) * 0x1000);
    space.writeU32(address + ENTRY.sizeOfImageNotRounded, loaded.sizeOfImage);
    space.writeU32(address + ENTRY.flags, ENTRY_PROCESSED);
    space.writeU16(address + ENTRY.u1, loaded.loadReason === 'PatchImage' ? HOT_PATCH : 0);
    space.writeU32(address + ENTRY.checkSum, loaded.checkSum);
    space.writeU32(address + ENTRY.timeDateStamp, loaded.timeDateStamp);
    this.update(loaded);
    this.#lists.append(this.head, address + ENTRY.inLoadOrderLinks);
  }

  /** LoadCount. */
  update(loaded: LoadedImage): void {
    const entry = this.#entries.get(loaded.dllBase);
    if (entry === undefined) return;
    const count = loaded.domain.kind === 'session' ? entry.holders : loaded.referenceCount;
    this.space.writeU16(entry.address + ENTRY.loadCount, count);
  }

  remove(loaded: LoadedImage): void {
    const entry = this.#entries.get(loaded.dllBase);
    if (entry === undefined || loaded.domain.kind === 'user' || loaded.domain.kind === 'secure') return;
    entry.holders -= 1;
    if (entry.holders > 0) {
      this.update(loaded);
      return;
    }
    this.#entries.delete(loaded.dllBase);
    this.#lists.remove(entry.address + ENTRY.inLoadOrderLinks);
    for (const address of [...entry.strings].reverse()) this.#heap.free(address);
    this.#heap.free(entry.address);
  }
}
