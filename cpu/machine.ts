import { AddressSpace } from './address-space.js';
import type { Architecture, ArchitectureName } from './architecture/architecture.js';
import { architectureNamed } from './architecture/index.js';
import type { MachineClock } from './clock.js';
import { type Counting, defaultCounting } from './counting.js';
import { ENGINE_TRAITS } from './engine-traits.js';
import { CpuError, machineDisposed } from './error.js';
import { FetchUnit, InstructionFetch, type InstructionFetchMode } from './instruction-fetch.js';
import { PageTable, type PageTableRange } from './page-table.js';
import { PhysicalMemory } from './physical-memory.js';
import { Processor } from './processor.js';
import { PAGE_SIZE } from './protection.js';
import { hashSnapshot, type MachineSnapshot, Snapshots } from './snapshot.js';
import type { StatePart } from './state-part.js';
import { BlockLog } from './unicorn/block-log.js';
import type { UnicornFunctions } from './unicorn/library.js';
import { DESCRIPTORS, writeWords } from './unicorn/mode.js';

export interface MachineOptions {
  readonly architecture: ArchitectureName;
  /** 1 to 64. Default 1. */
  readonly processors?: number;
  /** Physical memory in bytes, whole pages. Default 64 MiB; the host commits it as it is touched. */
  readonly memorySize?: number;
  /** Default `coherent`. */
  readonly instructionFetch?: InstructionFetchMode;
  /** Of everything that chooses by chance. Default 1. */
  readonly seed?: number;
  /**
   * `blocks`, the default: instructions are counted by the blocks that a processor enters, many times faster.
   * `instructions`: one by one, as always where the host permits no machine code of ours, and in weak mode. What happens
   * and all counts are the same. The environment variable HOTPATCH_COUNTING decides when this is not given.
   */
  readonly counting?: Counting;
  /** Whether VTL1 exists. For the loader; the processors work the same. */
  readonly vbs?: boolean;
  /** Called before a page frame is handed out; what it throws refuses it. */
  readonly beforeAllocation?: (() => void) | undefined;
  /** Called when no page frame is left; what it gives back is handed out. */
  readonly onShortage?: (() => void) | undefined;
  /** @internal Instead of the library's own: for who counts calls or lets one fail. */
  readonly unicornFunctions?: UnicornFunctions | undefined;
}

export interface CodeWrite {
  readonly space: AddressSpace;
  readonly address: bigint;
  readonly bytes: Uint8Array;
  /** What was there. */
  readonly before: Uint8Array;
  readonly writer: CodeWriter;
}

/** Who stores into code: the Secure Kernel, or the NT kernel through a writable alias of the page. */
export type CodeWriter = 'vtl1' | 'alias';

/** Processors on one physical memory, with the page tables and address spaces made for them. Dispose of it. */
export class Machine implements Disposable {
  static create(options: MachineOptions): Machine {
    return new Machine(options);
  }

  readonly architecture: Architecture;
  readonly memory: PhysicalMemory;
  readonly processors: readonly Processor[];
  readonly instructionFetch: InstructionFetch;
  readonly seed: number;
  readonly vbs: boolean;
  readonly emptyAddressSpace: AddressSpace;
  readonly serviceFrame: number;
  readonly descriptorTableFrame: number;
  /** How processors count what they execute; see {@link MachineOptions.counting}. */
  readonly counting: Counting;
  /**
   * Lab time: instructions that all processors have executed, and what the scheduler let pass. What guest code reads where
   * a real processor has a clock. Part of a snapshot, not of {@link hash}.
   */
  get time(): number {
    return this.clock.time;
  }

  /** The processor inside {@link Processor.run} now. */
  get running(): Processor | undefined {
    return this.clock.running;
  }

  /** @internal */
  readonly clock: MachineClock = { time: 0, running: undefined };
  /** @internal */
  readonly unicornFunctions: UnicornFunctions | undefined;
  readonly #tables: PageTable[] = [];
  readonly #spaces: AddressSpace[] = [];
  readonly #parts: StatePart[] = [];
  readonly #snapshots: Snapshots;
  readonly #codeListeners = new Set<(write: CodeWrite) => void>();
  readonly #units: readonly FetchUnit[];
  #isDisposed = false;

  private constructor(options: MachineOptions) {
    const { processors = 1, memorySize = DEFAULT_MEMORY, seed = 1, vbs = false } = options;
    if (!Number.isInteger(processors) || processors < 1 || processors > 64) {
      throw new CpuError('processorCount', `${processors} processors: a machine has 1 to 64`, {
        status: 'STATUS_INVALID_PARAMETER',
      });
    }
    this.architecture = architectureNamed(options.architecture);
    this.unicornFunctions = options.unicornFunctions;
    this.seed = seed;
    this.vbs = vbs;
    this.#units = Array.from({ length: processors }, () => new FetchUnit());
    const mode = options.instructionFetch ?? 'coherent';
    const canCountBlocks = mode === 'coherent' && BlockLog.isPossible;
    this.counting = canCountBlocks ? (options.counting ?? defaultCounting()) : 'instructions';
    if (this.counting === 'blocks') for (const unit of this.#units) unit.companion = new FetchUnit();
    this.instructionFetch = new InstructionFetch(
      mode,
      this.#units.flatMap((unit) => (unit.companion === undefined ? [unit] : [unit, unit.companion])),
      ENGINE_TRAITS[this.architecture.engine].snoopsStoresIntoCode,
      () => this.memory,
    );
    this.memory = new PhysicalMemory(memorySize, {
      beforeAllocation: () => options.beforeAllocation?.(),
      shortage: () => options.onShortage?.(),
      beforeHostWrite: (frame) => {
        this.assertIdle('write to memory');
        this.instructionFetch.beforeHostWrite(frame);
      },
      frameFreed: (frame) => this.instructionFetch.frameFreed(frame),
      secondLevelChanged: () => this.beforeTableChange(),
    });
    this.serviceFrame = this.#frameOfBreakpoints();
    this.descriptorTableFrame = this.#frameOfDescriptors();
    this.emptyAddressSpace = this.createAddressSpace('empty', []);
    const made: Processor[] = [];
    this.processors = made;
    this.#snapshots = new Snapshots(this);
    try {
      for (const [index, unit] of this.#units.entries()) made.push(new Processor(index, this, unit));
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Has its memory been given back? Nothing can be read then, and nothing runs. */
  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  get processorCount(): number {
    return this.#units.length;
  }

  processor(index: number): Processor {
    const processor = this.processors[index];
    if (processor === undefined) {
      throw new CpuError('noSuchProcessor', `there is no processor ${index}`, {
        status: 'STATUS_INVALID_PARAMETER',
      });
    }
    return processor;
  }

  createPageTable(range: PageTableRange): PageTable {
    const table = new PageTable(range, this);
    this.#tables.push(table);
    return table;
  }

  createAddressSpace(name: string, tables: readonly PageTable[]): AddressSpace {
    const space = new AddressSpace(name, tables, this);
    this.#spaces.push(space);
    return space;
  }

  /**
   * Stores code: the only way in which anything but the guest changes executable bytes. One call is one store that every
   * processor sees whole or not at all. Pages need not be writable and keep the protection that the guest sees.
   */
  writeCode(
    space: AddressSpace,
    address: bigint,
    bytes: Uint8Array,
    options: { readonly writer?: CodeWriter } = {},
  ): void {
    this.assertIdle('write code');
    const before = space.read(address, bytes.byteLength);
    const after = bytes.slice();
    space.store(address, after);
    const writer = options.writer ?? (space.table(address).range.mode === 'kernel' ? 'vtl1' : 'alias');
    for (const listener of this.#codeListeners) listener({ space, address, bytes: after, before, writer });
  }

  /** From now on these processors (default: all) fetch the current bytes. */
  serialise(processors: readonly Processor[] = this.processors): void {
    this.assertIdle('serialise');
    for (const { fetchUnit } of processors) this.instructionFetch.serialise(fetchUnit);
  }

  onCodeWrite(listener: (write: CodeWrite) => void): Disposable {
    const own = (write: CodeWrite) => listener(write);
    this.#codeListeners.add(own);
    return { [Symbol.dispose]: () => void this.#codeListeners.delete(own) };
  }

  /** Cheap: copies the pages written since the last snapshot or restore, and the registers. */
  snapshot(): MachineSnapshot {
    this.assertIdle('take a snapshot');
    return this.#snapshots.take();
  }

  /** Puts everything back: memory, page tables, address spaces, registers, stale code. Observers stay. */
  restore(snapshot: MachineSnapshot): void {
    this.assertIdle('restore a snapshot');
    this.#snapshots.restore(snapshot);
  }

  /** SHA-256 over everything that a snapshot holds; the same for equal states of different machines. */
  hash(): string {
    return hashSnapshot(this.snapshot());
  }

  /** From now on snapshots hold this, too, until what is returned is disposed of. */
  addStatePart(part: StatePart): Disposable {
    this.#parts.push(part);
    return {
      [Symbol.dispose]: () => {
        const index = this.#parts.indexOf(part);
        if (index >= 0) this.#parts.splice(index, 1);
      },
    };
  }

  get stateParts(): readonly StatePart[] {
    return this.#parts;
  }

  get pageTables(): readonly PageTable[] {
    return this.#tables;
  }

  get addressSpaces(): readonly AddressSpace[] {
    return this.#spaces;
  }

  beforeTableChange(): void {
    this.assertIdle('change a page table');
    for (const unit of this.#units) unit.flushTranslations();
  }

  assertIdle(doing: string): void {
    if (this.#isDisposed) throw machineDisposed(doing);
    if (this.running === undefined) return;
    throw new CpuError('processorRunning', `cannot ${doing} while processor ${this.running.index} runs`, {
      status: 'STATUS_INVALID_DEVICE_STATE',
    });
  }

  [Symbol.dispose](): void {
    if (this.#isDisposed) return;
    this.assertIdle('dispose of the machine');
    this.#isDisposed = true;
    for (const processor of this.processors) processor[Symbol.dispose]();
    this.memory[Symbol.dispose]();
  }

  #frameOfBreakpoints(): number {
    const frame = this.memory.allocate();
    const { breakpoint } = this.architecture;
    const bytes = this.memory.bytes(frame);
    for (let at = 0; at < PAGE_SIZE; at += breakpoint.byteLength) bytes.set(breakpoint, at);
    return frame;
  }

  #frameOfDescriptors(): number {
    const frame = this.memory.allocate();
    const bytes = this.memory.bytes(frame);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    writeWords(view, 0, DESCRIPTORS);
    return frame;
  }
}

const DEFAULT_MEMORY = 64 * 1024 * 1024;
