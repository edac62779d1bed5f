import type { EngineNode } from '../explore/engine-graph.js';
import {
  DEADLOCK,
  deadlocked,
  NEVER_ENDS,
  type Progress,
  REPLACED_UNDERFOOT,
} from '../explore/exploration.js';
import type { Broken, PropertyName } from '../explore/properties.js';
import { BoundReached } from '../explore/state-set.js';
import type { PlacedRange } from '../recording.js';
import type { LocalMoves } from './local-moves.js';
import type { EngineMove, ReducedEngine } from './reduced-engine.js';
import { type SavedTuples, TupleSet } from './tuple-set.js';

/** Who does something that others can notice. `processor`: among the processors of the state, in ascending order. */
export type ReducedAction =
  | { readonly actor: 'engine'; readonly move: number }
  | { readonly actor: 'processor'; readonly processor: number }
  | { readonly actor: 'interrupt'; readonly processor: number }
  /** Nothing is done: the state itself breaks the rule. */
  | { readonly actor: 'none' };

export interface Found {
  readonly broken: Broken;
  readonly state: number;
  readonly action: ReducedAction;
  count: number;
}

/** A search that has not come to its end. */
export interface SavedSearch {
  readonly states: SavedTuples;
  /** States whose successors are known. */
  readonly explored: number;
  readonly transitions: number;
  readonly steps: number;
  readonly results: readonly string[];
  readonly found: readonly Found[];
  readonly usesOthers: boolean;
}

/** A state, opened up. */
export interface Position {
  readonly node: EngineNode;
  readonly shared: number;
  readonly locals: readonly number[];
}

export interface ReducedSearchOptions {
  readonly moves: LocalMoves;
  readonly engine: ReducedEngine;
  /** By processor. */
  readonly roles: readonly number[];
  /** Other processors, which share no data with these, may stand anywhere where one of these may. */
  readonly hasOthers: boolean;
  readonly firstShared: number;
  readonly isWeak: boolean;
  readonly mostStates: number;
  readonly isRestored: (node: EngineNode) => boolean;
  /** May throw, to end the search. */
  readonly onState?: (progress: Progress) => void;
}

/** Visits every order of what the engine and some processors can notice of each other, breadth first. */
export class ReducedSearch {
  readonly states: TupleSet;
  readonly found = new Map<PropertyName, Found>();
  readonly results = new Set<string>();
  transitions = 0;
  /** Single steps of processors and engine that the transitions stand for. */
  steps = 0;
  bound: string | undefined;
  /** Something could only happen because another processor stands somewhere. */
  usesOthers = false;
  readonly #options: ReducedSearchOptions;
  readonly #here: number[];
  #explored = 0;
  /** As it was before the state that is being expanded. */
  #before = { states: 0, transitions: 0, steps: 0 };
  /** Rules that were broken since. */
  #brokenSince: PropertyName[] = [];

  constructor(options: ReducedSearchOptions) {
    this.#options = options;
    this.states = new TupleSet(options.roles.length + 2, options.mostStates);
    this.#here = options.roles.map(() => 0);
  }

  run(): void {
    const { moves, engine, roles, firstShared, onState } = this.#options;
    try {
      if (this.states.size === 0) {
        const first = roles.map((role) => moves.idle(role));
        this.#add(engine.first.to, firstShared, first, -1);
      }
      for (; this.#explored < this.states.size; this.#explored++) {
        const { transitions, steps } = this;
        this.#before = { states: this.states.size, transitions, steps };
        this.#brokenSince = [];
        if ((this.#explored & 0x3f) === 0)
          onState?.({ states: this.states.size, transitions, explored: this.#explored, steps });
        this.#expand(this.#explored);
      }
    } catch (error) {
      if (!(error instanceof BoundReached)) throw error;
      this.bound = error.message;
    }
    if (this.bound === undefined) this.#checkThatCallsEnd();
    this.#checkRestored();
  }

  /** What a later search needs to go on, from before the state that could not be expanded to its end. */
  save(): SavedSearch {
    const { states, transitions, steps } = this.#before;
    const found = [...this.found].flatMap(([rule, one]) => {
      const count = one.count - this.#brokenSince.filter((other) => other === rule).length;
      return count > 0 && one.state < states ? [{ ...one, count }] : [];
    });
    const { results, usesOthers } = this;
    return {
      states: this.states.save(states),
      explored: this.#explored,
      transitions,
      steps,
      results: [...results],
      found,
      usesOthers,
    };
  }

  restore({ states, explored, transitions, steps, results, found, usesOthers }: SavedSearch): void {
    this.states.restore(states);
    this.#explored = explored;
    this.transitions = transitions;
    this.steps = steps;
    this.usesOthers = usesOthers;
    for (const result of results) this.results.add(result);
    for (const one of found) this.found.set(one.broken.rule, { ...one });
  }

  position(state: number): Position {
    const { states } = this;
    const { graph } = this.#options.engine;
    return {
      node: graph.node(states.word(state, 0)),
      shared: states.word(state, 1),
      locals: this.#here.map((_, index) => states.word(state, index + 2)),
    };
  }

  /** What follows from a position whose processors are named: who does it, and to what. */
  *successors({ node, shared, locals }: Position): Iterable<{
    readonly action: ReducedAction;
    readonly to: Position;
    /** Only because another processor stands somewhere. */
    readonly needsOther: boolean;
  }> {
    const { moves, engine, isWeak } = this.#options;
    for (const [index, move] of engine.moves(node.id).entries()) {
      const possible = this.#isPossible(move, locals);
      if (possible === undefined || this.#isUnderfoot(move, locals)) continue;
      yield {
        action: { actor: 'engine', move: index },
        to: {
          node: engine.graph.node(move.to),
          shared,
          locals: locals.map((local) => moves.afterEngine(local, move.edges)),
        },
        needsOther: possible.needsOther,
      };
    }
    if (node.gathered) return;
    for (const [processor, local] of locals.entries()) {
      if (moves.isFinished(local)) continue;
      const next = moves.next(local, node, shared);
      const moved = (to: number) => locals.map((other, index) => (index === processor ? to : other));
      if (next.broken === undefined && next.waits === undefined)
        yield {
          action: { actor: 'processor', processor },
          to: { node, shared: next.shared, locals: moved(next.local) },
          needsOther: false,
        };
      if (isWeak && moves.isBehind(local, node))
        yield {
          action: { actor: 'interrupt', processor },
          to: { node, shared, locals: moved(moves.serialised(local)) },
          needsOther: false,
        };
    }
  }

  /** The states on the way to one, from the first on. */
  pathTo(state: number): number[] {
    const path: number[] = [];
    for (let at = state; at >= 0; at = this.states.parent(at)) path.unshift(at);
    return path;
  }

  /** The state of a position whose processors are named. */
  isAt(state: number, { node, shared, locals }: Position): boolean {
    const key = this.#keyOf(node.id, shared, locals);
    return key.every((word, position) => this.states.word(state, position) === word);
  }

  #add(node: number, shared: number, locals: readonly number[], parent: number): void {
    this.states.add(this.#keyOf(node, shared, locals), parent);
  }

  /** Processors that make the same call may change places. */
  #keyOf(node: number, shared: number, locals: readonly number[]): number[] {
    return [node, shared, ...(locals.length === 1 ? locals : [...locals].sort((a, b) => a - b))];
  }

  #expand(state: number): void {
    const { moves, isWeak } = this.#options;
    const { node, shared, locals } = this.position(state);
    if (this.#expandUnnoticed(state, { node, shared, locals })) return;
    const engineGoesOn = this.#expandEngine(state, node, shared, locals);
    const isOver = locals.every((local) => moves.isFinished(local));
    if (!engineGoesOn && !node.committed && (node.gathered || isOver))
      this.#report(DEADLOCK, state, { actor: 'none' });
    if (node.gathered) return;
    this.#checkThatSomeoneRuns(state, { node, shared, locals });
    for (const [processor, local] of locals.entries()) {
      if ((processor > 0 && local === locals[processor - 1]) || moves.isFinished(local)) continue;
      const next = moves.next(local, node, shared);
      if (next.waits !== undefined) continue;
      this.transitions += 1;
      this.steps += next.steps;
      if (next.returned !== undefined) this.#noteResult(local, next.returned);
      if (next.broken !== undefined) {
        this.#report(next.broken, state, { actor: 'processor', processor });
        continue;
      }
      const moved = (to: number) => locals.map((other, index) => (index === processor ? to : other));
      this.#add(node.id, next.shared, moved(next.local), state);
      if (!isWeak || !moves.isBehind(local, node)) continue;
      this.transitions += 1;
      this.steps += 1;
      this.#add(node.id, shared, moved(moves.serialised(local)), state);
    }
  }

  /**
   * Where a processor's next move is independent of whatever the others may do before it, no other order has to be tried
   * (an ample set; Clarke, Grumberg, Peled: Model Checking, chapter 10), unless that leads to where the search has been.
   */
  #expandUnnoticed(state: number, { node, shared, locals }: Position): boolean {
    const { moves, isWeak } = this.#options;
    if (locals.length === 1 || node.gathered) return false;
    for (const [processor, local] of locals.entries()) {
      if (!moves.isUnnoticed(local, node, shared)) continue;
      const before = this.states.size;
      const next = moves.next(local, node, shared);
      const moved = (to: number) => locals.map((other, index) => (index === processor ? to : other));
      this.#add(node.id, next.shared, moved(next.local), state);
      if (this.states.size === before) continue;
      this.transitions += 1;
      this.steps += next.steps;
      if (isWeak && moves.isBehind(local, node)) {
        this.transitions += 1;
        this.steps += 1;
        this.#add(node.id, shared, moved(moves.serialised(local)), state);
      }
      return true;
    }
    return false;
  }

  /** What processors wait for is changed by processors only: all of them must not wait. */
  #checkThatSomeoneRuns(state: number, { node, shared, locals }: Position): void {
    const { moves } = this.#options;
    let reason: string | undefined;
    for (const local of locals) {
      if (moves.isFinished(local)) continue;
      const { waits } = moves.next(local, node, shared);
      if (waits === undefined) return;
      reason ??= waits;
    }
    if (reason !== undefined) this.#report(deadlocked(reason), state, { actor: 'none' });
  }

  #noteResult(local: number, { phase, result }: { readonly phase: string; readonly result: number }): void {
    const { moves } = this.#options;
    this.results.add(`${phase}: ${result} in ${moves.runner(moves.local(local).role).place.name}`);
  }

  /** @returns whether the engine can do anything */
  #expandEngine(state: number, node: EngineNode, shared: number, locals: readonly number[]): boolean {
    const { moves, engine } = this.#options;
    let goesOn = false;
    for (const [index, move] of engine.moves(node.id).entries()) {
      const possible = this.#isPossible(move, locals);
      if (possible === undefined) continue;
      this.usesOthers ||= possible.needsOther;
      goesOn = true;
      this.transitions += 1;
      this.steps += move.edges.length;
      if (this.#isUnderfoot(move, locals)) {
        this.#report(REPLACED_UNDERFOOT, state, { actor: 'engine', move: index });
        continue;
      }
      const next = locals.map((local) => moves.afterEngine(local, move.edges));
      this.#add(move.to, shared, next, state);
    }
    return goesOn;
  }

  #isPossible(move: EngineMove, locals: readonly number[]): { readonly needsOther: boolean } | undefined {
    let needsOther = false;
    for (const { condition } of move.edges) {
      if (condition === undefined) continue;
      const isOccupied = condition.ranges.some((range) => this.#isOccupied(range, locals));
      if (isOccupied === condition.occupied) continue;
      if (isOccupied || !this.#options.hasOthers) return undefined;
      needsOther = true;
    }
    return { needsOther };
  }

  #isOccupied(range: PlacedRange, locals: readonly number[]): boolean {
    return locals.some((local) => this.#options.moves.isIn(local, range));
  }

  #isUnderfoot({ edges }: EngineMove, locals: readonly number[]): boolean {
    return edges.some(({ hazards }) => hazards?.some((range) => this.#isOccupied(range, locals)) ?? false);
  }

  #report(broken: Broken, state: number, action: ReducedAction): void {
    this.#brokenSince.push(broken.rule);
    const found = this.found.get(broken.rule);
    if (found === undefined) this.found.set(broken.rule, { broken, state, action, count: 1 });
    else found.count += 1;
  }

  /** With the engine done, the processors must be able to come to the ends of their calls. */
  #checkThatCallsEnd(): void {
    const { moves } = this.#options;
    const index = new Map<string, number>();
    for (let state = 0; state < this.states.size; state++) {
      const { node, shared, locals } = this.position(state);
      if (node.committed) index.set(this.#keyOf(node.id, shared, locals).join(), state);
    }
    const sources = new Map<number, number[]>();
    const ends: number[] = [];
    for (const state of index.values()) {
      const position = this.position(state);
      const { node, shared, locals } = position;
      const isBetweenCalls = locals.every((local) => /idle|finished/.test(moves.local(local).phase));
      // What breaks a rule is told already.
      const isBroken = locals.some(
        (local) => !moves.isFinished(local) && moves.next(local, node, shared).broken !== undefined,
      );
      if (isBetweenCalls || isBroken) ends.push(state);
      for (const { to } of this.successors(position)) {
        const target = index.get(this.#keyOf(to.node.id, to.shared, to.locals).join());
        if (target === undefined) continue;
        const known = sources.get(target);
        if (known === undefined) sources.set(target, [state]);
        else known.push(state);
      }
    }
    const seen = new Set(ends);
    const addWhatLeadsTo = (targets: number[]): void => {
      for (let target = targets.pop(); target !== undefined; target = targets.pop())
        for (const source of sources.get(target) ?? []) {
          if (seen.has(source)) continue;
          seen.add(source);
          targets.push(source);
        }
    };
    addWhatLeadsTo(ends);
    const waiting = [...index.values()].flatMap((state) => {
      const reason = seen.has(state) ? undefined : this.#waitIn(this.position(state));
      return reason === undefined ? [] : [{ state, reason }];
    });
    for (const { state, reason } of waiting) this.#report(deadlocked(reason), state, { actor: 'none' });
    for (const { state } of waiting) seen.add(state);
    addWhatLeadsTo(waiting.map(({ state }) => state));
    for (const state of index.values())
      if (!seen.has(state)) this.#report(NEVER_ENDS, state, { actor: 'none' });
  }

  /** What some processor waits for. */
  #waitIn({ node, shared, locals }: Position): string | undefined {
    const { moves } = this.#options;
    for (const local of locals) {
      const waits = moves.isFinished(local) ? undefined : moves.next(local, node, shared).waits;
      if (waits !== undefined) return waits;
    }
    return undefined;
  }

  /** After a revert the base has its original bytes. */
  #checkRestored(): void {
    for (let state = 0; state < this.states.size; state++) {
      const { node } = this.position(state);
      if (!node.committed || this.#options.isRestored(node)) continue;
      const broken = { rule: 'restored', text: 'the bytes of the base are not the original ones' } as const;
      this.#report(broken, state, { actor: 'none' });
      return;
    }
  }
}
