import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type DisassembledInstruction, disassemble, formatAddress, PAGE_SIZE } from '../cpu/index.js';
import {
  assertEngineOptions,
  bootOptionsFor,
  createEngine,
  type EngineName,
  type Engines,
  HotPatchError,
} from '../engine/index.js';
import { findSymbols, type PeImage, readImage, readNamedFile } from '../image/index.js';
import {
  ANY,
  anyOf,
  assertArgument,
  assertOwn,
  BOOT_OPTIONS,
  type BootOptions,
  BYTES,
  CODE,
  formatBytes,
  type ImageDomain,
  INSPECT,
  instanceOf,
  Kernel,
  KernelError,
  type LabEvent,
  LoadedImage,
  type LoadOptions,
  optional,
  optionsOf,
  Process,
  type ProcessOptions,
  printed,
  processOf,
  type RunResult,
  type SecureKernel,
  Session,
  TEXT,
  type Thread,
  type ThreadCondition,
  WHOLE,
} from '../loader/index.js';
import { DeviceHandle, type OpenDeviceOptions } from './device-handle.js';
import { addressOf, domainOf, type Place } from './place.js';
import { currentScenarioRun } from './scenario.js';

/** A file: a path relative to the working folder, or a URL (`new URL('demo.sys', import.meta.url)`). */
export type FileSource = string | URL;

/** What a guest function is called with: an integer or an address, as wide as its register. */
export type Argument = bigint | number;

const PAGE = BigInt(PAGE_SIZE);

/** How a machine is booted, and which engine it has. */
export interface LabOptions<N extends EngineName = EngineName> extends BootOptions {
  /**
   * Which of Windows' two hotpatch engines the machine has: that of Server 2022 and Windows 11, or that of Server 2003
   * SP1, which knew neither an HPAT nor a Secure Kernel. Default `modern`.
   */
  readonly engine?: N;
  /** What the engine may be told beforehand. */
  readonly engineOptions?: Engines[N]['options'];
}

const LAB_OPTIONS = optionsOf<LabOptions>({
  ...BOOT_OPTIONS,
  engine: optional(ANY),
  engineOptions: optional(ANY),
});

const PROCESS = instanceOf(Process, 'a process: what createProcess returns');
const SESSION = instanceOf(Session, 'a session: what createSession returns');
const LOAD_HOT_PATCH = optionsOf<{ readonly name?: string }>({ name: optional(TEXT) });
const OPENING = optionsOf<OpenDeviceOptions>({
  process: optional(PROCESS),
  access: optional(CODE),
});
/** Options, or what is in a domain: a process, an image. */
const ALLOCATION = anyOf(
  [
    optionsOf<{ readonly domain?: Place }>({ domain: optional(ANY) }),
    instanceOf(Process, ''),
    instanceOf(LoadedImage, ''),
  ],
  'an object of options: { domain }',
);
const BYTES_OR_TEXT = anyOf([BYTES, TEXT], 'bytes: a Uint8Array, or text');

/**
 * A booted machine with its kernel, Secure Kernel and hotpatch engine: what a scenario plays with. `Lab` alone is one
 * with either engine; `Lab<'modern'>` and `Lab<'server-2003'>` say which.
 */
export class Lab<N extends EngineName = EngineName> implements Disposable {
  /** The simulated kernel: processes, images, threads, scheduler. */
  readonly kernel: Kernel;
  /** The hotpatch engine. */
  readonly engine: Engines[N]['engine'];
  /** Who opens devices when nobody says. */
  #program: Process | undefined;

  private constructor(name: N, boot: BootOptions, engineOptions: Engines[N]['options'] | undefined) {
    this.kernel = Kernel.boot(boot);
    this.engine = createEngine(name, this.kernel, engineOptions);
  }

  /**
   * Boots a machine. Inside a scenario its seed and transcript are the scenario's.
   * @throws KernelError `boot.option` for an option that there is not, or that has a value it cannot have
   * @throws HotPatchError `engine.boot` when a system of that engine never had what the options ask for
   */
  static boot<N extends EngineName = 'modern'>(options: LabOptions<N>): Lab<N> {
    assertArgument(LAB_OPTIONS, options, '', 'boot.option');
    const { engine: chosen, engineOptions, ...boot } = options;
    // Without a choice N is 'modern'.
    const engine = (chosen ?? 'modern') as N;
    const run = currentScenarioRun();
    const seed = boot.seed ?? run?.seed;
    const asked = { ...boot, ...(seed === undefined ? {} : { seed }) };
    const fitting = bootOptionsFor(engine, asked, run?.boot);
    assertEngineOptions(engine, engineOptions);
    const lab = new Lab(engine, fitting, engineOptions);
    if (run !== undefined) {
      run.labs.add(lab);
      for (const event of lab.events) run.record(event);
      lab.kernel.events.on(run.record);
      run.onBoot?.(lab);
    }
    return lab;
  }

  /** Everything that happened so far. */
  get events(): readonly LabEvent[] {
    return this.kernel.events.all;
  }

  /** The transcript as text, one event a line. */
  get transcript(): string {
    return this.kernel.events.toString();
  }

  /** Loads a driver and runs its DriverEntry. Symbols come from the PDB or map beside it. */
  loadDriver(file: FileSource): LoadedImage {
    return this.loadImage(file);
  }

  /**
   * Loads a driver or a DLL that kernel code imports from, and runs its entry point. On a machine whose programs are
   * 32-bit: loads it into its first process.
   * @throws KernelError `userModeImage` when it can run in a process only, and {@link loadDll} is what loads it
   */
  loadImage(file: FileSource): LoadedImage {
    return this.#load(this.kernel.domain, file);
  }

  /** A process, with its EXE if there is one; `loadDll` loads DLLs into it. */
  createProcess(options: string | ProcessOptions): Process {
    return this.kernel.createProcess(typeof options === 'string' ? { name: options } : options);
  }

  /** A logon session; {@link loadSessionDriver} loads drivers into it. */
  createSession(): Session {
    return this.kernel.createSession();
  }

  /** Puts an image where the loader finds it when another one imports from it. */
  addFile(file: FileSource): void {
    const { path, image } = open(file);
    this.kernel.files.add(basename(path), image, { symbols: findSymbols({ image, path }).table });
  }

  /** Loads a DLL into a process, with what it imports, and runs its DllMain there. */
  loadDll(process: Process, file: FileSource): LoadedImage {
    assertArgument(PROCESS, process, 'loadDll(process)');
    assertOwn(this.kernel.machine, process, 'loadDll(process)');
    return process.loadImage(...described(file));
  }

  /** Loads a session driver into one session. */
  loadSessionDriver(session: Session, file: FileSource): LoadedImage {
    assertArgument(SESSION, session, 'loadSessionDriver(session)');
    assertOwn(this.kernel.machine, session, 'loadSessionDriver(session)');
    return this.#load(session.domain, file);
  }

  /** Loads an image into VTL1: a module of the Secure Kernel, or the hypervisor. */
  loadSecureImage(file: FileSource): LoadedImage {
    return this.#load(this.secureKernel.domain, file);
  }

  /**
   * VTL1: the Secure Kernel, its modules and the hypervisor.
   * @throws KernelError `secureKernelNotRunning` without virtualization-based security
   */
  get secureKernel(): SecureKernel {
    const { secureKernel } = this.kernel;
    if (secureKernel !== undefined) return secureKernel;
    throw new KernelError({
      rule: 'secureKernelNotRunning',
      status: 'STATUS_NOT_SUPPORTED',
      place: 'vtl1',
      message: 'there is no VTL1 without virtualization-based security',
      hint: 'boot the machine with vbs: true (the default of the modern engine)',
    });
  }

  #load(domain: ImageDomain, file: FileSource): LoadedImage {
    const [image, options] = described(file);
    refuseUserImage(this.kernel, domain, image, options.name);
    return this.kernel.loadImage(image, { ...options, domain });
  }

  /**
   * Loads a hotpatch image and applies it to its base, or registers it until its base comes.
   * @throws HotPatchError when it is refused: everything is then as it was
   */
  loadHotPatch(file: FileSource, options: { readonly name?: string } = {}): Engines[N]['patch'] {
    assertArgument(LOAD_HOT_PATCH, options, 'loadHotPatch(options)');
    const [image, found] = described(file);
    const { symbols } = found;
    return this.engine.load(image, {
      name: options.name ?? found.name,
      ...(symbols === undefined ? {} : { symbols }),
    });
  }

  /**
   * Takes the patch back: its functions run again what they ran before it.
   * @throws HotPatchError `patch.engine` when it was loaded by another lab
   */
  unloadHotPatch(patch: Engines[N]['patch']): void {
    if (!this.engine.patches.some((own) => own === patch))
      throw new HotPatchError({
        rule: 'patch.engine',
        status: 'STATUS_INVALID_PARAMETER',
        place: 'unloadHotPatch',
        message: 'it is no hotpatch that this lab has loaded',
        hint: 'give what loadHotPatch of this lab returned',
      });
    this.engine.unload(patch);
  }

  /** A thread that will call the function at `address`. It runs when `run` or `call` does. */
  startThread(address: bigint, parameters: readonly Argument[] = []): Thread {
    return this.kernel.createThread(address, parameters);
  }

  /**
   * Opens a device, `\\.\Name`, as a program does.
   * @throws DeviceOpenError when there is none, or its driver refuses
   */
  open(path: string, options: OpenDeviceOptions = {}): DeviceHandle {
    assertArgument(TEXT, path, 'open(path)');
    assertArgument(OPENING, options, 'open(options)');
    const { process, access } = options;
    if (process !== undefined) assertOwn(this.kernel.machine, process, 'open: process');
    const opener = process ?? this.#ownProgram();
    return DeviceHandle.open(this.kernel, opener, path, access);
  }

  #ownProgram(): Process {
    if (this.#program?.terminated !== false)
      this.#program = processOf(this.kernel.domain) ?? this.createProcess('lab.exe');
    return this.#program;
  }

  /** Runs every thread until a condition holds: `lab.run({ until: thread.reaches(address) })`. */
  run(
    options: { until?: ThreadCondition | readonly ThreadCondition[]; instructions?: number } = {},
  ): RunResult {
    return this.kernel.run(options);
  }

  /** Calls a function and returns its result as a C `int`. */
  call(address: bigint, parameters: readonly Argument[] = []): number {
    return this.kernel.call(address, parameters);
  }

  /** Calls a function and returns the whole result register: pointers and 64-bit integers. */
  call64(address: bigint, parameters: readonly Argument[] = []): bigint {
    return this.kernel.call64(address, parameters);
  }

  /**
   * Puts bytes into memory of their own for the guest to read and write, and returns the address. A string becomes its
   * Latin-1 bytes with a NUL behind them.
   * @param options `domain`: whose memory. Default: that of {@link loadImage}
   */
  allocate(bytes: Uint8Array | string, options: { readonly domain?: Place } = {}): bigint {
    assertArgument(BYTES_OR_TEXT, bytes, 'allocate(bytes)');
    assertArgument(ALLOCATION, options, 'allocate(options)');
    const domain = domainOf(this.kernel, options.domain ?? this.kernel);
    const data = typeof bytes === 'string' ? Buffer.from(`${bytes}\0`, 'latin1') : bytes;
    const address = domain.allocateMemory('pool', Math.max(1, data.length));
    domain.addressSpace.write(address, data);
    return address;
  }

  /**
   * Puts machine code into executable memory of its own, and returns the address.
   * @param options `domain`: whose memory, as for {@link allocate}
   */
  allocateCode(code: Uint8Array, options: { readonly domain?: Place } = {}): bigint {
    assertArgument(BYTES, code, 'allocateCode(code)');
    assertArgument(ALLOCATION, options, 'allocateCode(options)');
    const domain = domainOf(this.kernel, options.domain ?? this.kernel);
    const address = this.allocate(code, { domain });
    // The pool of a session is kernel space.
    const { start, end } = domain.table.range;
    const { table } = address >= start && address < end ? domain : this.kernel.system;
    const inPage = address % PAGE;
    const pages = Math.ceil((Number(inPage) + code.length) / PAGE_SIZE);
    table.protect(address - inPage, pages, 'PAGE_EXECUTE_READ');
    return address;
  }

  /**
   * The address that a location names, as {@link describe} writes it: `packets!Checksum+0x2`, `packets_hp!Checksum`,
   * `packets!HPAT[0].code`, `packets+0x1000`.
   * @param options `domain`: where, when a DLL lies at different addresses in several processes
   * @throws KernelError `moduleNotFound`, `symbolNotFound`, `placeAmbiguous`, `location`
   */
  address(location: string, options: { readonly domain?: Place } = {}): bigint {
    assertArgument(TEXT, location, 'address(location)');
    assertArgument(ALLOCATION, options, 'address(options)');
    return addressOf(this.kernel, location, options.domain);
  }

  /** `demo!dispatch+0x9` */
  describe(address: bigint): string {
    return this.kernel.describe(address);
  }

  /** The next `count` instructions from `address` on, as data reads see them. Waits for the disassembler to load. */
  async disassemble(address: bigint, count: number): Promise<DisassembledInstruction[]> {
    assertArgument(WHOLE, count, 'disassemble(count)');
    const { addressSpace, architecture } = this.kernel.domainOf(address);
    const readable = 0x1000 - Number(address & 0xfffn);
    const bytes = addressSpace.read(address, Math.min(readable, count * 16));
    return disassemble(architecture.name, bytes, address, { count });
  }

  /** {@link disassemble} as lines of text: symbol, address, bytes, instruction. */
  async listing(address: bigint, count: number): Promise<string> {
    const { name } = this.kernel.machine.architecture;
    const lines = await this.disassemble(address, count);
    return lines
      .map(
        ({ address: at, bytes, text }) =>
          `    ${formatAddress(name, at)} ${formatBytes(bytes).padEnd(24)} ${text}`,
      )
      .join('\n');
  }

  /** What identifies it, where it is printed. */
  toJSON() {
    return {
      engine: this.engine.name,
      architecture: this.kernel.architecture.name,
      events: this.events.length,
    };
  }

  get [Symbol.toStringTag](): string {
    return 'Lab';
  }

  [INSPECT](): string {
    return printed(this[Symbol.toStringTag], this.toJSON());
  }

  /** Gives back what the machine holds; it can be used no more. */
  [Symbol.dispose](): void {
    this.kernel[Symbol.dispose]();
  }
}

function pathOf(file: FileSource): string {
  if (typeof file === 'string') return file;
  if (file instanceof URL && file.protocol === 'file:') return fileURLToPath(file);
  throw new KernelError({
    rule: 'file.url',
    status: 'STATUS_INVALID_PARAMETER',
    place: String(file),
    message: 'it names no file of this computer',
    hint: "give a path, or new URL('demo.sys', import.meta.url)",
  });
}

function open(file: FileSource): { path: string; image: PeImage } {
  const path = pathOf(file);
  return { path, image: readImage(readNamedFile(path), { file: path }) };
}

function described(file: FileSource): [PeImage, LoadOptions & { readonly name: string }] {
  const { path, image } = open(file);
  return [image, { name: basename(path), symbols: findSymbols({ image, path }).table }];
}

/** Code that calls what only processes have would stop at its first call of it, deep inside. */
function refuseUserImage(kernel: Kernel, domain: ImageDomain, image: PeImage, name: string): void {
  if (domain.kind === 'user') return;
  const user = kernel.userServices();
  const missing = image.imports?.find(
    ({ module }) =>
      user.has(module) &&
      !domain.services.has(module) &&
      domain.findImage(module) === undefined &&
      kernel.files.find(module, domain.architecture.name) === undefined,
  );
  if (missing === undefined) return;
  throw new KernelError({
    rule: 'userModeImage',
    status: 'STATUS_DLL_NOT_FOUND',
    image: name,
    place: `import of ${missing.module}`,
    message: `it imports from ${missing.module}, which only processes have: it cannot run in ${domain.name}`,
    hint: `load it into a process: lab.loadDll(lab.createProcess('program.exe'), '${name}')`,
  });
}
