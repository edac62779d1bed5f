import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type DisassembledInstruction, disassemble, formatAddress } from '../cpu/index.js';
import { bootOptionsFor, createEngine, type EngineName, type Engines } from '../engine/index.js';
import { findSymbols, type PeImage, readImage } from '../image/index.js';
import {
  type BootOptions,
  formatBytes,
  type ImageDomain,
  Kernel,
  type LabEvent,
  type LoadedImage,
  type LoadOptions,
  type Process,
  type ProcessOptions,
  type RunResult,
  type Session,
  type Thread,
  type ThreadCondition,
} from '../loader/index.js';
import { currentScenarioRun } from './scenario.js';

/** A file: a path relative to the working folder, or a URL (`new URL('demo.sys', import.meta.url)`). */
export type FileSource = string | URL;

type Argument = bigint | number;

export interface LabOptions<N extends EngineName = EngineName> extends BootOptions {
  /**
   * Which of Windows' two hotpatch engines the machine has: that of Server 2022 and Windows 11, or that of Server 2003
   * SP1, which knew neither an HPAT nor a Secure Kernel. Default `modern`.
   */
  readonly engine?: N;
  readonly engineOptions?: Engines[N]['options'];
}

/**
 * A booted machine with its kernel, Secure Kernel and hotpatch engine: what a scenario plays with. `Lab` alone is one
 * with either engine; `Lab<'modern'>` and `Lab<'server-2003'>` say which.
 */
export class Lab<N extends EngineName = EngineName> implements Disposable {
  readonly kernel: Kernel;
  readonly engine: Engines[N]['engine'];

  private constructor(name: N, boot: BootOptions, engineOptions: Engines[N]['options'] | undefined) {
    this.kernel = Kernel.boot(boot);
    this.engine = createEngine(name, this.kernel, engineOptions);
  }

  /**
   * Boots a machine. Inside a scenario its seed and transcript are the scenario's.
   * @throws HotPatchError `engine.boot` when a system of that engine never had what the options ask for
   */
  static async boot<N extends EngineName = 'modern'>(options: LabOptions<N>): Promise<Lab<N>> {
    const { engine: chosen, engineOptions, ...boot } = options;
    // Without a choice N is 'modern'.
    const engine = (chosen ?? 'modern') as N;
    const run = currentScenarioRun();
    const seed = boot.seed ?? run?.seed;
    const asked = { ...boot, ...(seed === undefined ? {} : { seed }) };
    const lab = new Lab(engine, bootOptionsFor(engine, asked, run?.boot), engineOptions);
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
  async loadDriver(file: FileSource): Promise<LoadedImage> {
    return this.loadImage(file);
  }

  /** Loads a driver or a DLL (as an export driver) and runs its entry point. */
  async loadImage(file: FileSource): Promise<LoadedImage> {
    const { path, image } = open(file);
    return this.kernel.loadImage(image, {
      name: basename(path),
      symbols: findSymbols({ image, path }).table,
    });
  }

  /** A process, with its EXE if there is one; `loadDll` loads DLLs into it. */
  createProcess(options: string | ProcessOptions): Process {
    return this.kernel.createProcess(typeof options === 'string' ? { name: options } : options);
  }

  /** A logon session; `session.domain` and `loadSessionDriver` load drivers into it. */
  createSession(): Session {
    return this.kernel.createSession();
  }

  /** Puts an image where the loader finds it when another one imports from it. */
  async addFile(file: FileSource): Promise<void> {
    const { path, image } = open(file);
    this.kernel.files.add(basename(path), image, { symbols: findSymbols({ image, path }).table });
  }

  /** Loads a DLL into a process, with what it imports, and runs its DllMain there. */
  async loadDll(process: Process, file: FileSource): Promise<LoadedImage> {
    return process.loadImage(...described(file));
  }

  /** Loads a session driver into one session. */
  async loadSessionDriver(session: Session, file: FileSource): Promise<LoadedImage> {
    return session.loadDriver(...described(file));
  }

  /** Loads an image into VTL1: a module of the Secure Kernel, or the hypervisor. */
  async loadSecureImage(file: FileSource): Promise<LoadedImage> {
    const { secureKernel } = this.kernel;
    if (secureKernel === undefined)
      throw new RangeError('there is no VTL1 without virtualization-based security');
    return secureKernel.loadImage(...described(file));
  }

  /** Loads a hotpatch image and applies it to its base, or registers it until its base comes. */
  async loadHotPatch(file: FileSource): Promise<Engines[N]['patch']> {
    const { path, image } = open(file);
    return this.engine.load(image, {
      name: basename(path),
      symbols: findSymbols({ image, path }).table,
    });
  }

  /** Takes the patch back: its functions run again what they ran before it. */
  unloadHotPatch(patch: Engines[N]['patch']): void {
    this.engine.unload(patch);
  }

  /** A thread that will call the function at `address`. It runs when `run` or `call` does. */
  startThread(address: bigint, parameters: readonly Argument[] = []): Thread {
    return this.kernel.createThread(address, parameters);
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

  /** Puts bytes into memory of their own, of the kernel or of a process, for the guest to read and write; returns the address. */
  allocate(bytes: Uint8Array | string, { domain }: { domain: ImageDomain } = this.kernel): bigint {
    const data = typeof bytes === 'string' ? Buffer.from(`${bytes}\0`, 'latin1') : bytes;
    const address = domain.allocateMemory('pool', Math.max(1, data.length));
    domain.addressSpace.write(address, data);
    return address;
  }

  /** Puts machine code into executable memory of its own; returns the address. */
  allocateCode(code: Uint8Array): bigint {
    const address = this.allocate(code);
    const { table } = this.kernel.domain;
    table.protect(address - (address % 0x1000n), Math.ceil(code.length / 0x1000), 'PAGE_EXECUTE_READ');
    return address;
  }

  /** `demo!dispatch+0x9` */
  describe(address: bigint): string {
    return this.kernel.describe(address);
  }

  /** The next `count` instructions from `address` on, as data reads see them. */
  async disassemble(address: bigint, count: number): Promise<DisassembledInstruction[]> {
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

  [Symbol.dispose](): void {
    this.kernel[Symbol.dispose]();
  }
}

function open(file: FileSource): { path: string; image: PeImage } {
  const path = typeof file === 'string' ? file : fileURLToPath(file);
  return { path, image: readImage(readFileSync(path), { file: path }) };
}

function described(file: FileSource): [PeImage, LoadOptions] {
  const { path, image } = open(file);
  return [image, { name: basename(path), symbols: findSymbols({ image, path }).table }];
}
