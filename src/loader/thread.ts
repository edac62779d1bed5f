import {
  type AddressSpace,
  type Exit,
  type Fault,
  formatAddress,
  type Processor,
  type ProcessorContext,
} from '../cpu/index.js';
import type { ImageDomain } from './image-domain.js';

export type ThreadState = 'ready' | 'running' | 'terminated' | 'crashed';

/** Why a thread crashed: the exit of the processor that nothing handled, told with symbols. */
export interface Crash {
  readonly exit: Exit;
  readonly fault?: Fault;
  /** `access violation: execute of … at demo!call_op+0x12` */
  readonly text: string;
}

/** Something a thread will do; `kernel.run({ until })` stops all processors when it has been done. */
export interface ThreadCondition {
  readonly thread: Thread;
  /** Stop before the instruction at this address; undefined means: when the thread's function has returned. */
  readonly address?: bigint;
}

/** A thread: a stack and the registers it has when no processor runs it. */
export class Thread {
  state: ThreadState = 'ready';
  /** Instructions that it has executed. */
  instructions = 0;
  /** The whole result register after its function returned. A 32-bit result leaves the upper half undefined. */
  returnValue: bigint | undefined;
  crash: Crash | undefined;
  /** The processor whose registers hold this thread's state at the moment. */
  processor: Processor | undefined;
  #context: ProcessorContext | undefined;

  constructor(
    readonly id: number,
    readonly name: string,
    readonly domain: ImageDomain,
    readonly stack: { readonly base: bigint; readonly size: number },
    /** Sets the registers of a thread that has not run yet. */
    private readonly start: (processor: Processor) => void,
  ) {}

  get addressSpace(): AddressSpace {
    return this.domain.addressSpace;
  }

  /** What its function returned, taken as a C `int`; undefined while it runs. */
  get result(): number | undefined {
    return this.returnValue === undefined ? undefined : Number(BigInt.asIntN(32, this.returnValue));
  }

  get finished(): boolean {
    return this.state === 'terminated' || this.state === 'crashed';
  }

  /** A condition for `run({ until })`: this thread is about to execute the instruction at `address`. */
  reaches(address: bigint): ThreadCondition {
    return { thread: this, address };
  }

  /** A condition for `run({ until })`: this thread's function has returned. */
  returns(): ThreadCondition {
    return { thread: this };
  }

  /** Where it is: the address of its next instruction. */
  get pc(): bigint {
    return this.processor?.pc ?? this.#saved('pc');
  }

  get sp(): bigint {
    return this.processor?.sp ?? this.#saved('sp');
  }

  /** Puts the thread's registers on a processor, after saving those of the thread that was there. */
  attach(processor: Processor): void {
    if (this.processor === processor) return;
    processor.addressSpace = this.addressSpace;
    if (this.#context === undefined) this.start(processor);
    else processor.loadContext(this.#context);
    this.processor = processor;
  }

  /** Takes the thread off its processor. */
  detach(): void {
    if (this.processor === undefined) return;
    this.#savedRegisters = { pc: this.processor.pc, sp: this.processor.sp };
    this.#context = this.processor.saveContext();
    this.processor = undefined;
  }

  #savedRegisters = { pc: 0n, sp: 0n };

  #saved(register: 'pc' | 'sp'): bigint {
    return this.#savedRegisters[register];
  }

  /** `demo!dispatch+0x9`, or the bare address where no image is. */
  describe(address: bigint): string {
    const image = this.domain.imageAt(address);
    return image?.describe(address) ?? formatAddress(this.domain.machine.architecture.name, address);
  }
}
