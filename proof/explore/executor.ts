import type { Processor } from '../../cpu/index.js';
import { standsIn } from '../../engine/index.js';
import type { ImageDomain, Thread } from '../../loader/index.js';
import type { BreakpointHandler } from '../protocols/write-protocol.js';
import type { PlacedRange } from '../recording.js';
import { placeNamed, placeOf, type Subject } from '../subject.js';
import type { CodeMemory } from './code-memory.js';
import type { EngineNode } from './engine-graph.js';
import { type GuestState, GuestStates } from './guest-states.js';
import type { SharedData } from './shared-data.js';

/** An instruction as a processor fetched it. */
export interface ExecutedInstruction {
  readonly address: bigint;
  /** Empty when nothing could be fetched. */
  readonly bytes: Uint8Array;
}

export type Executed =
  /** `interrupted`: an exception was handled, and the return from it serialised the processor. */
  | { readonly kind: 'ran'; readonly guest: GuestState; readonly shared: number; readonly interrupted?: true }
  /** The call came back. `unbalanced` says what it did not leave as it found it. */
  | {
      readonly kind: 'returned';
      readonly result: number;
      readonly shared: number;
      readonly unbalanced?: string;
    }
  | { readonly kind: 'fault'; readonly text: string };

/** For each changed page the number of the contents that the processor fetches; 0: the current ones. */
export type FetchView = readonly number[];

/** Registers that a function keeps for its caller. */
const NONVOLATILE = {
  x64: ['rbx', 'rbp', 'rdi', 'rsi', 'r12', 'r13', 'r14', 'r15'],
  x86: ['ebx', 'ebp', 'esi', 'edi'],
  arm64: Array.from({ length: 11 }, (_, index) => `x${19 + index}`),
} as const;

/** What all executors of a subject share. */
export interface ExecutorParts {
  readonly subject: Subject;
  readonly memory: CodeMemory;
  readonly shared: SharedData;
  readonly handleBreakpoint: BreakpointHandler | undefined;
}

/**
 * Executes single instructions of one call on one emulated processor, from any state that the call can be in and in
 * any state of the engine: real guest code, real stores, one instruction at a time.
 */
export class Executor {
  readonly guests: GuestStates;
  readonly shared: SharedData;
  readonly initial: GuestState;
  /** Where the call is made. */
  readonly place: ImageDomain;
  /** The changed pages that it sees. */
  readonly seen: readonly boolean[];
  /** Instructions executed on the emulated processor. */
  executed = 0;
  readonly #processor: Processor;
  readonly #thread: Thread;
  readonly #initialRegisters: ReadonlyMap<string, bigint>;
  readonly #stackPointerAfterReturn: bigint;

  constructor(
    private readonly parts: ExecutorParts,
    /** Which of the subject's calls. */
    role: number,
  ) {
    const { subject, memory, shared } = parts;
    const { kernel } = subject.lab;
    const call = subject.calls[role] ?? subject.calls[0];
    this.place = placeOf(subject.lab, call);
    this.seen = memory.seenFrom(this.place);
    const thread = kernel.createThread(call.target, call.arguments, {
      name: 'explored',
      affinity: role,
      domain: this.place,
    });
    this.#thread = thread;
    this.#processor = kernel.scheduler.place(thread);
    this.guests = new GuestStates(this.#processor, thread, role);
    this.shared = shared;
    this.initial = this.guests.current();
    const { architecture } = thread;
    const names = NONVOLATILE[architecture.name];
    this.#initialRegisters = new Map(names.map((name) => [name, this.#processor.get(name)]));
    this.#stackPointerAfterReturn = this.#processor.sp + BigInt(architecture.returnAddressSize);
  }

  /** `base!f+0x2` */
  describe(address: bigint): string {
    return this.#image(address) ?? this.parts.subject.lab.describe(address);
  }

  /** By the images of its own place: other processes may have others there. */
  #image(address: bigint): string | undefined {
    return this.place.imageAt(address)?.describe(address);
  }

  /** What a processor would fetch and execute next. */
  instruction(guest: GuestState, view: FetchView, node: EngineNode): ExecutedInstruction {
    this.parts.memory.load(view, node, this.seen);
    const { pc: address } = guest;
    if (this.#isUnmapped(address, node)) return { address, bytes: new Uint8Array() };
    const { addressSpace } = this.#processor;
    const { architecture } = this.place;
    const left = 0x1000 - Number(address & 0xfffn);
    const longest = architecture.maximumInstructionLength;
    try {
      const next = addressSpace.query(address + BigInt(left)).state === 'committed';
      const bytes = addressSpace.read(address, next ? longest : Math.min(longest, left));
      return { address, bytes: bytes.subarray(0, architecture.instructionLength(bytes, address)) };
    } catch {
      return { address, bytes: new Uint8Array() };
    }
  }

  execute(guest: GuestState, view: FetchView, node: EngineNode, shared: number): Executed {
    if (this.#isUnmapped(guest.pc, node)) {
      const where = this.describe(guest.pc);
      return { kind: 'fault', text: `the page of ${where} is not mapped any more` };
    }
    const { memory } = this.parts;
    if (this.shared.load(shared)) memory.forget();
    memory.load(view, node, this.seen);
    this.guests.load(guest);
    this.executed += 1;
    const exit = this.#processor.step();
    if (exit.reason === 'instructionLimit') return this.#outcome();
    if (exit.reason === 'serviceCall') return this.#serve(guest);
    if (exit.reason === 'exception' && exit.name === 'breakpoint') {
      const resumption = this.parts.handleBreakpoint?.(guest.pc);
      if (resumption !== undefined) {
        this.#processor.pc = resumption.resumeAt;
        return { kind: 'ran', guest: this.guests.current(), shared, interrupted: true };
      }
    }
    const where = this.describe(guest.pc);
    if (exit.reason === 'fault') {
      const { access, address, cause } = exit.fault;
      const what = `${access} of ${this.describe(address)} (${cause})`;
      return { kind: 'fault', text: `fault at ${where}: ${what}` };
    }
    const name = exit.reason === 'exception' ? exit.name : exit.reason;
    return { kind: 'fault', text: `${name} at ${where}` };
  }

  /** A simulated export: what it keeps outside the guest's memory is not part of the state. */
  #serve(guest: GuestState): Executed {
    this.parts.subject.lab.kernel.scheduler.runThread(this.#thread, 1);
    const { crash } = this.#thread;
    return crash === undefined && this.#thread.processor === this.#processor
      ? this.#outcome()
      : {
          kind: 'fault',
          text: crash?.text ?? `${this.describe(guest.pc)} waits, which the explorer cannot do`,
        };
  }

  #outcome(): Executed {
    const processor = this.#processor;
    const { architecture } = this.place;
    const shared = this.shared.current();
    if (processor.pc !== architecture.returnAddress)
      return { kind: 'ran', guest: this.guests.current(), shared };
    const result = Number(architecture.result(processor) & 0xffff_ffffn);
    const unbalanced = this.#unbalanced();
    return { kind: 'returned', result, shared, ...(unbalanced === undefined ? {} : { unbalanced }) };
  }

  #unbalanced(): string | undefined {
    const { sp } = this.#processor;
    if (sp !== this.#stackPointerAfterReturn)
      return `the stack pointer is off by ${sp - this.#stackPointerAfterReturn}`;
    for (const [name, value] of this.#initialRegisters)
      if (this.#processor.get(name) !== value) return `${name} was not kept`;
    return undefined;
  }

  #isUnmapped(address: bigint, { unmapped }: EngineNode): boolean {
    return unmapped.some((range) => this.isIn(range, address));
  }

  /** Is `address`, as this call sees it, in the range? */
  isIn({ place, start, end }: PlacedRange, address: bigint): boolean {
    if (address < start || address >= end) return false;
    return standsIn(this.place, address, { domain: placeNamed(this.parts.subject.lab, place), start, end });
  }
}
