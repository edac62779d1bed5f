import type { EngineEdge, EngineNode } from '../explore/engine-graph.js';
import type { FetchView } from '../explore/executor.js';
import type { CallPhase } from '../explore/local-states.js';
import type { Broken, Properties } from '../explore/properties.js';
import type { PlacedRange } from '../recording.js';
import type { Beginning, CallJudge } from './call-judge.js';
import type { GuestPoint } from './guest-points.js';
import type { ReducedEngine } from './reduced-engine.js';
import type { RunThrough } from './run.js';
import type { CallRunner } from './run-through.js';
import { type Touch, telling } from './touches.js';

/** Where a processor is: before a step that others can notice, or in a run, before it touches changed pages again. */
export type LocalPlace =
  | { readonly kind: 'point'; readonly point: GuestPoint }
  | {
      readonly kind: 'inside';
      readonly run: RunThrough;
      readonly touches: readonly Touch[];
      readonly at: number;
    };

/** Everything about one processor that decides what it can do next. */
export interface ReducedLocal {
  readonly id: number;
  readonly role: number;
  readonly place: LocalPlace;
  readonly phase: CallPhase;
  readonly view: FetchView;
  /** Calls that are still to be made, the present one included; -1 without a limit. */
  readonly calls: number;
  /** Where the call that is under way began. */
  readonly began?: Beginning;
}

/** What a processor's next move comes to. */
export interface LocalMove {
  readonly local: number;
  /** The data that processors share. */
  readonly shared: number;
  /** Instructions and calls of simulated exports that it stands for. */
  readonly steps: number;
  readonly broken?: Broken;
  /** It cannot be made yet: what the processor waits for. */
  readonly waits?: string;
  /** A call has ended with it. */
  readonly returned?: { readonly phase: CallPhase; readonly result: number };
}

/** A call that meets something that no call was known to use: the search begins anew. */
export class NoticedMore extends Error {
  override readonly name = 'NoticedMore';
}

/** What is known about what the calls use of what the engine changes; grows. */
export class Knowledge {
  readonly #used = new Set<string>();
  readonly #stoodIn = new Set<string>();

  save(): SavedKnowledge {
    return { used: [...this.#used], stoodIn: [...this.#stoodIn] };
  }

  restore({ used, stoodIn }: SavedKnowledge): void {
    for (const key of used) this.#used.add(key);
    for (const key of stoodIn) this.#stoodIn.add(key);
  }

  /** @returns whether it was not known */
  noteUsed(page: number, index: number): boolean {
    const before = this.#used.size;
    this.#used.add(`${page} ${index}`);
    return this.#used.size > before;
  }

  noteStoodIn(range: PlacedRange): boolean {
    const before = this.#stoodIn.size;
    this.#stoodIn.add(rangeKey(range));
    return this.#stoodIn.size > before;
  }

  isUsed(page: number, index: number): boolean {
    return this.#used.has(`${page} ${index}`);
  }

  isStoodIn(range: PlacedRange): boolean {
    return this.#stoodIn.has(rangeKey(range));
  }
}

export interface SavedKnowledge {
  readonly used: readonly string[];
  readonly stoodIn: readonly string[];
}

/** A local state with numbers in place of points and runs. */
export interface SavedLocal extends Omit<ReducedLocal, 'id' | 'place' | 'began'> {
  readonly place: { readonly point: number } | { readonly run: number; readonly at: number };
  readonly began?: { readonly point: number; readonly shared: number };
}

const rangeKey = ({ place, start, end }: PlacedRange): string => `${place} ${start} ${end}`;

export interface LocalMovesOptions {
  /** By role. */
  readonly runners: readonly CallRunner[];
  readonly properties: readonly Properties[];
  readonly judges: readonly CallJudge[];
  readonly engine: ReducedEngine;
  readonly knowledge: Knowledge;
  readonly isWeak: boolean;
  /** Calls of each processor; -1: without end. */
  readonly calls: number;
}

const MOST_MOMENTS = 2 ** 24;

/** What single processors do: by the number of a local state, the engine's moment and the shared data. */
export class LocalMoves {
  readonly #locals: ReducedLocal[] = [];
  readonly #ids = new Map<string, number>();
  /** By local state, then by the engine's moment and the shared data. */
  readonly #moves: Map<number, LocalMove>[] = [];
  readonly #serialised: number[] = [];
  readonly #touches = new Map<RunThrough, readonly Touch[]>();
  readonly #noView: FetchView;

  constructor(private readonly options: LocalMovesOptions) {
    this.#noView = options.engine.graph.pages.map(() => 0);
  }

  get count(): number {
    return this.#locals.length;
  }

  save(): SavedLocal[] {
    return this.#locals.map(({ id: _, place, began, ...local }) => ({
      ...local,
      place: place.kind === 'point' ? { point: place.point.id } : { run: place.run.id, at: place.at },
      ...(began === undefined ? {} : { began: { point: began.point.id, shared: began.shared } }),
    }));
  }

  /** Takes over what was saved; runs and points must have been made again. */
  restore(saved: readonly SavedLocal[]): void {
    for (const { place, began, ...local } of saved) {
      const runner = this.runner(local.role);
      const where = 'point' in place ? this.#pointPlace(runner, place.point) : this.#runPlace(runner, place);
      const since =
        began === undefined ? {} : { began: { ...began, point: runner.points.point(began.point) } };
      this.#idOf({ ...local, place: where, ...since });
    }
  }

  #pointPlace(runner: CallRunner, point: number): LocalPlace {
    return { kind: 'point', point: runner.points.point(point) };
  }

  #runPlace(runner: CallRunner, { run: id, at }: { readonly run: number; readonly at: number }): LocalPlace {
    const run = runner.runNumber(id);
    return { kind: 'inside', run, touches: this.tellingTouches(run), at };
  }

  local(id: number): ReducedLocal {
    const local = this.#locals[id];
    if (local === undefined) throw new RangeError(`there is no local state ${id}`);
    return local;
  }

  runner(role: number): CallRunner {
    const runner = this.options.runners[role];
    if (runner === undefined) throw new RangeError(`there is no role ${role}`);
    return runner;
  }

  /** A processor that is about to begin its call and has fetched nothing yet. */
  idle(role: number): number {
    const point = this.runner(role).initial;
    return this.#idOf({
      role,
      place: this.#at(point),
      phase: 'idle',
      view: this.#noView,
      calls: this.options.calls,
    });
  }

  isIn(id: number, range: PlacedRange): boolean {
    const { role, place } = this.local(id);
    return place.kind === 'point' && this.runner(role).isIn(range, place.point.pc);
  }

  isFinished(id: number): boolean {
    return this.local(id).phase === 'finished';
  }

  /** Would the processor fetch old bytes that it uses from some page? */
  isBehind(id: number, { memory }: EngineNode): boolean {
    const { view } = this.local(id);
    const { engine } = this.options;
    return view.some((seen, page) => seen !== 0 && seen !== engine.classOf(page, memory[page] ?? 0));
  }

  serialised(id: number): number {
    const known = this.#serialised[id];
    if (known !== undefined) return known;
    const { id: _, ...local } = this.local(id);
    const next = this.#idOf({ ...local, view: this.#noView });
    this.#serialised[id] = next;
    return next;
  }

  afterEngine(id: number, edges: readonly EngineEdge[]): number {
    if (!this.options.isWeak) return id;
    let at = id;
    for (const { serialises, refetched } of edges) {
      if (serialises) at = this.serialised(at);
      else if (refetched !== undefined) {
        const { id: _, ...local } = this.local(at);
        at = this.#idOf({
          ...local,
          view: local.view.map((seen, page) => (refetched.includes(page) ? 0 : seen)),
        });
      }
    }
    return at;
  }

  next(id: number, node: EngineNode, shared: number): LocalMove {
    const key = node.id + shared * MOST_MOMENTS;
    const ofLocal = this.#moves[id] ?? new Map<number, LocalMove>();
    this.#moves[id] = ofLocal;
    const known = ofLocal.get(key);
    if (known !== undefined) return known;
    const local = this.local(id);
    const { place } = local;
    const move =
      place.kind === 'point'
        ? this.#leave(local, place.point, node, shared)
        : { ...this.#goOn(local, place, node, shared), steps: 1 };
    ofLocal.set(key, move);
    return move;
  }

  /**
   * Is the next move one of which nobody else notices anything, now or later? It uses no shared data, and nothing that the
   * engine still changes or asks about; no call begins or ends with it.
   */
  isUnnoticed(id: number, node: EngineNode, shared: number): boolean {
    const { place, phase, role } = this.local(id);
    const { isWeak, engine } = this.options;
    if (phase === 'idle' || phase === 'finished' || (isWeak && !node.committed)) return false;
    const { broken, waits, returned } = this.next(id, node, shared);
    if (broken !== undefined || waits !== undefined || returned !== undefined) return false;
    const run = place.kind === 'inside' ? place.run : this.runAt(id, node, shared);
    if (run === undefined) return false;
    if (place.kind === 'point' && run.usesShared) return false;
    if (node.committed) return true;
    const { visible } = this.runner(role).options;
    const isAskedFor =
      visible.isWatched(run.from.pc) || (run.end.kind === 'stopped' && visible.isWatched(run.end.point.pc));
    return !isAskedFor && run.read.every(({ byte: { page, index } }) => engine.isSettled(node, page, index));
  }

  /** What a processor at a point executes there. */
  runAt(id: number, node: EngineNode, shared: number): RunThrough | undefined {
    const { role, place, view } = this.local(id);
    return place.kind === 'point' ? this.runner(role).run(place.point, view, node, shared) : undefined;
  }

  #leave(local: ReducedLocal, point: GuestPoint, node: EngineNode, shared: number): LocalMove {
    const runner = this.runner(local.role);
    if (node.unmapped.some((range) => runner.isIn(range, point.pc))) {
      const text = `the page of ${runner.describe(point.pc)} is not mapped any more`;
      return { local: local.id, shared, steps: 1, broken: { rule: 'fault', text } };
    }
    const phase = local.phase === 'idle' ? (node.committed ? 'after' : 'during') : local.phase;
    const run = runner.run(point, local.view, node, shared);
    this.#learn(run);
    const { first, steps, end } = run;
    if (end.kind === 'waiting') return { local: local.id, shared, steps: 0, waits: end.reason };
    const executed =
      steps === 1 && end.kind === 'fault'
        ? ({ kind: 'fault', text: end.text } as const)
        : ({ kind: 'ran', interrupted: run.interrupted } as const);
    const broken = this.options.properties[local.role]?.judgeStep(node, local.view, first, executed);
    if (broken !== undefined) return { local: local.id, shared, steps: 1, broken };
    const after = run.usesShared ? run.sharedAfter : shared;
    const view =
      !this.options.isWeak || run.interrupted
        ? this.#noView
        : this.#touched(local.view, run.firstTouch, node);
    const touches = this.tellingTouches(run);
    const began = local.phase === 'idle' ? { point, shared } : local.began;
    const going = { ...local, phase, view, ...(began === undefined ? {} : { began }) };
    if (touches.length === 0) return { ...this.#end(going, run, after), steps };
    const place = { kind: 'inside', run, touches, at: 0 } as const;
    return { local: this.#idOf({ ...going, place }), shared: after, steps };
  }

  #goOn(
    local: ReducedLocal,
    { run, touches, at }: LocalPlace & { kind: 'inside' },
    node: EngineNode,
    shared: number,
  ): Omit<LocalMove, 'steps'> {
    const view = this.#touched(local.view, touches[at]?.pages ?? [], node);
    if (at + 1 === touches.length) return this.#end({ ...local, view }, run, shared);
    const place = { kind: 'inside', run, touches, at: at + 1 } as const;
    return { local: this.#idOf({ ...local, place, view }), shared };
  }

  #end(local: ReducedLocal, run: RunThrough, shared: number): Omit<LocalMove, 'steps'> {
    const { end } = run;
    const { role, calls, phase, view, began } = local;
    switch (end.kind) {
      case 'fault':
        return { local: local.id, shared, broken: { rule: 'fault', text: end.text } };
      case 'endless':
        return { local: local.id, shared, broken: { rule: 'stuck', text: 'the call never ends' } };
      case 'waiting':
        return { local: local.id, shared };
      case 'stopped':
        return { local: this.#idOf({ ...local, place: this.#at(end.point) }), shared };
      case 'returned': {
        const returned = { phase, result: end.result };
        const broken = began && this.options.judges[role]?.judge(phase, end, began);
        if (broken !== undefined) return { local: local.id, shared, broken, returned };
        const place = this.#at(end.point);
        const next =
          calls === 1
            ? this.#idOf({ role, place, phase: 'finished', view: this.#noView, calls: 0 })
            : this.#idOf({ role, place, phase: 'idle', view, calls: Math.max(-1, calls - 1) });
        return { local: next, shared, returned };
      }
    }
  }

  #at(point: GuestPoint): LocalPlace {
    const runner = this.options.runners[point.role];
    const { knowledge } = this.options;
    const isNew = runner?.options.visible.ranges.filter(
      (range) => point.pc >= range.start && point.pc < range.end && knowledge.noteStoodIn(range),
    );
    if (isNew !== undefined && isNew.length > 0) throw new NoticedMore();
    return { kind: 'point', point };
  }

  #learn({ read }: RunThrough): void {
    const isNew = read.filter(({ byte: { page, index } }) => this.options.knowledge.noteUsed(page, index));
    if (isNew.length > 0) throw new NoticedMore();
  }

  /** Those touches of pages in a run whose order counts. */
  tellingTouches(run: RunThrough): readonly Touch[] {
    const known = this.#touches.get(run);
    if (known !== undefined) return known;
    const { engine, isWeak } = this.options;
    const touches = isWeak
      ? telling(
          run.touches.flatMap(({ step, pages }) => {
            const used = pages.filter((page) => engine.isTelling(page));
            return used.length === 0 ? [] : [{ step, pages: used }];
          }),
        )
      : [];
    this.#touches.set(run, touches);
    return touches;
  }

  /** Pages that are fetched from for the first time are from now on seen as they are now. */
  #touched(view: FetchView, pages: readonly number[], { memory }: EngineNode): FetchView {
    const { engine } = this.options;
    const first = pages.filter((page) => (view[page] ?? 0) === 0 && engine.isTelling(page));
    if (first.length === 0) return view;
    return view.map((seen, page) => (first.includes(page) ? engine.classOf(page, memory[page] ?? 0) : seen));
  }

  #idOf(local: Omit<ReducedLocal, 'id'>): number {
    const { role, place, phase, view, calls, began } = local;
    const where = place.kind === 'point' ? `${place.point.id}` : `${place.run.id}+${place.at}`;
    const since = began === undefined ? '' : `${began.point.id}/${began.shared}`;
    const key = `${role}.${where} ${phase} ${calls} ${view.join()} ${since}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.#locals.length;
    this.#ids.set(key, id);
    const state = { id, role, place, phase, view, calls };
    this.#locals.push(began === undefined ? state : { ...state, began });
    return id;
  }
}
