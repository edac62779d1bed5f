import type { Processor, ProcessorContext } from '../../cpu/index.js';
import type { Thread } from '../../loader/index.js';
import { refuse } from '../refuse.js';

/** Registers and stack of a processor that executes the call. */
export interface GuestState {
  /** Which of the subject's calls it makes. */
  readonly role: number;
  /** Different for each state of the role. */
  readonly id: number;
  readonly pc: bigint;
  readonly context: ProcessorContext;
  /** The part of the stack that the call may use, up to its top. */
  readonly stack: Uint8Array;
}

/** Bytes of stack that count as state; a call that needs more is refused. */
const STACK_WINDOW = 0x1000;

/** Every different combination of registers and stack that was met, by number. One processor stands for all of them. */
export class GuestStates {
  readonly #states: GuestState[] = [];
  readonly #ids = new Map<string, number>();
  readonly #window: bigint;
  /** The state that the processor is in, if it is known. */
  #current: GuestState | undefined;

  constructor(
    readonly processor: Processor,
    thread: Thread,
    private readonly role: number,
  ) {
    this.#window = thread.stack.base + BigInt(thread.stack.size - STACK_WINDOW);
  }

  get count(): number {
    return this.#states.length;
  }

  state(id: number): GuestState {
    const state = this.#states[id];
    if (state === undefined) throw new RangeError(`there is no guest state ${id}`);
    return state;
  }

  /** The state that the processor is in now. */
  current(): GuestState {
    const { processor } = this;
    const { sp } = processor;
    if (sp < this.#window)
      throw refuse('exploration.call', `the call uses more than ${STACK_WINDOW} bytes of stack`);
    const stack = processor.addressSpace.read(this.#window, STACK_WINDOW);
    // What lies below the stack pointer means nothing: interrupts overwrite it.
    stack.fill(0, 0, Number(sp - this.#window));
    const context = processor.saveContext();
    const registers = processor.registersOf(context);
    const key = `${textOf(new Uint8Array(registers.buffer, registers.byteOffset, registers.byteLength))}${textOf(stack)}`;
    const known = this.#ids.get(key);
    if (known !== undefined) {
      this.#current = this.state(known);
      return this.#current;
    }
    const state = { role: this.role, id: this.#states.length, pc: processor.pc, context, stack };
    this.#states.push(state);
    this.#ids.set(key, state.id);
    this.#current = state;
    return state;
  }

  /** Brings the processor into the state; it will then leave it. */
  load(state: GuestState): void {
    const isThere = this.#current === state;
    this.#current = undefined;
    if (isThere) return;
    this.processor.loadContext(state.context);
    this.processor.addressSpace.write(this.#window, state.stack);
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
