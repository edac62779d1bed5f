import {
  type Architecture,
  architectureNamed,
  formatAddress,
  Machine,
  type PageTable,
} from '../cpu/index.js';
import type { PeImage } from '../image/index.js';
import {
  announceBoot,
  announcePhase1,
  type BootDecisions,
  type BootOptions,
  type BootSeams,
  decideBoot,
  fittingsOf,
  hotPatchingEnabled,
  KernelSpace,
} from './boot/index.js';
import { BOOT_TIME, EventLog, SeededRandom } from './common/index.js';
import { dispatchExit } from './dispatch/index.js';
import { ExportTable, kernelModules } from './exports/index.js';
import { Volume } from './files/index.js';
import {
  type HpatLayout,
  type ImageDomain,
  type ImageIdentity,
  type ImageInstance,
  ImageLoader,
  ImageSections,
  instancesOf,
  type LoadedImage,
  type LoadedModuleList,
  LoadImageRoutines,
  type LoadOptions,
  SystemFiles,
} from './images/index.js';
import { IoManager } from './io/index.js';
import { Pool, SYSTEM_SPACE } from './memory/index.js';
import { type Process, type ProcessOptions, ProcessTable, type Session } from './processes/index.js';
import { PatchGuard, SecureKernel } from './secure/index.js';
import { type SystemServices, systemServiceTable } from './services/index.js';
import {
  asInt,
  DpcQueues,
  type GuestFunctionCall,
  ModeContexts,
  type RunOptions,
  type RunResult,
  resultRegister,
  Scheduler,
  type Thread,
  type ThreadOptions,
  ThreadRunner,
} from './threads/index.js';

export interface LoadImageOptions extends LoadOptions {
  /** Default: {@link Kernel.domain}. */
  readonly domain?: ImageDomain;
}

type Arguments = readonly (bigint | number)[];

/** Instructions that threads at DISPATCH_LEVEL get to come to a rendezvous. */
const RENDEZVOUS_TIMEOUT = 100_000;

/** The simulated NT kernel: boots, holds processes and sessions, loads images with their HPAT, runs threads, serves what guest code asks for. */
export class Kernel implements Disposable {
  readonly machine: Machine;
  /** Of kernel code; x64 on a machine whose programs are 32-bit. */
  readonly architecture: Architecture;
  readonly boot: BootDecisions;
  readonly events = new EventLog();
  /** Kernel space and PsLoadedModuleList. */
  readonly system: ImageDomain;
  /**
   * Where images go when nobody says: kernel space; on a machine whose programs are 32-bit, the user space of its first
   * process.
   */
  readonly domain: ImageDomain;
  /** The simulated exports of the kernel. */
  readonly services: ExportTable;
  readonly systemServices: SystemServices;
  /** Drive C: of programs. */
  readonly volume: Volume;
  readonly pool: Pool;
  readonly scheduler: Scheduler;
  /** Deferred procedure calls and timers. */
  readonly dpcs: DpcQueues;
  readonly loader: ImageLoader;
  /** Devices, drivers and requests. */
  readonly io: IoManager;
  readonly sections = new ImageSections();
  /** Image files that are found by name when an image imports from them. */
  readonly files = new SystemFiles();
  /** VTL1; undefined without virtualization-based security. */
  readonly secureKernel: SecureKernel | undefined;
  readonly patchGuard: PatchGuard;
  /** For addresses and cookies; the scheduler has its own, so that these do not change interleavings. */
  readonly layoutRandom: SeededRandom;
  readonly systemProcess: Process;
  /** The minimal process of phase 1 that belongs to no session; undefined when hotpatching is disabled. */
  readonly hotPatchProcess: Process | undefined;
  readonly #space: KernelSpace;
  readonly #processes: ProcessTable;
  readonly #routines = new LoadImageRoutines(this.events);
  readonly #runner: ThreadRunner;
  readonly #seams: BootSeams;
  readonly #callListeners = new Set<(call: GuestFunctionCall) => void>();
  #nextId = 4;

  static boot(options: BootOptions): Kernel {
    return new Kernel(options);
  }

  private constructor(options: BootOptions) {
    this.boot = decideBoot(options);
    this.#seams = options.seams ?? {};
    const { architecture, processors, vbs, seed } = this.boot;
    this.machine = Machine.create({
      architecture,
      processors,
      seed,
      vbs,
      instructionFetch: options.instructionFetch ?? 'coherent',
      ...(options.memorySize === undefined ? {} : { memorySize: options.memorySize }),
      beforeAllocation: () => this.#seams.before?.({ kind: 'page' }),
    });
    const fittings = fittingsOf(this.#seams);
    this.architecture = architecture === 'x86' ? architectureNamed('x64') : this.machine.architecture;
    this.layoutRandom = new SeededRandom(seed + 0x5eed);
    this.#runner = new ThreadRunner(this, new ModeContexts(this.machine), () => this.#newId());
    this.services = new ExportTable(fittings.region('kernel exports', SYSTEM_SPACE.services));
    for (const module of kernelModules()) this.services.define(module);
    this.#space = new KernelSpace(this.machine, this.architecture, this.boot, this.services, fittings);
    this.system = this.#space.system;
    this.#processes = new ProcessTable(this, this.#space, this.architecture, fittings, () => this.#newId());
    this.pool = new Pool(this.system);
    this.systemServices = systemServiceTable();
    this.loader = new ImageLoader(this);
    this.io = this.#createIoManager();
    this.patchGuard = new PatchGuard(this);
    this.dpcs = new DpcQueues((address, parameters, given) => {
      const thread = this.#runner.create(address, parameters, given);
      return { thread, destroy: () => this.#runner.destroy(thread) };
    });
    this.scheduler = new Scheduler({
      machine: this.machine,
      random: new SeededRandom(seed),
      dpcs: this.dpcs,
      dispatchExit: (thread, processor, exit) => dispatchExit(this, thread, processor, exit),
    });
    this.volume = new Volume(() => this.now);
    this.machine.addStatePart(this.volume);
    announceBoot(this.boot, this.events);
    this.secureKernel = vbs ? new SecureKernel(this, this.machine, fittings) : undefined;
    this.systemProcess = this.#processes.createMinimal('System', this.system);
    this.hotPatchProcess = this.hotPatchingEnabled
      ? this.#processes.createMinimal('HotPatch', this.#space.createHotPatchDomain())
      : undefined;
    announcePhase1(this.boot, this.events);
    this.domain = architecture === 'x86' ? this.createProcess({ name: 'program.exe' }).domain : this.system;
  }

  /** HotPatchingEnabled of _MI_HOT_PATCH_STATE: a reserve, and a Secure Kernel that runs. */
  get hotPatchingEnabled(): boolean {
    return hotPatchingEnabled(this.boot);
  }

  /** Bytes reserved behind each image; 0 when hotpatching is off. */
  get hotPatchReserveSize(): number {
    return this.boot.hotPatchReserveSize;
  }

  get hpatLayout(): HpatLayout {
    return this.boot.hpatLayout;
  }

  get retpoline(): boolean {
    return this.boot.retpoline;
  }

  /** Is virtualization-based security on? */
  get secureKernelRunning(): boolean {
    return this.boot.vbs;
  }

  /** Processes that have not ended, minimal ones too. */
  get processes(): readonly Process[] {
    return this.#processes.all;
  }

  /** PsLoadedModuleList in kernel memory. */
  get loadedModules(): LoadedModuleList {
    return this.#space.loadedModules;
  }

  get sessions(): readonly Session[] {
    return this.#space.sessions;
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
    const processes = this.processes.filter((process) => !process.minimal).map((process) => process.domain);
    const sessions = this.sessions.map((session) => session.domain);
    const secure = this.secureKernel === undefined ? [] : [this.secureKernel.domain];
    return [this.system, ...sessions, ...processes, ...secure];
  }

  /** Every place that holds an image with this checksum and timestamp; patch images are not counted. */
  imagesOf(identity: ImageIdentity): ImageInstance[] {
    return instancesOf(this.domains, identity);
  }

  /** Loads an image into kernel space or another domain: {@link ImageLoader.load}. */
  loadImage(image: PeImage, options: LoadImageOptions = {}): LoadedImage {
    const { domain = this.domain, ...rest } = options;
    return this.loader.load(domain, image, rest);
  }

  /** Takes the image and its HPAT out of the address space, without running its code. The caller makes sure that nothing runs in it. */
  unloadImage(loaded: LoadedImage): void {
    this.loader.unload(loaded);
  }

  /** Calls `routine` for each image that has been mapped and bound, before its first instruction runs (a load-image notify routine). */
  onImageLoad(routine: (image: LoadedImage) => void): void {
    this.#routines.onLoad(routine);
  }

  /** Calls `routine` for each image that has been taken out. */
  onImageUnload(routine: (image: LoadedImage) => void): void {
    this.#routines.onUnload(routine);
  }

  /** For the image loader. */
  imageMapped(image: LoadedImage): void {
    this.#routines.mapped(image);
  }

  /** For the image loader. */
  imageUnmapped(image: LoadedImage): void {
    this.#routines.unmapped(image, this.system);
  }

  /** A process with its own user address space, and its EXE if there is one. */
  createProcess(options: ProcessOptions): Process {
    return this.#processes.create(options);
  }

  /** The exports that every process of this width can import. */
  userServices(options: { readonly wow64?: boolean } = {}): ExportTable {
    return this.#processes.userServices(options.wow64 ?? this.boot.architecture === 'x86');
  }

  /** A logon session with its own session space. */
  createSession(): Session {
    const session = this.#space.createSession(this);
    this.events.emit({ kind: 'sessionCreated', text: `session ${session.id} is created` });
    return session;
  }

  /**
   * Lets the HotPatch process see a session's space, by switching its root entry (MiAttachSession), until what is
   * returned is disposed of. One session at a time.
   */
  attachSession(session: Session): Disposable {
    this.#seams.before?.({ kind: 'attachSession' });
    return this.#space.attach(this.hotPatchProcess, session);
  }

  /** A thread that will call the function at `address` with integer or pointer arguments. It runs in `run` and `call`. */
  createThread(address: bigint, parameters: Arguments = [], options: ThreadOptions | string = {}): Thread {
    const given = typeof options === 'string' ? { name: options } : options;
    this.#tell(address, parameters, given);
    return this.#runner.create(address, parameters, given);
  }

  /** Ends a thread wherever it is, and gives back its stack and its TEB. */
  destroyThread(thread: Thread): void {
    this.#runner.destroy(thread);
  }

  /** Runs all threads on all processors until a condition holds; throws when it never will, or when a thread crashes. */
  run(options: RunOptions = {}): RunResult {
    return this.#runner.run(options);
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
    const perform = (target: bigint) => resultRegister(this.callThread(target, parameters, options));
    const { call } = this.#seams;
    return call === undefined
      ? perform(address)
      : call(this.#describeCall(address, parameters, options), perform);
  }

  /** As {@link call}, but returns the finished thread with everything that is known about it. */
  callThread(address: bigint, parameters: Arguments = [], options: ThreadOptions = {}): Thread {
    this.#tell(address, parameters, options);
    return this.#runner.call(address, parameters, options);
  }

  /**
   * Tells `listener` of each guest function that the kernel is asked to call, or to start a thread at, before it does.
   * Deferred procedure calls and what guest code calls itself are not told.
   */
  onCall(listener: (call: GuestFunctionCall) => void): Disposable {
    this.#callListeners.add(listener);
    return { [Symbol.dispose]: () => void this.#callListeners.delete(listener) };
  }

  #tell(target: bigint, parameters: Arguments, options: ThreadOptions): void {
    if (this.#callListeners.size === 0) return;
    const call = this.#describeCall(target, parameters, options);
    for (const listener of [...this.#callListeners]) listener(call);
  }

  #describeCall(target: bigint, parameters: Arguments, options: ThreadOptions): GuestFunctionCall {
    const domain = options.domain ?? this.domainOf(target);
    return { target, arguments: parameters, domain, initiator: this.loader.isBusy ? 'loader' : 'caller' };
  }

  /**
   * Gathers all processors in a generic DPC and does something while no thread executes anything.
   * @throws KernelError `rendezvous.timeout` when a processor does not come; `action` has not been called then
   */
  rendezvous<T>(action: () => T, options: { readonly timeout?: number } = {}): T {
    using _ = this.gatherProcessors(options);
    return action();
  }

  /** The first half of {@link rendezvous}: the processors stand still until what is returned is disposed of. */
  gatherProcessors({ timeout = RENDEZVOUS_TIMEOUT }: { readonly timeout?: number } = {}): Disposable {
    this.#seams.before?.({ kind: 'gatherProcessors' });
    return this.scheduler.gather(timeout);
  }

  /** The process whose session, user space or kernel space an address lies in, by the images there. */
  domainOf(address: bigint): ImageDomain {
    const { start, end } = this.system.table.range;
    if (address >= start && address < end) return this.system;
    const holder = this.domains.find(
      (domain) => domain !== this.system && domain.imageAt(address) !== undefined,
    );
    return holder ?? this.domains.find(({ table }) => inRange(table, address)) ?? this.system;
  }

  /** `module!symbol+0x12` */
  describe(address: bigint): string {
    const image = this.domainOf(address).imageAt(address);
    return image?.describe(address) ?? formatAddress(this.machine.architecture.name, address);
  }

  /** For {@link Process.terminate}. */
  processEnded(process: Process): void {
    this.#processes.ended(process);
  }

  [Symbol.dispose](): void {
    this.machine[Symbol.dispose]();
  }

  /** What it runs are calls of the system's own: nobody is told of them. */
  #createIoManager(): IoManager {
    const { machine, events, system, pool, services } = this;
    const kernel = this;
    return new IoManager({
      machine,
      events,
      system,
      pool,
      services,
      loadedModules: { entry: (image) => this.loadedModules.entry(image) },
      get threads() {
        return kernel.threads;
      },
      createThread: (address, parameters, options) => this.#runner.create(address, parameters, options),
      callThread: (address, parameters, options) => this.#runner.call(address, parameters, options),
      runAlone: (thread) => this.#runner.runAlone(thread),
      destroyThread: (thread) => this.#runner.destroy(thread),
    });
  }

  #newId(): number {
    const id = this.#nextId;
    this.#nextId += 4;
    return id;
  }
}

function inRange({ range }: PageTable, address: bigint): boolean {
  return address >= range.start && address < range.end;
}
