import type { EngineNode } from '../explore/engine-graph.js';
import type { ExecutedInstruction, FetchView } from '../explore/executor.js';
import type { ScheduledAction } from '../explore/schedule.js';
import type { LocalMoves } from './local-moves.js';
import type { EngineMove, ReducedEngine } from './reduced-engine.js';
import type { Found, Position, ReducedAction, ReducedSearch } from './reduced-search.js';
import type { RunThrough } from './run.js';

/** A run that a processor has begun, and how much of it has been performed. */
interface Begun {
  readonly run: RunThrough;
  readonly view: FetchView;
  readonly node: EngineNode;
  performed: number;
  instructions?: readonly ExecutedInstruction[];
}

/** Turns a way of the reduced search into single steps: each of the engine's, each instruction of the processors. */
export class Expansion {
  readonly actions: ScheduledAction[] = [];
  readonly #begun: (Begun | undefined)[];
  /** Steps of the engine that nobody notices, and so need not have been done yet. */
  #unnoticed: { readonly node: number; readonly choices: readonly number[] } | undefined;

  constructor(
    private readonly moves: LocalMoves,
    private readonly engine: ReducedEngine,
    processors: number,
  ) {
    this.#begun = new Array<Begun | undefined>(processors).fill(undefined);
    const { choices } = engine.first;
    if (choices.length > 0) this.#unnoticed = { node: 0, choices };
  }

  /** Performs an action that leads on from a position. */
  perform(position: Position, action: ReducedAction): void {
    switch (action.actor) {
      case 'engine': {
        const move = this.engine.moves(position.node.id)[action.move];
        if (move !== undefined) this.#engine(position.node, move);
        return;
      }
      case 'interrupt':
        this.#performBefore(position, action.processor);
        this.#interrupt(position, action.processor);
        return;
      case 'processor':
        this.#processor(position, action.processor);
        return;
      case 'none':
    }
  }

  /** The action that breaks a rule. */
  finish(position: Position, { broken, action }: Found): void {
    if (action.actor !== 'processor') {
      this.perform(position, action);
      if (action.actor === 'none') for (const processor of this.#begun.keys()) this.#performRun(processor);
      return;
    }
    const { processor } = action;
    this.#processor(position, processor);
    const isFirst = broken.rule === 'torn' || broken.rule === 'stale' || broken.rule === 'concurrent';
    if (!isFirst) this.#performRun(processor);
  }

  #engine({ id }: EngineNode, move: EngineMove): void {
    if (move.edges.slice(0, move.noticed).some(({ serialises, refetched }) => serialises || refetched))
      for (const [processor] of this.#begun.entries()) this.#performIgnored(processor);
    if (this.#unnoticed !== undefined) this.#emit(this.#unnoticed.node, this.#unnoticed.choices);
    const noticed = move.choices.slice(0, move.noticed);
    const at = this.#emit(id, noticed);
    const rest = move.choices.slice(move.noticed);
    this.#unnoticed = rest.length === 0 ? undefined : { node: at, choices: rest };
  }

  #emit(from: number, choices: readonly number[]): number {
    let at = from;
    for (const edge of choices) {
      const found = this.engine.graph.node(at).edges[edge];
      if (found === undefined) throw new RangeError('the engine has no such step');
      this.actions.push({ actor: 'engine', edge, text: found.text });
      at = found.to;
    }
    return at;
  }

  #interrupt({ locals }: Position, processor: number): void {
    const text = this.#placeOf(locals, processor);
    this.actions.push({ actor: 'interrupt', processor, text });
  }

  #placeOf(locals: readonly number[], processor: number): string {
    const { role, place } = this.moves.local(locals[processor] ?? 0);
    const runner = this.moves.runner(role);
    const begun = this.#begun[processor];
    if (place.kind === 'point') return runner.describe(place.point.pc);
    const address = begun === undefined ? undefined : this.#instructionsOf(begun)[begun.performed]?.address;
    return address === undefined ? '' : runner.describe(address);
  }

  #processor({ node, shared, locals }: Position, processor: number): void {
    const id = locals[processor] ?? 0;
    const { place, view, role } = this.moves.local(id);
    if (place.kind === 'inside') {
      this.#performTo(processor, place.touches[place.at]?.step ?? 0);
      return;
    }
    this.#performRun(processor);
    const runner = this.moves.runner(role);
    if (node.unmapped.some((range) => runner.isIn(range, place.point.pc))) {
      const { pc: address } = place.point;
      const text = runner.describe(address);
      this.actions.push({ actor: 'processor', processor, text, address, bytes: new Uint8Array() });
      return;
    }
    const run = this.moves.runAt(id, node, shared);
    if (run === undefined) return;
    this.#begun[processor] = { run, view, node, performed: 0 };
    this.#performTo(processor, 1);
  }

  /** What a processor did before an interrupt: nothing of it is left that could be noticed. */
  #performBefore({ locals }: Position, processor: number): void {
    const { place } = this.moves.local(locals[processor] ?? 0);
    if (place.kind === 'point') this.#performRun(processor);
    else this.#performIgnored(processor);
  }

  /** Steps up to the next one that counts. */
  #performIgnored(processor: number): void {
    const begun = this.#begun[processor];
    if (begun === undefined) return;
    const next = this.moves.tellingTouches(begun.run).find(({ step }) => step > begun.performed);
    this.#performTo(processor, next === undefined ? begun.run.steps : next.step - 1);
  }

  #performRun(processor: number): void {
    this.#performTo(processor, this.#begun[processor]?.run.steps ?? 0);
  }

  #performTo(processor: number, steps: number): void {
    const begun = this.#begun[processor];
    if (begun === undefined || begun.performed >= steps) return;
    const runner = this.moves.runner(begun.run.from.role);
    const all = steps === 1 ? [begun.run.first] : this.#instructionsOf(begun);
    for (const { address, bytes } of all.slice(begun.performed, steps)) {
      const isFirst = begun.performed === 0;
      begun.performed += 1;
      this.actions.push({
        actor: 'processor',
        processor,
        text: runner.describe(address),
        address,
        bytes,
        ...(isFirst ? {} : { alone: true as const }),
      });
    }
  }

  #instructionsOf(begun: Begun): readonly ExecutedInstruction[] {
    const { run, view, node } = begun;
    begun.instructions ??= this.moves.runner(run.from.role).instructions(run, view, node);
    return begun.instructions;
  }
}

/** The way to a violation, in single steps. */
export function expand(
  search: ReducedSearch,
  moves: LocalMoves,
  engine: ReducedEngine,
  found: Found,
): { readonly actions: readonly ScheduledAction[]; readonly needsOther: boolean } {
  const path = search.pathTo(found.state);
  const [first] = path;
  if (first === undefined) return { actions: [], needsOther: false };
  let position = search.position(first);
  const expansion = new Expansion(moves, engine, position.locals.length);
  let needsOther = false;
  for (const state of path.slice(1)) {
    const steps = [...search.successors(position)].filter(({ to }) => search.isAt(state, to));
    const step = steps.find((one) => !one.needsOther) ?? steps[0];
    if (step === undefined) throw new Error('a path of the search leads through an unreachable state');
    needsOther ||= step.needsOther;
    expansion.perform(position, step.action);
    position = step.to;
  }
  expansion.finish(position, { ...found, action: named(search, found, position) });
  return { actions: expansion.actions, needsOther };
}

/** The action, with the processor's number in a position whose processors are named. */
function named(search: ReducedSearch, { state, action }: Found, position: Position): ReducedAction {
  if (action.actor === 'engine' || action.actor === 'none') return action;
  const local = search.position(state).locals[action.processor];
  return { ...action, processor: position.locals.indexOf(local ?? -1) };
}
