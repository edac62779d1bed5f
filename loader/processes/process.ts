import { type AddressSpace, PAGE_SIZE } from '../../cpu/index.js';
import type { PeImage } from '../../image/index.js';
import {
  asInt,
  assertArgument,
  CODE,
  INSPECT,
  instanceOf,
  KernelError,
  optionsOf,
  printed,
  processTerminated,
  TEXT,
} from '../common/index.js';
import {
  assertLoading,
  type ImageDomain,
  type ImageProcess,
  isProgram,
  LoadedImage,
  type LoadOptions,
  threadNotifications,
} from '../images/index.js';
import { HEAP_LAYOUT, Heap, type HeapMode, type MakeRegion, Pool, type PoolState } from '../memory/index.js';
import {
  THREAD_OPTIONS,
  type Thread,
  type ThreadNotifications,
  type ThreadOptions,
  type ThreadProcess,
} from '../threads/index.js';
import { type HandleState, HandleTable } from './handles.js';
import type { ProcessOwner } from './owners.js';
import { ProcessEnvironment } from './process-environment.js';
import type { Session } from './session.js';

export interface ProcessDetails {
  readonly owner: ProcessOwner;
  readonly id: number;
  /** ImageFileName. */
  readonly name: string;
  readonly session: Session | undefined;
  /** 32-bit code on a 64-bit kernel. */
  readonly wow64: boolean;
  readonly userSid: string | undefined;
  readonly silo: boolean;
  /** No user address space, only kernel threads: System, HotPatch. */
  readonly minimal: boolean;
  readonly domain: ImageDomain;
  readonly region: MakeRegion;
  /** How the heap of its programs lies. */
  readonly heapMode: HeapMode;
}

/** What a process has outside of guest memory that programs can notice. */
interface ProcessState {
  readonly handles: HandleState;
  readonly slots: readonly boolean[];
  readonly exceptionHandlers: ExceptionHandlers;
  readonly currentDirectory: string;
  readonly views: ReadonlyMap<bigint, object>;
  readonly heap: PoolState;
}

const describeState = ({
  handles,
  slots,
  exceptionHandlers: { vectored, unhandledFilter },
  currentDirectory,
  heap,
}: ProcessState): string =>
  [
    HandleTable.describe(handles),
    slots.map(Number).join(''),
    vectored.join(),
    unhandledFilter,
    currentDirectory,
    Pool.describe(heap),
  ].join('; ');

/** Handlers that a process has for all of its exceptions. */
export interface ExceptionHandlers {
  /** Addresses, in the order in which they are asked (AddVectoredExceptionHandler). */
  readonly vectored: readonly bigint[];
  /** Address of the last one that is asked (SetUnhandledExceptionFilter); 0: there is none. */
  readonly unhandledFilter: bigint;
}

const THREAD = optionsOf(THREAD_OPTIONS);
const IMAGE = instanceOf(LoadedImage, 'an image in memory: what loadImage returns');

function notHere({ baseDllName, domain }: LoadedImage, place: ImageDomain): KernelError {
  return new KernelError({
    rule: 'imageNotMapped',
    status: 'STATUS_NOT_MAPPED_VIEW',
    image: baseDllName,
    place: place.name,
    message: `is in ${domain.name}, not in ${place.name}`,
  });
}

/** What of a process changes, and is replaced then: snapshots hold it. */
interface ProcessFields {
  exitStatus: number | undefined;
  exceptionHandlers: ExceptionHandlers;
  currentDirectory: string;
  views: ReadonlyMap<bigint, object>;
}

let fieldsOf: (process: Process) => ProcessFields;

/** A process: its own user address space with its images and threads. */
export class Process implements ThreadProcess {
  /** A multiple of 4; 4 is the system process. */
  readonly id: number;
  /** File name of its EXE. */
  readonly name: string;
  /** The session that it belongs to. */
  readonly session: Session | undefined;
  /** Does it run 32-bit code of a 64-bit system? */
  readonly wow64: boolean;
  /** Without PEB and images: the system process, and that of hotpatches. */
  readonly minimal: boolean;
  /** Its address space with its images. */
  readonly domain: ImageDomain;
  /** Its handle table. */
  readonly handles = new HandleTable();
  /** Memory that the loader gives out in the process: thread-local storage and the like. */
  readonly heap: Pool;
  /** The heaps of its programs. */
  readonly programHeap: Heap;
  /** PEB, TEBs and thread-local storage; undefined in a minimal process. */
  readonly environment: ProcessEnvironment | undefined;
  /** Of its token: `S-1-5-21-…`. */
  readonly userSid: string | undefined;
  /** Does it run in a server silo (container)? */
  readonly silo: boolean;
  readonly #privileges = new Set<string>();
  readonly #fields: ProcessFields = {
    exitStatus: undefined,
    exceptionHandlers: { vectored: [], unhandledFilter: 0n },
    currentDirectory: 'C:\\',
    views: new Map(),
  };
  readonly #statePart: Disposable;
  readonly #owner: ProcessOwner;

  static {
    fieldsOf = (process) => process.#fields;
  }

  constructor(details: ProcessDetails) {
    this.#owner = details.owner;
    this.id = details.id;
    this.name = details.name;
    this.session = details.session;
    this.wow64 = details.wow64;
    this.minimal = details.minimal;
    this.userSid = details.userSid;
    this.silo = details.silo;
    this.domain = details.domain;
    this.heap = new Pool(this.domain);
    const { table, addressSpace, machine, architecture } = this.domain;
    this.programHeap = new Heap(
      table,
      addressSpace,
      HEAP_LAYOUT[architecture.addressBits],
      details.heapMode,
      machine.memory.frames * PAGE_SIZE,
    );
    this.environment = details.minimal
      ? undefined
      : new ProcessEnvironment({ ...details, sessionId: details.session?.id ?? 0, heap: this.heap });
    this.#statePart = machine.addStatePart({
      name: `process ${details.id}`,
      save: () => this.#save(),
      load: (state) => this.#load(state as ProcessState),
      describe: (state) => describeState(state as ProcessState),
    });
  }

  /** What its code sees. */
  get addressSpace(): AddressSpace {
    return this.domain.addressSpace;
  }

  /** In load order. */
  get images(): readonly LoadedImage[] {
    return this.domain.images;
  }

  /** Privileges that its token has enabled: `SeLoadDriverPrivilege`… */
  get privileges(): ReadonlySet<string> {
    return this.#privileges;
  }

  /** AdjustTokenPrivileges: its token enables these, whether it had them or not (modelled). */
  enablePrivileges(...names: readonly string[]): void {
    for (const name of names) {
      assertArgument(TEXT, name, 'enablePrivileges(name)');
      this.#privileges.add(name);
    }
  }

  /** AdjustTokenPrivileges: its token enables these no more. */
  disablePrivileges(...names: readonly string[]): void {
    for (const name of names) {
      assertArgument(TEXT, name, 'disablePrivileges(name)');
      this.#privileges.delete(name);
    }
  }

  /** NTSTATUS, unsigned; undefined as long as it runs. */
  get exitStatus(): number | undefined {
    return this.#fields.exitStatus;
  }

  /** AddVectoredExceptionHandler and SetUnhandledExceptionFilter; 0 is no filter. */
  get exceptionHandlers(): ExceptionHandlers {
    return this.#fields.exceptionHandlers;
  }

  /** What relative paths begin with. */
  get currentDirectory(): string {
    return this.#fields.currentDirectory;
  }

  /** Views of mappings by their base. */
  get views(): ReadonlyMap<bigint, object> {
    return this.#fields.views;
  }

  /** The EXE. */
  get mainImage(): LoadedImage | undefined {
    return this.images.find(({ image, loadReason }) => isProgram(image) && loadReason !== 'PatchImage');
  }

  /** Has it ended? */
  get terminated(): boolean {
    return this.exitStatus !== undefined;
  }

  /** Its threads that have not ended. */
  get threads(): readonly Thread[] {
    return this.#owner.threads.filter((thread) => thread.process === this);
  }

  /** LdrLoadDll: maps a DLL with everything it imports, and runs their DllMain. A DLL that is loaded already gains a reference. */
  loadImage(image: PeImage, options: LoadOptions = {}): LoadedImage {
    assertLoading(image, options, 'loadImage');
    this.#assertAlive();
    return this.#owner.loader.load(this.domain, image, options);
  }

  /** LdrUnloadDll: gives a reference back; the last one unmaps the image. */
  unloadImage(image: LoadedImage): void {
    assertArgument(IMAGE, image, 'unloadImage(image)');
    if (image.domain !== this.domain) throw notHere(image, this.domain);
    this.#owner.loader.release(image);
  }

  /** By file name, with or without extension. */
  findImage(name: string): LoadedImage | undefined {
    return this.domain.findImage(name);
  }

  /**
   * The lowest heap arena that none of its threads has.
   * @internal
   */
  freeHeapArena(): number {
    const used = new Set(this.threads.map(({ heapArena }) => heapArena));
    let arena = 0;
    while (used.has(arena) && arena + 1 < this.programHeap.threadArenas) arena += 1;
    return arena;
  }

  /**
   * Heap memory for something that the kernel model makes on behalf of a thread; 0 when there is no room.
   * @internal
   */
  allocateHeap(thread: Thread, size: number | bigint, zero = false): bigint {
    return this.programHeap.allocate(thread.memory, thread.heapArena, size, zero);
  }

  /** NtCreateThreadEx: a thread that calls the function at `address`; it runs when the scheduler lets it. */
  createThread(
    address: bigint,
    parameters: readonly (bigint | number)[] = [],
    options: ThreadOptions = {},
  ): Thread {
    assertArgument(THREAD, options, 'createThread(options)');
    this.#assertAlive();
    const notifications: ThreadNotifications = {
      begins: () => threadNotifications(this.images, 'begins'),
      ends: () => threadNotifications(this.images, 'ends'),
    };
    return this.#owner.createThread(address, parameters, { notifications, ...options, domain: this.domain });
  }

  /** Calls a function on a thread of its own, alone, and returns its result as a C `int`. */
  call(address: bigint, parameters: readonly (bigint | number)[] = []): number {
    return asInt(this.call64(address, parameters));
  }

  /** As {@link call}, but returns the whole result register: pointers and 64-bit integers. */
  call64(address: bigint, parameters: readonly (bigint | number)[] = []): bigint {
    this.#assertAlive();
    return this.#owner.call64(address, parameters, { domain: this.domain });
  }

  /** Ends every thread and gives all memory back. DllMain is not called, as with NtTerminateProcess. */
  terminate(exitStatus = 0): void {
    assertArgument(CODE, exitStatus, 'terminate(exitStatus)');
    if (this.terminated) return;
    this.#owner.bugChecks.assertRunning(`end process ${this.name} (${this.id})`);
    this.#owner.machine.assertIdle(`end process ${this.name} (${this.id})`);
    this.#fields.exitStatus = exitStatus >>> 0;
    this.#statePart[Symbol.dispose]();
    this.#owner.processEnded(this);
  }

  #save(): ProcessState {
    const { exceptionHandlers, currentDirectory, views } = this.#fields;
    return {
      handles: this.handles.save(),
      slots: this.environment?.saveSlots() ?? [],
      exceptionHandlers,
      currentDirectory,
      views,
      heap: this.heap.save(),
    };
  }

  #load(state: ProcessState): void {
    this.handles.load(state.handles);
    this.environment?.loadSlots(state.slots);
    const { exceptionHandlers, currentDirectory, views } = state;
    changeProcess(this, { exceptionHandlers, currentDirectory, views });
    this.heap.load(state.heap);
  }

  #assertAlive(): void {
    if (this.terminated) throw processTerminated(`${this.name} (${this.id})`);
  }

  /** What identifies it, where it is printed. */
  toJSON() {
    return { id: this.id, name: this.name, terminated: this.terminated };
  }

  get [Symbol.toStringTag](): string {
    return 'Process';
  }

  [INSPECT](): string {
    return printed(this[Symbol.toStringTag], this.toJSON());
  }
}

/** The kernel's own way to change what it knows of a process: not exported from the loader. */
export function changeProcess(process: Process, fields: Partial<Omit<ProcessFields, 'exitStatus'>>): void {
  Object.assign(fieldsOf(process), fields);
}

/** The process of a thread, of a domain, or of an instance of an image, with all that there is to it. */
export function processOf(one: { readonly process: ImageProcess }): Process;
export function processOf(
  one: { readonly process: ImageProcess | undefined } | undefined,
): Process | undefined;
export function processOf(
  one: { readonly process: ImageProcess | undefined } | undefined,
): Process | undefined {
  const process = one?.process;
  if (process === undefined || process instanceof Process) return process;
  throw new TypeError(`${process.name} (${process.id}) is no process of a process table`);
}
