import type { Architecture, Machine } from '../cpu/index.js';
import type { PeImage } from '../image/index.js';
import {
  assembleKernel,
  type BootDecisions,
  type BootOptions,
  hotPatchingEnabled,
  type KernelParts,
  type WindowsBuild,
} from './boot/index.js';
import {
  ADDRESS,
  ANY,
  anyOf,
  asInt,
  assertArgument,
  assertOwn,
  BOOT_TIME,
  type BugCheckState,
  type EventLog,
  FLAG,
  FUNCTION,
  INSPECT,
  instanceOf,
  listOf,
  OBJECT,
  optional,
  optionsOf,
  printed,
  type SeededRandom,
  shapeOf,
  WHOLE,
} from './common/index.js';
import type { ExportTable } from './exports/index.js';
import type { Volume } from './files/index.js';
import {
  assertLoading,
  type HpatLayout,
  ImageDomain,
  type ImageIdentity,
  type ImageInstance,
  type ImageLoader,
  type ImageSections,
  type ImageSession,
  instancesOf,
  LOAD_OPTIONS,
  LoadedImage,
  type LoadedModuleList,
  type LoadOptions,
  type SystemFiles,
} from './images/index.js';
import type { IoManager } from './io/index.js';
import type { Pool } from './memory/index.js';
import type { Process, ProcessOptions, Session } from './processes/index.js';
import type { PatchGuard, SecureKernel } from './secure/index.js';
import type { SystemServices } from './services/index.js';
import {
  type DpcQueues,
  type GuestFunctionCall,
  type RunOptions,
  type RunResult,
  type Scheduler,
  THREAD_OPTIONS,
  Thread,
  type ThreadCondition,
  type ThreadOptions,
} from './threads/index.js';

export interface LoadImageOptions extends LoadOptions {
  /** Default: {@link Kernel.domain}. */
  readonly domain?: ImageDomain;
}

const LOADING = optionsOf<LoadImageOptions>({
  ...LOAD_OPTIONS,
  domain: optional(instanceOf(ImageDomain, 'a domain: process.domain, session.domain')),
});
const THREAD = optionsOf(THREAD_OPTIONS);
const THREAD_OBJECT = instanceOf(Thread, 'a thread: what startThread and createThread return');
const IMAGE = instanceOf(LoadedImage, 'an image in memory: what loadImage returns');
const CONDITION_TEXT = 'a condition: thread.returns(), thread.reaches(address)';
const CONDITION = optionsOf<ThreadCondition>({ thread: THREAD_OBJECT, address: optional(ADDRESS) });
const RUN = optionsOf<RunOptions>({
  until: optional(anyOf([CONDITION, listOf(CONDITION, CONDITION_TEXT)], CONDITION_TEXT)),
  instructions: optional(ANY),
});
const SESSION = shapeOf<ImageSession>({ id: WHOLE, table: OBJECT }, 'a session: what createSession returns');
const IDENTITY = shapeOf<ImageIdentity>(
  { checkSum: WHOLE, timeDateStamp: WHOLE },
  'an identity: { checkSum, timeDateStamp }',
);
const GATHERING = optionsOf<{ readonly timeout?: number }>({ timeout: optional(WHOLE) });
const USER_SERVICES = optionsOf<{ readonly wow64?: boolean }>({ wow64: optional(FLAG) });

export type Arguments = readonly (bigint | number)[];

/** Instructions that threads at DISPATCH_LEVEL get to come to a rendezvous. */
const RENDEZVOUS_TIMEOUT = 100_000;

/** The simulated NT kernel: boots, holds processes and sessions, loads images with their HPAT, runs threads, serves what guest code asks for. */
export class Kernel implements Disposable {
  /** Processors and physical memory. */
  readonly machine: Machine;
  /** Of kernel code; x64 on a machine whose programs are 32-bit. */
  readonly architecture: Architecture;
  /** What boot loader and phase 0 have made of the options. */
  readonly boot: BootDecisions;
  /** The transcript. */
  readonly events: EventLog;
  /** Whether the system has stopped, and with what. */
  readonly bugChecks: BugCheckState;
  /** Kernel space and PsLoadedModuleList. */
  readonly system: ImageDomain;
  /**
   * Where images go when nobody says: kernel space; on a machine whose programs are 32-bit, the user space of its first
   * process.
   */
  readonly domain: ImageDomain;
  /** The simulated exports of the kernel. */
  readonly services: ExportTable;
  /** What system calls lead to. */
  readonly systemServices: SystemServices;
  /** Drive C: of programs. */
  readonly volume: Volume;
  /** The kernel's pool. */
  readonly pool: Pool;
  /** Who runs where, and for how long. */
  readonly scheduler: Scheduler;
  /** Deferred procedure calls and timers. */
  readonly dpcs: DpcQueues;
  /** Loads and unloads images. */
  readonly loader: ImageLoader;
  /**
   * Devices, drivers and requests.
   * @internal
   */
  readonly io: IoManager;
  /** The image files that are mapped, each once. */
  readonly sections: ImageSections;
  /** Image files that are found by name when an image imports from them. */
  readonly files: SystemFiles;
  /** VTL1; undefined without virtualization-based security. */
  readonly secureKernel: SecureKernel | undefined;
  /** Looks for code that was changed behind the kernel's back. */
  readonly patchGuard: PatchGuard;
  /** For addresses and cookies; the scheduler has its own, so that these do not change interleavings. */
  readonly layoutRandom: SeededRandom;
  /** Process 4. */
  readonly systemProcess: Process;
  /** The minimal process of phase 1 that belongs to no session; undefined when hotpatching is disabled. */
  readonly hotPatchProcess: Process | undefined;
  readonly #parts: KernelParts;

  /** Boots a machine with a kernel, without a hotpatch engine; {@link Lab.boot} makes one with it. */
  static boot(options: BootOptions): Kernel {
    return new Kernel(assembleKernel(options));
  }

  private constructor(parts: KernelParts) {
    this.#parts = parts;
    this.boot = parts.boot;
    this.machine = parts.machine;
    this.architecture = parts.architecture;
    this.events = parts.events;
    this.bugChecks = parts.bugChecks;
    this.system = parts.space.system;
    this.domain = parts.domain;
    this.services = parts.exports.kernel;
    this.systemServices = parts.systemServices;
    this.pool = parts.pool;
    this.scheduler = parts.scheduler;
    this.dpcs = parts.dpcs;
    this.loader = parts.loader;
    this.io = parts.io;
    this.volume = parts.volume;
    this.sections = parts.sections;
    this.files = parts.files;
    this.secureKernel = parts.secureKernel;
    this.patchGuard = parts.patchGuard;
    this.layoutRandom = parts.layoutRandom;
    this.systemProcess = parts.systemProcess;
    this.hotPatchProcess = parts.hotPatchProcess;
  }

  /** HotPatchingEnabled of _MI_HOT_PATCH_STATE: a reserve, and a Secure Kernel that runs. */
  get hotPatchingEnabled(): boolean {
    return hotPatchingEnabled(this.boot);
  }

  /** Bytes reserved behind each image; 0 when hotpatching is off. */
  get hotPatchReserveSize(): number {
    return this.boot.hotPatchReserveSize;
  }

  /** The build of Windows that it behaves as; undefined: none in particular. */
  get windowsBuild(): WindowsBuild | undefined {
    return this.boot.windowsBuild;
  }

  /** How the HPAT is laid out. */
  get hpatLayout(): HpatLayout {
    return this.boot.hpatLayout;
  }

  /** Are indirect branches of x64 kernel images replaced by retpolines? */
  get retpoline(): boolean {
    return this.boot.retpoline;
  }

  /** Is virtualization-based security on? */
  get secureKernelRunning(): boolean {
    return this.boot.vbs;
  }

  /** Processes that have not ended, minimal ones too. */
  get processes(): readonly Process[] {
    return this.#parts.processes.all;
  }

  /** PsLoadedModuleList in kernel memory. */
  get loadedModules(): LoadedModuleList {
    return this.#parts.space.loadedModules;
  }

  /** Sessions that were created. */
  get sessions(): readonly Session[] {
    return this.#parts.space.sessions;
  }

  /** Lab time: 100 ns units since 1601, one for each instruction since boot. */
  get now(): bigint {
    return BOOT_TIME + this.scheduler.time;
  }

  /** Every thread that has not ended. */
  get threads(): readonly Thread[] {
    return this.scheduler.threads;
  }

  /** Every place that images are loaded into: kernel space, sessions, processes, VTL1. */
  get domains(): readonly ImageDomain[] {
    return this.#parts.domains.all;
  }

  /** Every place that holds an image with this checksum and timestamp; patch images are not counted. */
  imagesOf(identity: ImageIdentity): ImageInstance[] {
    assertArgument(IDENTITY, identity, 'imagesOf(identity)');
    return instancesOf(this.domains, identity);
  }

  /** Loads an image into kernel space or another domain: {@link ImageLoader.load}. */
  loadImage(image: PeImage, options: LoadImageOptions = {}): LoadedImage {
    assertArgument(LOADING, options, 'loadImage(options)');
    const { domain = this.domain, ...rest } = options;
    assertLoading(image, rest, 'loadImage');
    assertOwn(this.machine, { domain }, 'loadImage: domain');
    return this.loader.load(domain, image, rest);
  }

  /** Takes the image and its HPAT out of the address space, without running its code. The caller makes sure that nothing runs in it. */
  unloadImage(loaded: LoadedImage): void {
    assertArgument(IMAGE, loaded, 'unloadImage(image)');
    assertOwn(this.machine, loaded, 'unloadImage(image)');
    this.bugChecks.assertRunning(`unload ${loaded.baseDllName}`);
    this.machine.assertIdle(`unload ${loaded.baseDllName}`);
    loaded.assertMapped();
    this.loader.unload(loaded);
  }

  /** Calls `routine` for each image that has been mapped and bound, before its first instruction runs (a load-image notify routine). */
  onImageLoad(routine: (image: LoadedImage) => void): void {
    assertArgument(FUNCTION, routine, 'onImageLoad(routine)');
    this.#parts.routines.onLoad(routine);
  }

  /** Calls `routine` for each image that has been taken out. */
  onImageUnload(routine: (image: LoadedImage) => void): void {
    assertArgument(FUNCTION, routine, 'onImageUnload(routine)');
    this.#parts.routines.onUnload(routine);
  }

  /** A process with its own user address space, and its EXE if there is one. */
  createProcess(options: ProcessOptions): Process {
    return this.#parts.processes.create(options);
  }

  /** The exports that every process of this width can import. */
  userServices(options: { readonly wow64?: boolean } = {}): ExportTable {
    assertArgument(USER_SERVICES, options, 'userServices(options)');
    return this.#parts.exports.user(options.wow64 ?? this.boot.runsWow64);
  }

  /** A logon session with its own session space. */
  createSession(): Session {
    this.bugChecks.assertRunning('create a session');
    const session = this.#parts.space.createSession(this);
    this.events.emit({ kind: 'sessionCreated', text: `session ${session.id} is created` });
    return session;
  }

  /**
   * Lets the HotPatch process see a session's space, by switching its root entry (MiAttachSession), until what is
   * returned is disposed of. One session at a time.
   */
  attachSession(session: ImageSession): Disposable {
    assertArgument(SESSION, session, 'attachSession(session)');
    this.#parts.seams.before?.({ kind: 'attachSession' });
    return this.#parts.space.attach(this.hotPatchProcess, session);
  }

  /** A thread that will call the function at `address` with integer or pointer arguments. It runs in `run` and `call`. */
  createThread(address: bigint, parameters: Arguments = [], options: ThreadOptions | string = {}): Thread {
    const given = typeof options === 'string' ? { name: options } : options;
    assertArgument(THREAD, given, 'createThread(options)');
    return this.#parts.runner.createThread(address, parameters, given);
  }

  /** Ends a thread wherever it is, and gives back its stack and its TEB. */
  destroyThread(thread: Thread): void {
    assertArgument(THREAD_OBJECT, thread, 'destroyThread(thread)');
    assertOwn(this.machine, thread, 'destroyThread(thread)');
    this.#parts.runner.destroy(thread);
  }

  /** Runs all threads on all processors until a condition holds; throws when it never will, or when a thread crashes. */
  run(options: RunOptions = {}): RunResult {
    assertArgument(RUN, options, 'run(options)');
    if (options.until !== undefined)
      for (const { thread } of [options.until].flat()) assertOwn(this.machine, thread, 'run: until');
    return this.#parts.runner.run(options);
  }

  /**
   * Calls a function on a thread of its own, which runs alone: every other thread stands still until it has returned.
   * The result is taken as a C `int`.
   */
  call(address: bigint, parameters: Arguments = [], options: ThreadOptions = {}): number {
    return asInt(this.call64(address, parameters, options));
  }

  /** As {@link call}, but returns the whole result register: pointers and 64-bit integers. */
  call64(address: bigint, parameters: Arguments = [], options: ThreadOptions = {}): bigint {
    assertArgument(THREAD, options, 'call64(options)');
    return this.#parts.runner.call64(address, parameters, options);
  }

  /** As {@link call}, but returns the finished thread with everything that is known about it. */
  callThread(address: bigint, parameters: Arguments = [], options: ThreadOptions = {}): Thread {
    assertArgument(THREAD, options, 'callThread(options)');
    return this.#parts.runner.callThread(address, parameters, options);
  }

  /**
   * Tells `listener` of each guest function that the kernel is asked to call, or to start a thread at, before it does,
   * until what is returned is disposed of. Deferred procedure calls are not told.
   */
  onCall(listener: (call: GuestFunctionCall) => void): Disposable {
    assertArgument(FUNCTION, listener, 'onCall(listener)');
    return this.#parts.runner.onCall(listener);
  }

  /**
   * Gathers all processors in a generic DPC and does something while no thread executes anything.
   * @throws KernelError `rendezvous.timeout` when a processor does not come; `action` has not been called then
   */
  rendezvous<T>(action: () => T, options: { readonly timeout?: number } = {}): T {
    assertArgument(FUNCTION, action, 'rendezvous(action)');
    using _ = this.gatherProcessors(options);
    return action();
  }

  /** The first half of {@link rendezvous}: the processors stand still until what is returned is disposed of. */
  gatherProcessors(options: { readonly timeout?: number } = {}): Disposable {
    assertArgument(GATHERING, options, 'gatherProcessors(options)');
    const { timeout = RENDEZVOUS_TIMEOUT } = options;
    this.bugChecks.assertRunning('gather the processors');
    this.#parts.seams.before?.({ kind: 'gatherProcessors' });
    return this.scheduler.gather(timeout);
  }

  /** The process whose session, user space or kernel space an address lies in, by the images there. */
  domainOf(address: bigint): ImageDomain {
    return this.#parts.domains.of(address);
  }

  /** `module!symbol+0x12` */
  describe(address: bigint): string {
    return this.#parts.domains.describe(address);
  }

  /** Gives back what the machine holds; it can be used no more. */
  [Symbol.dispose](): void {
    this.machine[Symbol.dispose]();
  }

  /** What identifies it, where it is printed. */
  toJSON() {
    return {
      architecture: this.architecture.name,
      processes: this.processes.length,
      threads: this.threads.length,
    };
  }

  get [Symbol.toStringTag](): string {
    return 'Kernel';
  }

  [INSPECT](): string {
    return printed(this[Symbol.toStringTag], this.toJSON());
  }
}
