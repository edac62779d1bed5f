import { CpuError, machineDisposed } from './error.js';
import { giveBuffer, takeBuffer } from './host-buffers.js';
import { EVERYTHING, EXECUTE, PAGE_SIZE, type Permissions, READ, WRITE } from './protection.js';

export interface SecondLevel {
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
}

/** What the memory must tell the machine: contents change, or what VTL0 may do with a page changes. */
export interface MemoryWatcher {
  /** Before a frame is handed out; what it throws refuses it. */
  beforeAllocation?(): void;
  /** No frame is left: whoever has some that nobody needs gives them back now. */
  shortage?(): void;
  beforeHostWrite(frame: number): void;
  /** The frame has lost its last reference; its contents mean nothing any more. */
  frameFreed(frame: number): void;
  secondLevelChanged(): void;
}

export interface AllocatorState {
  readonly references: Uint16Array;
  readonly secondLevel: Uint8Array;
  readonly free: readonly number[];
  readonly fresh: number;
}

/** The physical page frames of a machine, in one host buffer that every processor's engine maps. Frames are numbered from 0. */
export class PhysicalMemory implements Disposable {
  readonly frames: number;
  #buffer: Uint8Array;
  readonly #references: Uint16Array;
  readonly #secondLevel: Uint8Array;
  readonly #watcher: MemoryWatcher;
  readonly #dirty: Uint8Array;
  readonly #dirtyFrames: number[] = [];
  readonly #free: number[] = [];
  /** Frames from here on have never been handed out, and the host has not touched their memory. */
  #fresh = 0;
  /** What {@link saveAllocator} gave, until something changes. */
  #saved: AllocatorState | undefined;

  /** `size` in bytes. The host commits memory as frames are touched. */
  constructor(size: number, watcher: MemoryWatcher) {
    if (size <= 0 || size % PAGE_SIZE !== 0 || size > 2 ** 32) {
      throw new CpuError(
        'memorySize',
        `${size} bytes of physical memory: not 1 page to 4 GB in whole pages`,
        {
          status: 'STATUS_INVALID_PARAMETER',
        },
      );
    }
    this.#buffer = takeBuffer(size);
    this.frames = size / PAGE_SIZE;
    this.#references = new Uint16Array(this.frames);
    this.#secondLevel = new Uint8Array(this.frames);
    this.#dirty = new Uint8Array(this.frames);
    this.#watcher = watcher;
  }

  /** All of physical memory. Only the engines and {@link PhysicalMemory} itself write here. */
  get buffer(): Uint8Array {
    return this.#buffer;
  }

  /** A zeroed frame with one reference. Throws STATUS_NO_MEMORY. */
  allocate(): number {
    this.#watcher.beforeAllocation?.();
    if (this.#buffer.byteLength === 0) {
      throw machineDisposed('allocate memory');
    }
    this.#saved = undefined;
    if (this.#free.length === 0 && this.#fresh >= this.frames) this.#watcher.shortage?.();
    const recycled = this.#free.pop();
    const frame = recycled ?? this.#fresh;
    if (recycled === undefined) {
      if (frame >= this.frames) {
        throw new CpuError('noMemory', `all ${this.frames} page frames are in use`, {
          status: 'STATUS_NO_MEMORY',
        });
      }
      this.#fresh += 1;
    } else {
      this.markDirty(frame);
      this.#slice(frame).fill(0);
    }
    this.#references[frame] = 1;
    this.#secondLevel[frame] = EVERYTHING;
    return frame;
  }

  retain(frame: number): void {
    const references = this.#used(frame);
    this.#saved = undefined;
    if (references === 0xffff) throw new CpuError('frameShared', `frame ${frame} has 65535 references`);
    this.#references[frame] = references + 1;
  }

  release(frame: number): void {
    const references = this.#used(frame) - 1;
    this.#saved = undefined;
    this.#references[frame] = references;
    if (references > 0) return;
    this.#free.push(frame);
    this.#watcher.frameFreed(frame);
  }

  references(frame: number): number {
    return this.#references[frame] ?? 0;
  }

  get framesInUse(): number {
    return this.#fresh - this.#free.length;
  }

  /** Contents, not to be written to. Shows later changes too. */
  peek(frame: number): Uint8Array {
    this.#used(frame);
    return this.#slice(frame);
  }

  /** As {@link peek}, of frames that are not in use too. */
  peekAny(frame: number): Uint8Array {
    return this.#slice(frame);
  }

  /** Contents, to be written to before a processor runs again. */
  bytes(frame: number): Uint8Array {
    this.#used(frame);
    this.#beforeWrite(frame);
    return this.#slice(frame);
  }

  /** `offset` in bytes from the start of the frame; the bytes must fit in it. */
  write(frame: number, offset: number, bytes: Uint8Array): void {
    if (offset < 0 || offset + bytes.byteLength > PAGE_SIZE) {
      throw new CpuError('pageBounds', `${bytes.byteLength} bytes at +${offset} do not fit in a page`, {
        status: 'STATUS_INVALID_PARAMETER',
      });
    }
    this.bytes(frame).set(bytes, offset);
  }

  /** Copies part of a frame into one that no processor knows yet; without telling the watcher. */
  copy(from: number, to: number, start = 0, end = PAGE_SIZE): void {
    this.markDirty(to);
    this.#slice(to).set(this.#slice(from).subarray(start, end), start);
  }

  /** What VTL0 may do with the frame, on top of the page tables. VTL1 is not limited. */
  setSecondLevel(frame: number, { vtl0 }: { readonly vtl0: SecondLevel }): void {
    this.#used(frame);
    this.#saved = undefined;
    this.#secondLevel[frame] =
      (vtl0.read ? READ : 0) | (vtl0.write ? WRITE : 0) | (vtl0.execute ? EXECUTE : 0);
    this.#watcher.secondLevelChanged();
  }

  /** Takes from VTL0 what is not in `permissions`, until the frame is freed. */
  limitSecondLevel(frame: number, permissions: Permissions): void {
    this.#used(frame);
    const before = this.secondLevel(frame);
    const after = before & permissions;
    if (after === before) return;
    this.#saved = undefined;
    this.#secondLevel[frame] = after;
    this.#watcher.secondLevelChanged();
  }

  secondLevel(frame: number): Permissions {
    return this.#secondLevel[frame] ?? 0;
  }

  /** Notes that a frame's contents are about to differ from the last snapshot's. */
  markDirty(frame: number): void {
    if (this.#dirty[frame] === 1) return;
    this.#dirty[frame] = 1;
    this.#dirtyFrames.push(frame);
  }

  /** Frames marked since the last call. */
  takeDirty(): readonly number[] {
    for (const frame of this.#dirtyFrames) this.#dirty[frame] = 0;
    return this.#dirtyFrames.splice(0);
  }

  /** Contents from a snapshot, undefined for zeroes; neither dirty nor told to the watcher. */
  overwrite(frame: number, contents: Uint8Array | undefined): void {
    if (contents === undefined) this.#slice(frame).fill(0);
    else this.#slice(frame).set(contents);
  }

  saveAllocator(): AllocatorState {
    this.#saved ??= {
      references: this.#references.slice(0, this.#fresh),
      secondLevel: this.#secondLevel.slice(0, this.#fresh),
      free: [...this.#free],
      fresh: this.#fresh,
    };
    return this.#saved;
  }

  loadAllocator(state: AllocatorState): void {
    if (this.#saved === state) return;
    // Frames handed out since then are not fresh any more: their memory has been written to.
    const since = Array.from({ length: this.#fresh - state.fresh }, (_, i) => this.#fresh - 1 - i);
    this.#references.set(state.references);
    this.#secondLevel.set(state.secondLevel);
    this.#free.splice(0, this.#free.length, ...since, ...state.free);
    for (const frame of since) this.#references[frame] = 0;
    this.#saved = undefined;
  }

  /** The engines that map the memory must have been closed. Contents that were handed out must not be used any more. */
  [Symbol.dispose](): void {
    giveBuffer(this.#buffer, this.#fresh);
    this.#buffer = new Uint8Array(0);
    this.#references.fill(0);
  }

  #beforeWrite(frame: number): void {
    this.#watcher.beforeHostWrite(frame);
    this.markDirty(frame);
  }

  #used(frame: number): number {
    const references = this.#references[frame] ?? 0;
    if (references === 0) {
      if (this.#buffer.byteLength === 0) throw machineDisposed('use memory');
      throw new CpuError('frameNotInUse', `physical page ${frame} is not in use`, {
        status: 'STATUS_INVALID_PARAMETER',
      });
    }
    return references;
  }

  #slice(frame: number): Uint8Array {
    return this.#buffer.subarray(frame * PAGE_SIZE, (frame + 1) * PAGE_SIZE);
  }
}
