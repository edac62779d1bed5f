import {
  type AddressSpace,
  type Architecture,
  formatAddress,
  type Processor,
  type ProcessorContext,
} from '../../cpu/index.js';
import {
  asInt,
  assertAddress,
  assertArgument,
  type Blocked,
  FLAG,
  INSPECT,
  IRQL,
  printed,
  TEXT,
} from '../common/index.js';
import type { ImageDomain } from '../images/index.js';
import { type GuestMemory, guestMemoryOf } from '../memory/index.js';
import type { Crash } from './crash.js';
import type { Callout, ThreadNotifications } from './guest-call.js';
import type { ThreadProcess, ThreadSystem } from './owners.js';
import type { StackFrame } from './stack-frame.js';
import type { ThreadStack } from './thread-stack.js';

/**
 * `ready`: could run. `terminated`: its function has returned, or it was ended. `crashed`: by an exception that nothing
 * handled.
 */
export type ThreadState = 'ready' | 'running' | 'waiting' | 'terminated' | 'crashed';

/** Something a thread will do; `kernel.run({ until })` stops all processors when it has been done. */
export interface ThreadCondition {
  /** Who will do it. */
  readonly thread: Thread;
  /** Stop before the instruction at this address; undefined means: when the thread's function has returned. */
  readonly address?: bigint;
}

/** A thread that is in a system service, and the mode that it called it from. */
export interface Requestor {
  readonly thread: Thread;
  readonly mode: 'user' | 'kernel';
}

export interface ThreadDetails {
  readonly system: ThreadSystem;
  readonly id: number;
  readonly name: string;
  readonly domain: ImageDomain;
  readonly process: ThreadProcess;
  /** Default: the domain's. A thread of the HotPatch process runs in the session that it is attached to. */
  readonly addressSpace?: AddressSpace;
  readonly stack: ThreadStack;
  /** Which arena of the heaps it allocates from. */
  readonly heapArena?: number;
  readonly startAddress: bigint;
  /** Index of the only processor that may run it. */
  readonly affinity?: number;
  readonly irql?: number;
  /** TEB of a user thread. */
  readonly teb?: bigint;
  /** Whose system service it does. */
  readonly onBehalfOf?: Requestor;
  /** What it calls before its own function, and when it ends by itself. */
  readonly notifications?: ThreadNotifications;
  /** Sets the registers of a thread that has not run yet. */
  readonly start: (processor: Processor) => void;
}

/** What of a thread changes. */
export interface ThreadFields {
  state: ThreadState;
  irql: number;
  wait: Blocked | undefined;
  instructions: number;
  crash: Crash | undefined;
  readonly callouts: Callout[];
  processor: Processor | undefined;
  kernelThread: Thread | undefined;
  /** The kernel stack that it keeps from one system service to the next, with the TEB of 32-bit drivers. */
  kernelStack: { readonly stack: ThreadStack; readonly teb: bigint | undefined } | undefined;
  /** Sets the registers of a thread that has not run yet. */
  readonly start: (processor: Processor) => void;
  notifications: ThreadNotifications | undefined;
  /** Of a thread that is on no processor and has run. */
  context: ProcessorContext | undefined;
  readonly registers: Map<string, bigint>;
  /** What the function returns that it waited in, once it has a processor. */
  resultOfWait: bigint | undefined;
  returnValue: bigint | undefined;
  floatReturnValue: number | undefined;
}

let fieldsOf: (thread: Thread) => ThreadFields;

/** A thread: a stack and the registers it has when no processor runs it. Only the kernel changes it. */
export class Thread {
  /** The system that it runs in. */
  readonly system: ThreadSystem;
  /** Of all threads of the machine, a multiple of 4. */
  readonly id: number;
  /** How it is told of. */
  readonly name: string;
  /** Whose images and exports its code uses. */
  readonly domain: ImageDomain;
  /** The process that it belongs to. */
  readonly process: ThreadProcess;
  /** What its code sees. */
  readonly addressSpace: AddressSpace;
  /** What its code can read and write, checked as its own loads and stores are. */
  readonly memory: GuestMemory;
  /** Its stack, with the bounds of it. */
  readonly stack: ThreadStack;
  /** The function that it calls. */
  readonly startAddress: bigint;
  /** Index of the only processor that may run it; undefined: any. */
  readonly affinity: number | undefined;
  /** Which arena of the process's heap it allocates from. */
  readonly heapArena: number;
  /** Address of its TEB; undefined in kernel threads. */
  readonly teb: bigint | undefined;
  /** It is the kernel half of this thread: driver code that runs in its system service. */
  readonly onBehalfOf: Requestor | undefined;
  readonly #fields: ThreadFields;

  static {
    fieldsOf = (thread) => thread.#fields;
  }

  constructor(details: ThreadDetails) {
    this.system = details.system;
    this.id = details.id;
    this.name = details.name;
    this.domain = details.domain;
    this.process = details.process;
    this.addressSpace = details.addressSpace ?? details.domain.addressSpace;
    this.stack = details.stack;
    this.startAddress = details.startAddress;
    this.affinity = details.affinity;
    this.heapArena = details.heapArena ?? 0;
    this.teb = details.teb;
    this.onBehalfOf = details.onBehalfOf;
    this.#fields = {
      state: 'ready',
      irql: details.irql ?? IRQL.PASSIVE_LEVEL,
      wait: undefined,
      instructions: 0,
      crash: undefined,
      callouts: [],
      processor: undefined,
      kernelThread: undefined,
      kernelStack: undefined,
      start: details.start,
      notifications: details.notifications,
      context: undefined,
      registers: new Map(),
      resultOfWait: undefined,
      returnValue: undefined,
      floatReturnValue: undefined,
    };
    this.memory = guestMemoryOf(details.domain, {
      addressSpace: this.addressSpace,
      touchGuard: (address) => this.stack.isBelowLimit(address) && this.stack.touchGuard(),
    });
  }

  /** Of the code that it runs: x86 in a WOW64 process. */
  get architecture(): Architecture {
    return this.domain.architecture;
  }

  /** What the scheduler knows of it. */
  get state(): ThreadState {
    return this.#fields.state;
  }

  /** KIRQL of the code that it runs. */
  get irql(): number {
    return this.#fields.irql;
  }

  /** What it waits for. */
  get wait(): Blocked | undefined {
    return this.#fields.wait;
  }

  /** Instructions that it has executed. */
  get instructions(): number {
    return this.#fields.instructions;
  }

  /** Why it crashed; undefined unless it has. */
  get crash(): Crash | undefined {
    return this.#fields.crash;
  }

  /** Procedures of the kernel model that have interrupted it to call guest code, the oldest first. */
  get callouts(): readonly Callout[] {
    return this.#fields.callouts;
  }

  /** The processor whose registers hold this thread's state at the moment. */
  get processor(): Processor | undefined {
    return this.#fields.processor;
  }

  /** Its own kernel half, with a kernel stack, while driver code runs in its system service (modelled: registers of its own). */
  get kernelThread(): Thread | undefined {
    return this.#fields.kernelThread;
  }

  /** The whole result register after its function returned. A 32-bit result leaves the upper half undefined. */
  get returnValue(): bigint | undefined {
    return this.#fields.returnValue;
  }

  /** What the floating-point result register held then. */
  get floatReturnValue(): number | undefined {
    return this.#fields.floatReturnValue;
  }

  /** What its function returned, taken as a C `int`; undefined while it runs. */
  get result(): number | undefined {
    const { returnValue } = this.#fields;
    return returnValue === undefined ? undefined : asInt(returnValue);
  }

  /** Has it terminated or crashed? */
  get finished(): boolean {
    return this.state === 'terminated' || this.state === 'crashed';
  }

  /** Has it executed or set up anything yet? Its stack holds no frames before. */
  get started(): boolean {
    return this.processor !== undefined || this.#fields.context !== undefined;
  }

  /** A condition for `run({ until })`: this thread is about to execute the instruction at `address`. */
  reaches(address: bigint): ThreadCondition {
    // Without an address the condition would be that of returns().
    assertAddress(address);
    return { thread: this, address };
  }

  /** A condition for `run({ until })`: this thread's function has returned. */
  returns(): ThreadCondition {
    return { thread: this };
  }

  /** Where it is: the address of its next instruction. */
  get pc(): bigint {
    return this.started ? this.register(this.architecture.programCounter) : this.startAddress;
  }

  /** Where it is, and where it goes on once the handlers of exceptions and other callouts that have interrupted it are over. */
  get standsAt(): readonly bigint[] {
    const { programCounter } = this.architecture;
    const interrupted = this.callouts.flatMap(({ registers }) => registers.get(programCounter) ?? []);
    return [this.pc, ...interrupted];
  }

  /** Its stack pointer: of the processor that runs it, or as it was saved. */
  get sp(): bigint {
    return this.started
      ? this.register(this.architecture.stackPointer)
      : this.stack.base + BigInt(this.stack.size);
  }

  /** A general register, named as in the processor manual, whether or not a processor runs the thread. 0 before it has started. */
  register(name: string): bigint {
    assertArgument(TEXT, name, 'register(name)');
    return this.processor?.get(name) ?? this.#fields.registers.get(name) ?? 0n;
  }

  /**
   * Its call stack, innermost frame first: by unwind data on x64 and ARM64, by frame pointer on x86. A thread that has
   * not started has the one frame of its start address.
   */
  stackWalk(): readonly StackFrame[] {
    return this.system.stackWalk(this);
  }

  /** `demo!dispatch+0x9`, or the bare address where no image is. */
  describe(address: bigint): string {
    assertAddress(address);
    const image = this.domain.imageAt(address);
    return image?.describe(address) ?? formatAddress(this.architecture.name, address);
  }

  /** The same with the source line, where the module's PDB has one. */
  describeCode(address: bigint, isReturn = false): string {
    assertArgument(FLAG, isReturn, 'describeCode(isReturn)');
    return this.domain.imageAt(address)?.describeCode(address, isReturn) ?? this.describe(address);
  }

  /** What identifies it, where it is printed. */
  toJSON() {
    return { id: this.id, name: this.name, state: this.state, process: this.process.id };
  }

  get [Symbol.toStringTag](): string {
    return 'Thread';
  }

  [INSPECT](): string {
    return printed(this[Symbol.toStringTag], this.toJSON());
  }
}

/** What of a thread changes: for the rooms of the loader alone. */
export function threadFields(thread: Thread): ThreadFields {
  return fieldsOf(thread);
}
