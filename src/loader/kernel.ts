import {
  type ArchitectureName,
  type Exit,
  formatAddress,
  Machine,
  PAGE_SIZE,
  type Processor,
  type ProcessorContext,
} from '../cpu/index.js';
import { type PeImage, type SymbolTable, symbolsFromExports } from '../image/index.js';
import { type BoundImport, resolveImports } from './bind-imports.js';
import { crashOf, GuestCrash } from './crash.js';
import { KernelError } from './error.js';
import { EventLog } from './events.js';
import { ntoskrnl } from './exports/ntoskrnl.js';
import { HotPatchAddressTable, type HpatLayout, hotPatchReserveSize } from './hpat.js';
import { ImageDomain } from './image-domain.js';
import { KernelImageWriter } from './image-writer.js';
import { systemLayout } from './layout.js';
import { LoadedImage, type LoadReason } from './loaded-image.js';
import { imageViews, mapImage, pages, relocate, unmapImage } from './map-image.js';
import { Pool } from './pool.js';
import { SeededRandom } from './random.js';
import { type RunResult, Scheduler } from './scheduler.js';
import { calleePops, type ServiceCall, ServiceTable } from './services.js';
import { hex } from './text.js';
import { Thread, type ThreadCondition } from './thread.js';

export interface BootOptions {
  readonly architecture: ArchitectureName;
  /** Default 1. */
  readonly processors?: number;
  /** Bytes, of `Session Manager\Memory Management`; 0 turns hotpatching off. Default 0x1000. */
  readonly hotPatchTableSize?: number;
  /** `pointers` boots a system whose hotpatch engine is of the earlier generation. Default `pairs`. */
  readonly hpatLayout?: HpatLayout;
  /** Is virtualization-based security on? Default true; without it hotpatching is disabled. */
  readonly vbs?: boolean;
  readonly instructionFetch?: 'coherent' | 'weak';
  /** Decides the length of time slices. Default 1. */
  readonly seed?: number;
  /** Bytes of physical memory. */
  readonly memorySize?: number;
}

export interface LoadOptions {
  /** BaseDllName; default: the file's name. */
  readonly name?: string;
  readonly symbols?: SymbolTable;
  readonly loadReason?: LoadReason;
  /** Run the image's entry point (DriverEntry, DllMain). Default true, but for patch images. */
  readonly initialize?: boolean;
}

const STACK_SIZE = 0x8000;
const CALL_LIMIT = 50_000_000;
const STATUS_FAILURE = 0x8000_0000n;
const DLL_PROCESS_ATTACH = 1n;
const IMAGE_SUBSYSTEM_NATIVE = 1;

/** The simulated NT kernel: boots, loads images with their HPAT, runs threads, serves what guest code asks for. */
export class Kernel implements Disposable {
  readonly machine: Machine;
  readonly events = new EventLog();
  /** Is virtualization-based security on? */
  readonly secureKernelRunning: boolean;
  /** Kernel space and PsLoadedModuleList. */
  readonly domain: ImageDomain;
  readonly services: ServiceTable;
  readonly pool: Pool;
  readonly scheduler: Scheduler;
  /** How the HPAT is laid out: the generation of the hotpatch engine. */
  readonly hpatLayout: HpatLayout;
  /** Bytes reserved behind each image; 0 when hotpatching is off. */
  readonly hotPatchReserveSize: number;
  readonly #registersAtReset: ProcessorContext;
  readonly #imageLoadRoutines: ((image: LoadedImage) => void)[] = [];
  #threadId = 4;

  static boot(options: BootOptions): Kernel {
    return new Kernel(options);
  }

  private constructor(options: BootOptions) {
    const { architecture, processors = 1, hotPatchTableSize = PAGE_SIZE, vbs = true, seed = 1 } = options;
    this.hotPatchReserveSize = hotPatchReserveSize(hotPatchTableSize);
    this.machine = Machine.create({
      architecture,
      processors,
      seed,
      vbs,
      instructionFetch: options.instructionFetch ?? 'coherent',
      ...(options.memorySize === undefined ? {} : { memorySize: options.memorySize }),
    });
    const layout = systemLayout(architecture);
    const table = this.machine.createPageTable({ ...layout, name: 'system' });
    const space = this.machine.createAddressSpace('system', [table]);
    const writer = new KernelImageWriter(this.machine, space, vbs);
    this.domain = new ImageDomain('system', this.machine, space, table, layout, writer);
    this.services = new ServiceTable(this.domain);
    this.services.define(ntoskrnl());
    this.pool = new Pool(this.domain);
    this.secureKernelRunning = vbs;
    this.hpatLayout = options.hpatLayout ?? 'pairs';
    this.scheduler = new Scheduler(this.machine, new SeededRandom(seed), (thread, processor, exit) =>
      this.#handleExit(thread, processor, exit),
    );
    const [first] = this.machine.processors;
    if (first === undefined) throw new RangeError('a machine has at least one processor');
    this.#registersAtReset = first.saveContext();
    this.events.emit({
      kind: 'booted',
      text:
        `boot: ${architecture}, ${processors} processor${processors === 1 ? '' : 's'}, VBS ${vbs ? 'on' : 'off'}; ` +
        `HotPatchTableSize ${hex(hotPatchTableSize)}: ${this.hotPatchingEnabled ? `${hex(this.hotPatchReserveSize)} bytes reserved behind each image` : 'hotpatching is disabled'}`,
    });
  }

  /** HotPatchingEnabled of _MI_HOT_PATCH_STATE: a reserve, and a Secure Kernel that runs. */
  get hotPatchingEnabled(): boolean {
    return this.hotPatchReserveSize !== 0 && this.secureKernelRunning;
  }

  /**
   * Loads a driver, or for now also a DLL as an export driver: maps it with its protections, relocates it, binds its
   * imports, reserves its HPAT, and runs its entry point. Nothing is left behind when any of that fails.
   */
  loadImage(image: PeImage, options: LoadOptions = {}): LoadedImage {
    const { architecture } = this.machine;
    const name = options.name ?? image.file?.replace(/^.*[\\/]/, '') ?? 'image';
    if (image.architecture !== architecture.name)
      throw new KernelError({
        rule: 'machineMismatch',
        status: 'STATUS_IMAGE_MACHINE_TYPE_MISMATCH',
        image: name,
        message: `is for ${image.architecture ?? image.machine}, this machine is ${architecture.name}`,
      });
    const views = imageViews(image, name);
    const loadReason = options.loadReason ?? 'DynamicLoad';
    const sizeOfImage = pages(image.optionalHeader.sizeOfImage) * PAGE_SIZE;
    const dllBase = this.domain.allocate('images', sizeOfImage + this.hotPatchReserveSize);
    const layout = image.layOut();
    relocate(layout, image, dllBase, name);
    const imports = resolveImports(image, this.domain, this.services);
    bind(layout, imports, architecture.pointerSize);
    mapImage(this.domain, layout, views, dllBase);
    const hpat =
      this.hotPatchReserveSize === 0
        ? undefined
        : new HotPatchAddressTable(
            dllBase + BigInt(sizeOfImage),
            this.hotPatchReserveSize,
            this.domain.addressSpace,
            this.domain.table,
            this.hpatLayout,
          );
    const symbols = options.symbols ?? symbolsFromExports(image);
    const loaded = new LoadedImage({
      baseDllName: name,
      dllBase,
      image,
      domain: this.domain,
      symbols,
      loadReason,
      hpat,
    });
    this.domain.images.push(loaded);
    this.#announce(loaded, imports);
    loaded.rememberCode();
    try {
      for (const routine of this.#imageLoadRoutines) routine(loaded);
      if (options.initialize ?? loadReason !== 'PatchImage') this.#initialize(loaded);
    } catch (error) {
      this.unloadImage(loaded);
      throw error;
    }
    return loaded;
  }

  /** Calls `routine` for each image that has been mapped, before its first instruction runs (a load-image notify routine). */
  onImageLoad(routine: (image: LoadedImage) => void): void {
    this.#imageLoadRoutines.push(routine);
  }

  /** Every thread that has not ended. */
  get threads(): readonly Thread[] {
    return this.scheduler.threads;
  }

  /** Takes the image and its HPAT out of the address space. The caller makes sure that nothing runs in it. */
  unloadImage(loaded: LoadedImage): void {
    const index = this.domain.images.indexOf(loaded);
    if (index < 0) return;
    this.domain.images.splice(index, 1);
    unmapImage(this.domain, loaded.dllBase, loaded.sizeOfImage);
    if (loaded.hpat !== undefined)
      this.domain.table.release(loaded.hpat.base, loaded.hpat.reserveSize / PAGE_SIZE);
    this.events.emit({ kind: 'imageUnloaded', text: `unloaded ${loaded.baseDllName}` });
  }

  /** A thread that will call the function at `address` with integer or pointer arguments. It runs in `run` and `call`. */
  createThread(address: bigint, parameters: readonly (bigint | number)[] = [], name = 'thread'): Thread {
    const size = STACK_SIZE;
    const base = this.domain.allocateMemory('stacks', size);
    const thread = new Thread(this.#threadId, name, this.domain, { base, size }, (processor) => {
      processor.loadContext(this.#registersAtReset);
      this.machine.architecture.prepareCall(processor, {
        target: address,
        arguments: parameters,
        stackTop: base + BigInt(size),
      });
    });
    this.#threadId += 4;
    this.scheduler.add(thread);
    return thread;
  }

  /** Runs all threads on all processors until a condition holds; throws when it never will, or when a thread crashes. */
  run(
    options: { until?: ThreadCondition | readonly ThreadCondition[]; instructions?: number } = {},
  ): RunResult {
    const until = options.until === undefined ? [] : [options.until].flat();
    for (const { thread } of until) if (!thread.finished) this.scheduler.place(thread);
    const result = this.scheduler.run(until, options.instructions ?? CALL_LIMIT);
    this.#judge(until, result, options.instructions !== undefined);
    return result;
  }

  /** Calls a function on a thread of its own, which runs alone: every other thread stands still until it has returned. */
  call(address: bigint, parameters: readonly (bigint | number)[] = []): bigint {
    return this.callThread(address, parameters).returnValue ?? 0n;
  }

  /** As {@link call}, but returns the finished thread with everything that is known about it. */
  callThread(address: bigint, parameters: readonly (bigint | number)[] = []): Thread {
    const thread = this.createThread(address, parameters, 'call');
    try {
      this.#judge([thread.returns()], this.scheduler.runAlone(thread, CALL_LIMIT));
    } finally {
      this.scheduler.remove(thread);
      this.domain.freeMemory(thread.stack.base, thread.stack.size);
    }
    return thread;
  }

  /** `module!symbol+0x12` */
  describe(address: bigint): string {
    return (
      this.domain.imageAt(address)?.describe(address) ??
      formatAddress(this.machine.architecture.name, address)
    );
  }

  [Symbol.dispose](): void {
    this.machine[Symbol.dispose]();
  }

  #announce(loaded: LoadedImage, imports: readonly BoundImport[]): void {
    const { name } = this.machine.architecture;
    const missing = imports
      .filter((entry) => entry.origin === 'missing')
      .map((entry) => `${entry.module}!${entry.name}`);
    this.events.emit({
      kind: 'imageLoaded',
      text:
        `loaded ${loaded.baseDllName} at ${formatAddress(name, loaded.dllBase)}, size ${hex(loaded.sizeOfImage)}, ` +
        `checksum ${hex(loaded.checkSum)}, timestamp ${hex(loaded.timeDateStamp)}` +
        (loaded.hpat === undefined ? '' : `; HPAT reserved at ${formatAddress(name, loaded.hpat.base)}`) +
        (missing.length === 0 ? '' : `; not modelled: ${missing.join(', ')}`),
    });
  }

  #initialize(loaded: LoadedImage): void {
    const { entryPoint } = loaded;
    if (entryPoint === undefined) return;
    const driver = loaded.image.optionalHeader.subsystem === IMAGE_SUBSYSTEM_NATIVE;
    const result = this.call(entryPoint, driver ? [0n, 0n] : [loaded.dllBase, DLL_PROCESS_ATTACH, 0n]);
    const failed = driver ? (result & STATUS_FAILURE) !== 0n : (result & 0xffffffffn) === 0n;
    if (failed)
      throw new KernelError({
        rule: driver ? 'driverEntryFailed' : 'dllMainFailed',
        status: driver ? 'STATUS_UNSUCCESSFUL' : 'STATUS_DLL_INIT_FAILED',
        image: loaded.baseDllName,
        message: `${driver ? 'DriverEntry' : 'DllMain'} returned ${hex(result & 0xffffffffn)}`,
      });
  }

  /** Throws what became of a run that was to end with one of these conditions. */
  #judge(until: readonly ThreadCondition[], result: RunResult, limited = false): void {
    for (const { thread } of until)
      if (thread.crash !== undefined) throw new GuestCrash(thread, thread.crash);
    if (until.length > 0 && result.reason !== 'condition' && !limited)
      throw new KernelError({
        rule: 'conditionNeverMet',
        status: 'STATUS_IO_TIMEOUT',
        message: describeUnmet(until, result),
      });
  }

  #handleExit(thread: Thread, processor: Processor, exit: Exit): void {
    if (exit.reason === 'returned') {
      thread.returnValue = this.machine.architecture.result(processor);
      thread.state = 'terminated';
      return;
    }
    if (exit.reason === 'serviceCall' && this.#serve(thread, processor, exit.address)) return;
    thread.state = 'crashed';
    thread.crash = crashOf(thread, processor, exit);
    this.events.emit({
      kind: 'threadCrashed',
      text: `thread ${thread.id} (${thread.name}): ${thread.crash.text}`,
    });
  }

  #serve(thread: Thread, processor: Processor, address: bigint): boolean {
    const service = this.services.at(address);
    if (service === undefined) return false;
    const { architecture } = this.machine;
    const call: ServiceCall = {
      kernel: this,
      domain: this.domain,
      thread,
      processor,
      argument: (index) => architecture.argument(processor, index),
    };
    const result = service.entry.serve(call);
    if (typeof result === 'bigint' || typeof result === 'number')
      architecture.setResult(processor, BigInt(result));
    architecture.returnFromCall(processor, {
      calleePops: calleePops(service.entry, architecture.pointerSize),
    });
    return true;
  }
}

function bind(layout: Uint8Array, imports: readonly BoundImport[], pointerSize: 4 | 8): void {
  const view = new DataView(layout.buffer, layout.byteOffset, layout.byteLength);
  for (const { iatRva, address } of imports) {
    if (pointerSize === 8) view.setBigUint64(iatRva, address, true);
    else view.setUint32(iatRva, Number(address), true);
  }
}

function describeUnmet(until: readonly ThreadCondition[], result: RunResult): string {
  const wishes = until.map(({ thread, address }) =>
    address === undefined
      ? `thread ${thread.id} to return`
      : `thread ${thread.id} to reach ${thread.describe(address)}`,
  );
  const why =
    result.reason === 'idle'
      ? 'every thread has ended'
      : `${CALL_LIMIT} instructions were executed; ${until.map(({ thread }) => `thread ${thread.id} is at ${thread.describe(thread.pc)}`).join(', ')}`;
  return `waited for ${wishes.join(' or ')}, but ${why}`;
}
