import {
  type AddressSpace,
  type Architecture,
  formatAddress,
  type Processor,
  type ProcessorContext,
} from '../../cpu/index.js';
import { asInt, assertAddress, type Blocked, INSPECT, IRQL, printed } from '../common/index.js';
import type { ImageDomain } from '../images/index.js';
import { type GuestMemory, guestMemoryOf } from '../memory/index.js';
import type { Crash } from './crash.js';
import {
  type Callout,
  callAll,
  type GuestCall,
  startProcedure,
  type ThreadNotifications,
} from './guest-call.js';
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

/** A thread: a stack and the registers it has when no processor runs it. */
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
  /** Its own kernel half, with a kernel stack, while driver code runs in its system service (modelled: registers of its own). */
  kernelThread: Thread | undefined;
  /** The kernel stack that it keeps from one system service to the next, with the TEB of 32-bit drivers. */
  kernelStack: { readonly stack: ThreadStack; readonly teb: bigint | undefined } | undefined;
  /** What the scheduler knows of it. */
  state: ThreadState = 'ready';
  /** KIRQL of the code that it runs. */
  irql: number;
  /** What it waits for. */
  wait: Blocked | undefined;
  /** Instructions that it has executed. */
  instructions = 0;
  /** Why it crashed; undefined unless it has. */
  crash: Crash | undefined;
  /** Procedures of the kernel model that have interrupted it to call guest code, the oldest first. */
  readonly callouts: Callout[] = [];
  /** The processor whose registers hold this thread's state at the moment. */
  processor: Processor | undefined;
  readonly #start: (processor: Processor) => void;
  #notifications: ThreadNotifications | undefined;
  #context: ProcessorContext | undefined;
  readonly #registers = new Map<string, bigint>();
  #resultOfWait: bigint | undefined;
  #returnValue: bigint | undefined;
  #floatReturnValue: number | undefined;

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
    this.irql = details.irql ?? IRQL.PASSIVE_LEVEL;
    this.#start = details.start;
    this.#notifications = details.notifications;
    this.memory = guestMemoryOf(details.domain, {
      addressSpace: this.addressSpace,
      touchGuard: (address) => this.stack.isBelowLimit(address) && this.stack.touchGuard(),
    });
  }

  /** Of the code that it runs: x86 in a WOW64 process. */
  get architecture(): Architecture {
    return this.domain.architecture;
  }

  /** The whole result register after its function returned. A 32-bit result leaves the upper half undefined. */
  get returnValue(): bigint | undefined {
    return this.#returnValue;
  }

  /** What the floating-point result register held then. */
  get floatReturnValue(): number | undefined {
    return this.#floatReturnValue;
  }

  /** What its function returned, taken as a C `int`; undefined while it runs. */
  get result(): number | undefined {
    return this.#returnValue === undefined ? undefined : asInt(this.#returnValue);
  }

  /** Its function has returned this, or it has ended itself with this exit code. */
  end(returnValue: bigint, floatReturnValue?: number): void {
    this.#returnValue = returnValue;
    this.#floatReturnValue = floatReturnValue;
    this.state = 'terminated';
  }

  /** Has it terminated or crashed? */
  get finished(): boolean {
    return this.state === 'terminated' || this.state === 'crashed';
  }

  /** Has it executed or set up anything yet? Its stack holds no frames before. */
  get started(): boolean {
    return this.processor !== undefined || this.#context !== undefined;
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
    return this.processor?.get(name) ?? this.#registers.get(name) ?? 0n;
  }

  /**
   * Its call stack, innermost frame first: by unwind data on x64 and ARM64, by frame pointer on x86. A thread that has
   * not started has the one frame of its start address.
   */
  stackWalk(): readonly StackFrame[] {
    return this.system.stackWalk(this);
  }

  /** Puts the thread's registers on a processor. */
  attach(processor: Processor): void {
    if (this.processor === processor) return;
    processor.addressSpace = this.addressSpace;
    const begins = this.#context === undefined && this.callouts.length === 0;
    if (this.#context === undefined) this.#start(processor);
    else processor.loadContext(this.#context);
    this.processor = processor;
    const calls = begins ? this.#notifications?.begins() : undefined;
    if (calls !== undefined && calls.length > 0)
      startProcedure(this.system.scheduler, this, callAll(calls), () => {});
    if (this.#resultOfWait !== undefined) this.architecture.setResult(processor, this.#resultOfWait);
    this.#resultOfWait = undefined;
  }

  /** What is still to be called before it ends; asked once. */
  takeLastCalls(): readonly GuestCall[] {
    const calls = this.#notifications?.ends() ?? [];
    this.#notifications = undefined;
    return calls;
  }

  /** Takes the thread off its processor. */
  detach(): void {
    if (this.processor === undefined) return;
    for (const name of this.architecture.registers) this.#registers.set(name, this.processor.get(name));
    this.#context = this.processor.saveContext();
    this.processor = undefined;
  }

  /** Ends its wait: the function that it waits in will return `result`. */
  wake(result: bigint): void {
    this.wait = undefined;
    this.state = 'ready';
    this.#resultOfWait = result;
  }

  /** Makes sure that the stack has memory down to `address`; false when it ends before. */
  growStack(address: bigint): boolean {
    return this.stack.grow(address);
  }

  /** `demo!dispatch+0x9`, or the bare address where no image is. */
  describe(address: bigint): string {
    const image = this.domain.imageAt(address);
    return image?.describe(address) ?? formatAddress(this.architecture.name, address);
  }

  /** The same with the source line, where the module's PDB has one. */
  describeCode(address: bigint, isReturn = false): string {
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
