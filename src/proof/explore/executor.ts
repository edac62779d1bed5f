import type { Processor } from '../../cpu/index.js';
import type { Thread } from '../../loader/index.js';
import type { BreakpointHandler } from '../protocols/write-protocol.js';
import type { Recording } from '../recording.js';
import type { Subject } from '../subject.js';
import type { EngineGraph, EngineNode } from './engine-graph.js';
import { type GuestState, GuestStates } from './guest-states.js';
import { SharedData } from './shared-data.js';

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

const FIRST_PROCESSOR = 0;

/** Registers that a function keeps for its caller. */
const NONVOLATILE = {
  x64: ['rbx', 'rbp', 'rdi', 'rsi', 'r12', 'r13', 'r14', 'r15'],
  x86: ['ebx', 'ebp', 'esi', 'edi'],
  arm64: Array.from({ length: 11 }, (_, index) => `x${19 + index}`),
} as const;

/**
 * Executes single instructions of the call on one emulated processor, from any state that the call can be in and in
 * any state of the engine: real guest code, real stores, one instruction at a time.
 */
export class Executor {
  readonly guests: GuestStates;
  readonly shared: SharedData;
  readonly initial: GuestState;
  /** Instructions executed on the emulated processor. */
  executed = 0;
  readonly #processor: Processor;
  readonly #thread: Thread;
  readonly #initialRegisters: ReadonlyMap<string, bigint>;
  readonly #stackPointerAfterReturn: bigint;
  /** By page: number of the contents that are in memory; -1: unknown. */
  readonly #inMemory: number[];

  constructor(
    private readonly subject: Subject,
    recording: Recording,
    private readonly graph: EngineGraph,
    private readonly handleBreakpoint: BreakpointHandler | undefined,
  ) {
    const { kernel } = subject.lab;
    const thread = kernel.createThread(subject.call.target, subject.call.arguments, {
      name: 'explored',
      affinity: FIRST_PROCESSOR,
    });
    this.#thread = thread;
    this.#processor = kernel.scheduler.place(thread);
    this.guests = new GuestStates(this.#processor, thread);
    this.shared = new SharedData(kernel.domain.addressSpace, kernel.domain.images, graph.pages);
    this.#inMemory = graph.pages.map(() => -1);
    this.initial = this.guests.current();
    const { architecture } = this.#processor;
    const names = NONVOLATILE[recording.architecture];
    this.#initialRegisters = new Map(names.map((name) => [name, this.#processor.get(name)]));
    const popped = architecture.name === 'arm64' ? 0 : architecture.pointerSize;
    this.#stackPointerAfterReturn = this.#processor.sp + BigInt(popped);
  }

  /** `base!f+0x2` */
  describe(address: bigint): string {
    return this.subject.lab.describe(address);
  }

  /** What a processor would fetch and execute next. */
  instruction(guest: GuestState, view: FetchView, node: EngineNode): ExecutedInstruction {
    this.#store(view, node);
    const { pc: address } = guest;
    if (this.#isUnmapped(address, node)) return { address, bytes: new Uint8Array() };
    const { architecture, addressSpace } = this.#processor;
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
    if (this.shared.load(shared)) this.#inMemory.fill(-1);
    this.#store(view, node);
    this.guests.load(guest);
    this.executed += 1;
    const exit = this.#processor.step();
    if (exit.reason === 'instructionLimit') return this.#outcome();
    if (exit.reason === 'serviceCall') return this.#serve(guest);
    if (exit.reason === 'exception' && exit.name === 'breakpoint') {
      const resumption = this.handleBreakpoint?.(guest.pc);
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
    this.subject.lab.kernel.scheduler.runThread(this.#thread, 1);
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
    const { architecture } = processor;
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

  /** Makes memory what the processor sees: old contents of the pages that it has a view of, current ones elsewhere. */
  #store(view: FetchView, node: EngineNode): void {
    const { machine } = this.subject.lab.kernel;
    const { addressSpace } = this.#processor;
    for (const [page, { addresses }] of this.graph.pages.entries()) {
      const wanted = (view[page] ?? 0) || (node.memory[page] ?? 0);
      if (this.#inMemory[page] === wanted) continue;
      this.#inMemory[page] = wanted;
      for (const { start, bytes } of runs(addresses, this.graph.contents(page, wanted)))
        machine.writeCode(addressSpace, start, bytes);
      // In a machine with weak instruction fetch: what is seen is decided here, by the view.
      machine.serialise([this.#processor]);
    }
  }

  #isUnmapped(address: bigint, { unmapped }: EngineNode): boolean {
    return unmapped.some(({ start, end }) => address >= start && address < end);
  }
}

/** Neighbouring addresses together. */
function* runs(addresses: readonly bigint[], contents: Uint8Array) {
  let first = 0;
  for (let index = 1; index <= addresses.length; index++) {
    const previous = addresses[index - 1] ?? 0n;
    if (index < addresses.length && addresses[index] === previous + 1n) continue;
    yield { start: addresses[first] ?? 0n, bytes: contents.subarray(first, index) };
    first = index;
  }
}
