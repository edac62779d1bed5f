import type { EngineGraph, EngineNode } from '../explore/engine-graph.js';
import type { CallPhase } from '../explore/local-states.js';
import { type Broken, endsOf, type Properties } from '../explore/properties.js';
import type { Recording } from '../recording.js';
import type { ExpectedResults, Mixture } from '../subject.js';
import { resultFrom } from './alone.js';
import type { GuestPoint } from './guest-points.js';
import type { RunEnd } from './run.js';
import type { CallRunner } from './run-through.js';

/** Where a call began. */
export interface Beginning {
  readonly point: GuestPoint;
  /** Contents of the data that processors share. */
  readonly shared: number;
}

export interface CallJudgeOptions {
  readonly runner: CallRunner;
  readonly properties: Properties;
  readonly graph: EngineGraph;
  readonly recording: Recording;
  readonly mixture: Mixture;
  readonly firstShared: number;
  /** Processors change data that others read: what a call returns is theirs, too. */
  readonly isShared: boolean;
}

/** Functions that change over one by one, at most: each doubles what is to be tried. */
const MOST_FUNCTIONS = 8;
const MOST_MIXTURES = 20_000;

/** Judges what the calls of one role return, by what old and new code return from where the call began. */
export class CallJudge {
  /** Results that are right only because old and new functions met in one call. */
  readonly mixtures = new Set<number>();
  /** Results that could not be judged: too many functions meet, or processors share data. */
  readonly unjudged = new Set<number>();
  readonly #expected = new Map<string, Partial<ExpectedResults>>();
  readonly #mixed = new Map<string, ReadonlySet<number> | undefined>();

  constructor(private readonly options: CallJudgeOptions) {}

  judge(phase: CallPhase, end: RunEnd & { kind: 'returned' }, began: Beginning): Broken | undefined {
    const { properties } = this.options;
    const expected = this.#expectedFrom(began);
    const broken = properties.judgeReturn(phase, end, expected, (result) => this.#allows(result, began));
    const isOfResult = broken?.rule === 'committed' || broken?.rule === 'mixture';
    if (!isOfResult || !this.options.isShared) return broken;
    this.unjudged.add(end.result);
    return undefined;
  }

  #expectedFrom(began: Beginning): Partial<ExpectedResults> {
    const { runner, properties, graph, firstShared } = this.options;
    if (began.point === runner.initial && began.shared === firstShared) return properties.expected;
    const key = keyOf(began);
    const known = this.#expected.get(key);
    if (known !== undefined) return known;
    const { first, last } = endsOf(graph);
    const before = resultFrom(runner, graph, first, began);
    const after = resultFrom(runner, graph, last, began);
    const expected = {
      ...(before === undefined ? {} : { before }),
      ...(after === undefined ? {} : { after }),
    };
    this.#expected.set(key, expected);
    return expected;
  }

  #allows(result: number, began: Beginning): boolean {
    const { mixture, isShared } = this.options;
    if (typeof mixture === 'function') return mixture(result);
    if (mixture === 'none') return false;
    const key = keyOf(began);
    if (!this.#mixed.has(key)) this.#mixed.set(key, isShared ? undefined : this.#mixturesFrom(began));
    const allowed = this.#mixed.get(key);
    const isRight = allowed?.has(result) ?? true;
    if (isRight) (allowed === undefined ? this.unjudged : this.mixtures).add(result);
    return isRight;
  }

  /** What the call can return when its functions change over one by one; undefined: there are too many. */
  #mixturesFrom(began: Beginning): ReadonlySet<number> | undefined {
    const { runner, graph } = this.options;
    const functions = this.#functions();
    if (functions.length > MOST_FUNCTIONS) return undefined;
    const view = graph.pages.map(() => 0);
    const nodes = new Map<number, EngineNode>();
    const results = new Set<number>();
    const seen = new Set<string>();
    const open: { point: GuestPoint; shared: number; changed: number }[] = [{ ...began, changed: 0 }];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const key = `${next.point.id} ${next.changed}`;
      if (seen.has(key)) continue;
      if (seen.size > MOST_MIXTURES) return undefined;
      seen.add(key);
      for (const [index, { addresses, entries }] of functions.entries()) {
        const { pc } = next.point;
        const isInside = addresses.has(pc) && !entries.has(pc);
        if (!isInside) open.push({ ...next, changed: next.changed | (1 << index) });
      }
      const node = nodes.get(next.changed) ?? this.#momentWith(functions, next.changed);
      nodes.set(next.changed, node);
      const { end } = runner.run(next.point, view, node, next.shared);
      if (end.kind === 'returned') results.add(end.result);
      if (end.kind === 'stopped') open.push({ ...next, point: end.point });
    }
    return results;
  }

  #momentWith(functions: readonly ChangingFunction[], changed: number): EngineNode {
    const { graph, runner } = this.options;
    const { first, last } = endsOf(graph);
    const old = new Set(
      functions.flatMap(({ addresses }, index) => ((changed & (1 << index)) === 0 ? [...addresses] : [])),
    );
    const memory = graph.mixed(
      last,
      first,
      (place, address) => place === runner.place.name && old.has(address),
    );
    return { ...first, id: -1 - changed, memory };
  }

  /** The functions of the base that the call uses and the operation leads elsewhere, with what is stored for each. */
  #functions(): ChangingFunction[] {
    const { recording, runner } = this.options;
    const { patchImages, steps } = recording;
    const found = new Map<string, ChangingFunction>();
    for (const step of steps) {
      if (step.kind !== 'store' || step.symbol === undefined || step.target === 'pointer') continue;
      if (step.place !== runner.place.name) continue;
      const isBackward = patchImages.some(
        ({ place, start, end }) => place === step.place && step.address >= start && step.address < end,
      );
      if (isBackward && recording.operation !== 'revert') continue;
      const one = found.get(step.symbol) ?? { addresses: new Set(), entries: new Set() };
      for (let offset = 0; offset < step.bytes.length; offset++)
        one.addresses.add(step.address + BigInt(offset));
      if (step.target === 'entry') one.entries.add(step.address);
      found.set(step.symbol, one);
    }
    return [...found.values()].filter(({ addresses }) => runner.uses(addresses));
  }
}

interface ChangingFunction {
  readonly addresses: Set<bigint>;
  /** Where it is entered. */
  readonly entries: Set<bigint>;
}

const keyOf = ({ point, shared }: Beginning): string => `${point.id} ${shared}`;
