import type { PlacedRange } from '../recording.js';
import { refuse } from '../refuse.js';
import type { SubjectSource } from '../subject.js';
import { finalKey } from './data-regions.js';
import { checkRestored, checkThatCallsEnd } from './end-checks.js';
import type { EngineNode } from './engine-graph.js';
import {
  DEADLOCK,
  type Exploration,
  type ExploreOptions,
  MOST_STATES,
  type Outcomes,
  REPLACED_UNDERFOOT,
  type Violation,
} from './exploration.js';
import { Limits } from './limits.js';
import { TooManyLocalStates } from './local-states.js';
import { createModelled, type Model, modelOf } from './model.js';
import type { Broken, PropertyName } from './properties.js';
import { type Action, scheduleTo } from './schedule.js';
import { BoundReached, StateSet } from './state-set.js';
import { LOCAL_STATES, type Transitions } from './transitions.js';

const MOST_PROCESSORS = 3;

/**
 * Visits every interleaving of the protocol's steps with the instructions of the processors, breadth first, so that the
 * first way to a broken property is a shortest one. @returns undefined when the protocol means nothing for the subject.
 */
export async function exploreEach(
  source: SubjectSource,
  options: ExploreOptions,
): Promise<Exploration | undefined> {
  using subject = await createModelled(source, options);
  const model = modelOf(subject, source, options);
  return model && new Search(source, model, options).run();
}

class Search {
  readonly #processors: number;
  readonly #isWeak: boolean;
  readonly #calls: number;
  readonly #transitions: Transitions;
  readonly #states: StateSet;
  readonly #found = new Map<PropertyName, { broken: Broken; state: number; action: Action; count: number }>();
  /** Local states by processor, of the state that is being expanded and of its successor. */
  readonly #here: number[];
  readonly #there: number[];
  #count = 0;

  constructor(
    private readonly source: SubjectSource,
    private readonly model: Model,
    private readonly options: ExploreOptions,
  ) {
    const { processors = 1 } = options;
    if (!Number.isInteger(processors) || processors < 1 || processors > MOST_PROCESSORS)
      throw refuse(
        'exploration.processors',
        `${processors} processors: the explorer takes 1 to ${MOST_PROCESSORS}`,
      );
    this.#processors = processors;
    this.#states = new StateSet(options.mostStates ?? MOST_STATES);
    this.#isWeak = model.isWeak;
    this.#calls = model.calls;
    this.#transitions = model.transitions;
    this.#transitions.executesEach = options.executeEach ?? false;
    this.#here = new Array<number>(processors).fill(0);
    this.#there = new Array<number>(processors).fill(0);
  }

  run(): Exploration {
    const limits = new Limits(this.options);
    const { onProgress } = this.options;
    const states = this.#states;
    const first = this.#transitions.first;
    for (const processor of this.#there.keys()) this.#there[processor] = this.#transitions.idle(processor);
    let bound: string | undefined;
    let explored = 0;
    try {
      this.#add(first, -1);
      for (; explored < states.size; explored++) {
        if ((explored & 0x3f) === 0) limits.check();
        this.#expand(explored);
        if ((explored & 0x3fff) === 0)
          onProgress?.({
            states: states.size,
            transitions: this.#count,
            explored,
            steps: this.#count,
          });
      }
    } catch (error) {
      if (!(error instanceof TooManyLocalStates || error instanceof BoundReached)) throw error;
      bound = error.message;
    }
    const report = this.#report.bind(this);
    if (bound === undefined) checkThatCallsEnd(states, this.#transitions, this.#processors, report);
    checkRestored(states, this.model, report);
    const { processors = 1, fetch = 'coherent', protocol } = this.options;
    return {
      subject: this.source.name,
      protocol: protocol.name,
      processors,
      fetch,
      states: states.size,
      transitions: this.#count,
      executed: this.model.executors.reduce((sum, { executed }) => sum + executed, 0),
      complete: bound === undefined,
      ...(bound === undefined ? {} : { bound }),
      violations: [...this.#found.values()].map((found) => this.#violation(found)),
      ...this.#results(),
      calls: this.#calls < 0 ? undefined : this.#calls,
      seconds: limits.seconds,
      outcomes: this.#outcomes(),
    };
  }

  #outcomes(): Outcomes {
    const transitions = this.#transitions;
    const final = new Set<string>();
    for (let state = 0; state < this.#states.size; state++) {
      const low = this.#states.low(state);
      const high = this.#states.high(state);
      const { node, shared } = transitions.global(high >>> 16);
      const locals = [low & 0xffff, low >>> 16, high & 0xffff].slice(0, this.#processors);
      if (!node.committed || !locals.every((local) => transitions.isBetweenCalls(local))) continue;
      final.add(finalKey(this.model.graph, node, this.model.shared.contents(shared)));
    }
    return { results: [...transitions.results].sort(), final: [...final].sort() };
  }

  #results(): Pick<Exploration, 'expected' | 'roles'> {
    const [first] = this.model.properties;
    if (first === undefined) throw new RangeError('a subject has a call');
    const roles = this.model.executors.map(({ place }, role) => ({
      place: place.name,
      expected: this.model.properties[role]?.expected ?? first.expected,
    }));
    return { expected: first.expected, roles };
  }

  /** Adds the state made of `#there` and `global`. Processors run the same call, so their order does not matter. */
  #add(global: number, parent: number): void {
    const there = this.#there;
    const [a = 0, b = 0, c = 0] = there;
    if (there.length === 1) this.#states.add(a, global * LOCAL_STATES, parent);
    else if (there.length === 2)
      this.#states.add(a < b ? a + b * LOCAL_STATES : b + a * LOCAL_STATES, global * LOCAL_STATES, parent);
    else {
      const low = Math.min(a, b, c);
      const high = Math.max(a, b, c);
      const middle = a + b + c - low - high;
      this.#states.add(low + middle * LOCAL_STATES, high + global * LOCAL_STATES, parent);
    }
  }

  #expand(state: number): void {
    const here = this.#here;
    const low = this.#states.low(state);
    const high = this.#states.high(state);
    here[0] = low & 0xffff;
    if (here.length > 1) here[1] = low >>> 16;
    if (here.length > 2) here[2] = high & 0xffff;
    const global = high >>> 16;
    const { node, shared } = this.#transitions.global(global);
    const engineGoesOn = this.#expandEngine(state, node, shared);
    const isOver = here.every((local) => this.#transitions.isFinished(local));
    if (!engineGoesOn && !node.committed && (node.gathered || isOver))
      this.#report(DEADLOCK, state, { actor: 'engine', edge: -1 });
    if (node.gathered) return;
    for (let processor = 0; processor < here.length; processor++) {
      const local = here[processor] ?? 0;
      if ((processor > 0 && local === here[processor - 1]) || this.#transitions.isFinished(local)) continue;
      this.#count += 1;
      const next = this.#transitions.next(local, global);
      if (next < 0) {
        this.#report(this.#transitions.broken(local, global), state, { actor: 'processor', processor });
        continue;
      }
      this.#go(processor, next % LOCAL_STATES, Math.floor(next / LOCAL_STATES), state);
      if (this.#isWeak && this.#transitions.isBehind(local, node)) {
        this.#count += 1;
        this.#go(processor, this.#transitions.serialised(local), global, state);
      }
    }
  }

  /** @returns whether the engine can do anything */
  #expandEngine(state: number, node: EngineNode, shared: number): boolean {
    let goesOn = false;
    for (const [index, edge] of node.edges.entries()) {
      const { to, condition, hazards } = edge;
      if (condition !== undefined && this.#occupied(condition.ranges) !== condition.occupied) continue;
      goesOn = true;
      this.#count += 1;
      if (hazards?.some((range) => this.#here.some((local) => this.#transitions.isIn(local, range)))) {
        this.#report(REPLACED_UNDERFOOT, state, { actor: 'engine', edge: index });
        continue;
      }
      for (let processor = 0; processor < this.#here.length; processor++)
        this.#there[processor] = this.#transitions.afterEngine(this.#here[processor] ?? 0, edge);
      this.#add(this.#transitions.globalId(to, shared), state);
    }
    return goesOn;
  }

  #go(processor: number, local: number, global: number, parent: number): void {
    for (let other = 0; other < this.#here.length; other++) this.#there[other] = this.#here[other] ?? 0;
    this.#there[processor] = local;
    this.#add(global, parent);
  }

  #occupied(ranges: readonly PlacedRange[]): boolean {
    return this.#here.some((local) => ranges.some((range) => this.#transitions.isIn(local, range)));
  }

  #report(broken: Broken, state: number, action: Action): void {
    const found = this.#found.get(broken.rule);
    if (found === undefined) this.#found.set(broken.rule, { broken, state, action, count: 1 });
    else found.count += 1;
  }

  #violation(found: { broken: Broken; state: number; action: Action; count: number }): Violation {
    const path: number[] = [];
    for (let state = found.state; state >= 0; state = this.#states.parent(state)) path.unshift(state);
    const keys = path.map((state) => ({ low: this.#states.low(state), high: this.#states.high(state) }));
    const schedule = scheduleTo(keys, found.action, {
      transitions: this.#transitions,
      processors: this.#processors,
      subject: this.source.name,
      protocol: this.options.protocol.name,
      architecture: this.model.recording.architecture,
      fetch: this.options.fetch ?? 'coherent',
      firstGlobal: this.#transitions.first,
    });
    return { ...found.broken, count: found.count, schedule };
  }
}
