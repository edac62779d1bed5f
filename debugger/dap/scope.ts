import type { StackFrame, Thread } from '../../loader/index.js';
import { DebugError } from '../error.js';
import { View } from '../view.js';

/** A frame that the client has been told of. */
export interface KnownFrame {
  readonly view: View;
  readonly frame: StackFrame;
  /** 0: the innermost. */
  readonly index: number;
}

/** One variable as the protocol shows it. */
export interface DapVariable {
  readonly name: string;
  readonly value: string;
  readonly type?: string;
  readonly variablesReference: number;
  readonly memoryReference?: string;
}

/** What the client may refer to while the run stands still: frames and lists of variables, by numbers. */
export class StopScope {
  readonly #views = new Map<number, View>();
  readonly #frames = new Map<number, KnownFrame>();
  readonly #variables = new Map<number, () => readonly DapVariable[]>();

  constructor(readonly view: View) {
    this.#views.set(view.thread.id, view);
  }

  threadView(id: number | undefined): View {
    const known = id === undefined ? this.view : this.#views.get(id);
    if (known !== undefined) return known;
    const thread = this.view.kernel.threads.find((candidate: Thread) => candidate.id === id);
    if (thread === undefined) throw new DebugError(`there is no thread ${id}`);
    const view = new View(this.view.session, this.view.stop, thread, this.view.disassembler);
    this.#views.set(thread.id, view);
    return view;
  }

  addFrame(known: KnownFrame): number {
    const id = this.#frames.size + 1;
    this.#frames.set(id, known);
    return id;
  }

  frame(id: number | undefined): KnownFrame {
    const known = id === undefined ? undefined : this.#frames.get(id);
    if (known === undefined) throw new DebugError(`there is no frame ${id} at this stop`);
    return known;
  }

  /** The view of a frame, or of the thread that stopped. */
  viewOf(frameId: number | undefined): View {
    return frameId === undefined ? this.view : this.frame(frameId).view;
  }

  addVariables(list: () => readonly DapVariable[]): number {
    const id = this.#variables.size + 1;
    this.#variables.set(id, list);
    return id;
  }

  variables(id: number): readonly DapVariable[] {
    const list = this.#variables.get(id);
    if (list === undefined) throw new DebugError(`there are no variables ${id} at this stop`);
    return list();
  }
}
