import type { Exit, Processor, ProcessorContext } from '../../cpu/index.js';
import { type EngineStep, standsIn } from '../../engine/index.js';
import type { Thread } from '../../loader/index.js';
import type { WriteProtocol } from '../protocols/write-protocol.js';
import { refuse } from '../refuse.js';
import { placeNamed, placeOf, type Subject, type SubjectSource } from '../subject.js';
import type { EngineEdge, EngineNode } from './engine-graph.js';
import { createModelled, type Model, modelOf } from './model.js';
import { compareMemory, prepareForProtocol, ReplayDivergence, storeDifference } from './replay-memory.js';
import type { Action, Schedule } from './schedule.js';
import { LOCAL_STATES } from './transitions.js';

export interface ReplayOptions {
  readonly protocol: WriteProtocol;
  readonly processors: number;
  readonly fetch: 'coherent' | 'weak';
  /** Make the machine a part of the scenario run that this happens in, so that a debugger sees it. */
  readonly shown?: boolean;
}

export type ReplayOutcome =
  /** Nothing to tell. */
  | { readonly kind: 'done' }
  | { readonly kind: 'returned'; readonly result: number }
  | { readonly kind: 'fault'; readonly text: string };

interface Runner {
  readonly thread: Thread;
  readonly processor: Processor;
  readonly context: ProcessorContext;
  readonly stack: { readonly address: bigint; readonly bytes: Uint8Array };
}

const STACK_TOP = 0x100;

/**
 * One interleaving on a real machine: a processor for each of the schedule's, all of them in the kernel's list of
 * threads, and for the protocol `windows` the engine itself, asked for one step after the other while they run. After
 * each action the machine is compared with the explorer's model of it.
 */
export class Replay implements Disposable {
  readonly #runners: readonly Runner[];
  readonly #engine: Generator<EngineStep, unknown> | undefined;
  #node: EngineNode;
  /** The model's local states by processor; undefined after an action that broke a property. */
  #locals: number[];
  #shared: number;

  static async create(source: SubjectSource, options: ReplayOptions): Promise<Replay> {
    const { protocol, processors, fetch, shown = false } = options;
    const { hpatForm } = protocol;
    const modelled = await createModelled(source, options);
    const model = modelOf(modelled, source, options);
    if (model === undefined) throw new RangeError(`${protocol.name} means nothing for ${source.name}`);
    const subject = await source.create({
      processors,
      instructionFetch: fetch,
      shown,
      ...(hpatForm === undefined ? {} : { hpatForm }),
    });
    return new Replay(modelled, model, subject, protocol);
  }

  private constructor(
    private readonly modelled: Subject,
    readonly model: Model,
    readonly subject: Subject,
    private readonly protocol: WriteProtocol,
  ) {
    const { kernel } = subject.lab;
    this.#runners = kernel.machine.processors.map(({ index }) => {
      const call = subject.calls[index % model.executors.length] ?? subject.calls[0];
      const thread = kernel.createThread(call.target, call.arguments, {
        name: 'replayed',
        affinity: index,
        domain: placeOf(subject.lab, call),
      });
      const processor = kernel.scheduler.place(thread);
      const address = thread.stack.base + BigInt(thread.stack.size - STACK_TOP);
      const bytes = thread.addressSpace.read(address, STACK_TOP);
      return { thread, processor, context: processor.saveContext(), stack: { address, bytes } };
    });
    this.#engine = protocol.isEngine === true ? subject.steps() : undefined;
    if (this.#engine === undefined) prepareForProtocol(this.subject, this.model);
    this.#node = model.graph.node(0);
    this.#locals = this.#runners.map((_, index) => model.transitions.idle(index));
    this.#shared = model.shared.first;
  }

  get processors(): readonly Processor[] {
    return this.#runners.map(({ processor }) => processor);
  }

  get isCommitted(): boolean {
    return this.#node.committed;
  }

  /** Everything that can happen next. */
  actions(): Action[] {
    const { transitions, isWeak } = this.model;
    const engine = this.#node.edges.flatMap((edge, index): Action[] =>
      this.#isPossible(edge) ? [{ actor: 'engine', edge: index }] : [],
    );
    if (this.#node.gathered) return engine;
    const processors = this.#locals.flatMap((local, processor): Action[] => [
      ...(transitions.isFinished(local) ? [] : [{ actor: 'processor', processor } as const]),
      ...(isWeak && transitions.isBehind(local, this.#node)
        ? [{ actor: 'interrupt', processor } as const]
        : []),
    ]);
    return [...engine, ...processors];
  }

  /** What an action would do now: the engine's step, or where the processor is. */
  describe(action: Action): string {
    if (action.actor === 'engine')
      return `engine       ${this.#node.edges[action.edge]?.text ?? 'has no such step'}`;
    const at = this.subject.lab.describe(this.processors[action.processor]?.pc ?? 0n);
    const who = `cpu ${action.processor}`.padEnd(13);
    return action.actor === 'processor' ? `${who}${at}` : `${who}is interrupted at ${at}, and so serialised`;
  }

  /** Does one action on the machine and in the model. @throws ReplayDivergence when they differ */
  perform(action: Action): ReplayOutcome {
    const outcome = this.#perform(action);
    if (outcome.kind !== 'fault') this.#compare();
    return outcome;
  }

  #perform(action: Action): ReplayOutcome {
    if (action.actor === 'engine') {
      const edge = this.#node.edges[action.edge];
      if (edge === undefined) throw refuse('schedule.step', `the engine has no step ${action.edge} here`);
      this.#performEngine(edge);
      return { kind: 'done' };
    }
    const runner = this.#runners[action.processor];
    if (runner === undefined) throw refuse('schedule.step', `there is no processor ${action.processor}`);
    if (action.actor === 'processor') return this.#step(runner, action.processor);
    this.subject.lab.kernel.machine.serialise([runner.processor]);
    this.#locals[action.processor] = this.model.transitions.serialised(this.#local(action.processor));
    return { kind: 'done' };
  }

  #performEngine(edge: EngineEdge): void {
    const from = this.#node;
    const to = this.model.graph.node(edge.to);
    this.#node = to;
    if (this.#engine !== undefined && to.step > from.step) {
      if (edge.leftOut !== true && this.#engine.next().done === true)
        throw new ReplayDivergence('the engine is done where its recording has a further step');
      if (to.committed && this.#engine.next().done !== true)
        throw new ReplayDivergence('the engine has a further step where its recording ends');
    } else {
      storeDifference(this.subject, this.model.graph, from, to);
      if (edge.serialises) this.subject.lab.kernel.machine.serialise();
    }
    this.#locals = this.#locals.map((local) => this.model.transitions.afterEngine(local, edge));
  }

  #step({ thread, processor, context, stack }: Runner, index: number): ReplayOutcome {
    const { transitions } = this.model;
    const next = transitions.next(this.#local(index), transitions.globalId(this.#node.id, this.#shared));
    const exit = this.#isUnmapped(index) ? unmapped(processor.pc) : this.#execute(thread, processor);
    if (exit !== undefined) {
      if (next >= 0)
        throw new ReplayDivergence(`processor ${index}: ${exit}, which the model does not expect`);
      return { kind: 'fault', text: exit };
    }
    if (next >= 0) {
      this.#locals[index] = next % LOCAL_STATES;
      this.#shared = transitions.global(Math.floor(next / LOCAL_STATES)).shared;
    }
    const { architecture } = thread;
    const isBack = processor.pc === architecture.returnAddress;
    const result = Number(architecture.result(processor) & 0xffff_ffffn);
    if (isBack) {
      processor.loadContext(context);
      processor.addressSpace.write(stack.address, stack.bytes);
    }
    if (next < 0) {
      const broken = transitions.broken(
        this.#local(index),
        transitions.globalId(this.#node.id, this.#shared),
      );
      return { kind: 'fault', text: `${broken.rule}: ${broken.text}` };
    }
    const { initial } = this.model.executors[index % this.model.executors.length] ?? {};
    if (isBack && transitions.locals.state(this.#local(index)).guest !== initial)
      throw new ReplayDivergence(`processor ${index} has returned, in the model it has not`);
    return isBack ? { kind: 'returned', result } : { kind: 'done' };
  }

  /** What ended the instruction, if it did not just complete. */
  #execute(thread: Thread, processor: Processor): string | undefined {
    const { pc } = processor;
    const exit = this.subject.lab.kernel.scheduler.runSlice(thread, processor, { instructions: 1 });
    if (exit.reason === 'instructionLimit') return undefined;
    const resumption =
      exit.reason === 'exception' && exit.name === 'breakpoint'
        ? this.protocol.breakpoints?.(this.model.recording)(pc)
        : undefined;
    if (resumption === undefined) return `${nameOf(exit)} at ${this.subject.lab.describe(pc)}`;
    processor.pc = resumption.resumeAt;
    this.subject.lab.kernel.machine.serialise([processor]);
    return undefined;
  }

  /** Memory, what each processor fetches, and where it is. */
  #compare(): void {
    const { transitions } = this.model;
    compareMemory(this.subject, this.model, this.#node, this.processors, this.#locals);
    for (const [number, { processor }] of this.#runners.entries()) {
      const { pc } = transitions.locals.state(this.#local(number)).guest;
      if (processor.pc !== pc)
        throw new ReplayDivergence(
          `processor ${number} is at ${this.subject.lab.describe(processor.pc)}, in the model at ${this.subject.lab.describe(pc)}`,
        );
    }
  }

  #local(processor: number): number {
    return this.#locals[processor] ?? 0;
  }

  #isPossible({ condition }: EngineEdge): boolean {
    if (condition === undefined) return true;
    const ranges = condition.ranges.map(({ place, start, end }) => ({
      domain: placeNamed(this.subject.lab, place),
      start,
      end,
    }));
    const occupied = this.#runners.some(({ thread, processor }) =>
      ranges.some((range) => standsIn(thread.domain, processor.pc, range)),
    );
    return occupied === condition.occupied;
  }

  #isUnmapped(processor: number): boolean {
    return this.#node.unmapped.some((range) => this.model.transitions.isIn(this.#local(processor), range));
  }

  [Symbol.dispose](): void {
    this.subject[Symbol.dispose]();
    this.modelled[Symbol.dispose]();
  }
}

function unmapped(address: bigint): string {
  return `the page of 0x${address.toString(16)} is not mapped any more`;
}

function nameOf(exit: Exit): string {
  if (exit.reason === 'fault') return `fault: ${exit.fault.access} (${exit.fault.cause})`;
  return exit.reason === 'exception' ? exit.name : exit.reason;
}

/** Performs a whole schedule. @returns what its last action came to */
export async function replay(
  source: SubjectSource,
  schedule: Schedule,
  protocol: WriteProtocol,
): Promise<ReplayOutcome> {
  using run = await Replay.create(source, { ...schedule, protocol });
  let outcome: ReplayOutcome = { kind: 'done' };
  for (const action of schedule.actions) outcome = run.perform(action);
  return outcome;
}
