import type { PlacedRange } from '../recording.js';
import { refuse } from '../refuse.js';
import type { EngineEdge, EngineGraph, EngineNode } from './engine-graph.js';
import type { Executed, ExecutedInstruction, Executor, FetchView } from './executor.js';
import { type LocalState, LocalStates } from './local-states.js';
import type { Broken, Properties } from './properties.js';

/** An engine node and the contents of the shared data, by one number. */
export interface GlobalState {
  readonly id: number;
  readonly node: EngineNode;
  readonly shared: number;
}

const NOT_COMPUTED = -1;
const BROKEN = -2;
const MOST_GLOBAL_STATES = 0x10000;
export const LOCAL_STATES = 0x10000;

/**
 * What one instruction of one processor does, by the number of its local state and of the global state. Each different
 * case is executed once; whoever is in the same case later does the same, because nothing else can be noticed by it.
 */
export class Transitions {
  readonly locals = new LocalStates();
  /** What calls were seen to return: `during: 7 in system`. */
  readonly results = new Set<string>();
  readonly #globals: GlobalState[] = [];
  readonly #globalIds: number[][] = [];
  /** By local state, then by global state: the next local state and 65536 times the next global state. */
  readonly #rows: Float64Array[] = [];
  readonly #broken = new Map<number, Broken>();
  readonly #serialised: number[] = [];
  readonly #noView: FetchView;
  /** Execute every transition again, and see whether it comes out as it did before. */
  executesEach = false;

  constructor(
    /** By role. */
    private readonly executors: readonly Executor[],
    private readonly graph: EngineGraph,
    /** By role. */
    private readonly properties: readonly Properties[],
    private readonly isWeak: boolean,
    /** How many calls each processor makes; -1: one after the other for ever. */
    private readonly calls: number,
  ) {
    this.#noView = graph.pages.map(() => 0);
  }

  /** A processor that is about to begin its call and has fetched nothing yet; the roles go round. */
  idle(processor: number): number {
    const { initial } = this.#executor(processor % this.executors.length);
    return this.locals.idOf(initial, 'idle', this.#noView, this.calls);
  }

  /** What executes the call of this role. */
  #executor(role: number): Executor {
    const executor = this.executors[role];
    if (executor === undefined) throw new RangeError(`there is no role ${role}`);
    return executor;
  }

  /** Is the processor in the range, which is in one process or session alone? */
  isIn(local: number, range: PlacedRange): boolean {
    const { guest } = this.locals.state(local);
    return this.#executor(guest.role).isIn(range, guest.pc);
  }

  /** What a processor would fetch and execute next. */
  instruction(local: number, node: EngineNode): ExecutedInstruction {
    const { guest, view } = this.locals.state(local);
    return this.#executor(guest.role).instruction(guest, view, node);
  }

  /** Where a processor is: `base!f+0x2`. */
  describe(local: number): string {
    const { guest } = this.locals.state(local);
    return this.#executor(guest.role).describe(guest.pc);
  }

  /** The engine's first node, with the shared data as they were. */
  get first(): number {
    return this.globalId(0, this.#executor(0).shared.first);
  }

  global(id: number): GlobalState {
    const state = this.#globals[id];
    if (state === undefined) throw new RangeError(`there is no global state ${id}`);
    return state;
  }

  globalId(node: number, shared: number): number {
    const ofNode = this.#globalIds[node] ?? [];
    this.#globalIds[node] = ofNode;
    const known = ofNode[shared];
    if (known !== undefined) return known;
    const id = this.#globals.length;
    if (id >= MOST_GLOBAL_STATES)
      throw refuse('exploration.states', `more than ${MOST_GLOBAL_STATES} global states`);
    ofNode[shared] = id;
    this.#globals.push({ id, node: this.graph.node(node), shared });
    return id;
  }

  /** The next local state plus {@link LOCAL_STATES} times the next global state; negative when a property is broken. */
  next(local: number, global: number): number {
    let row = this.#rows[local];
    if (row === undefined || row.length <= global) row = this.#grow(local, global);
    const known = row[global] ?? NOT_COMPUTED;
    if (known !== NOT_COMPUTED && !this.executesEach) return known;
    const next = this.#execute(this.locals.state(local), this.global(global));
    if (!this.executesEach) this.#runAhead(next);
    if (known !== NOT_COMPUTED && known !== next)
      throw new Error(`local state ${local} does something else when it is in global state ${global} again`);
    (this.#rows[local] ?? row)[global] = next;
    return next;
  }

  /**
   * Goes on with the same processor while the machine is set up for it. Whatever it does is reachable too: nothing
   * obliges the others to do anything.
   */
  #runAhead(next: number): void {
    let at = next;
    while (at >= 0) {
      const local = at % LOCAL_STATES;
      const global = Math.floor(at / LOCAL_STATES);
      const { phase } = this.locals.state(local);
      let row = this.#rows[local];
      if (row === undefined || row.length <= global) row = this.#grow(local, global);
      if (phase === 'idle' || phase === 'finished' || row[global] !== NOT_COMPUTED) return;
      at = this.#execute(this.locals.state(local), this.global(global));
      row[global] = at;
    }
  }

  /** The property that the negative result of {@link next} means. */
  broken(local: number, global: number): Broken {
    const broken = this.#broken.get(local + LOCAL_STATES * global);
    if (broken === undefined) throw new RangeError(`no property is broken by ${local} in ${global}`);
    return broken;
  }

  /** The local state after the processor was serialised: it fetches what is in memory. */
  serialised(local: number): number {
    const known = this.#serialised[local];
    if (known !== undefined) return known;
    const { guest, phase, calls } = this.locals.state(local);
    const next = this.locals.idOf(guest, phase, this.#noView, calls);
    this.#serialised[local] = next;
    return next;
  }

  /** The local state after a step of the engine, which may make the processor fetch anew. */
  afterEngine(local: number, edge: EngineEdge): number {
    if (!this.isWeak) return local;
    if (edge.serialises) return this.serialised(local);
    if (edge.refetched === undefined) return local;
    const { guest, phase, view, calls } = this.locals.state(local);
    const next = view.map((seen, page) => (edge.refetched?.includes(page) ? 0 : seen));
    return this.locals.idOf(guest, phase, next, calls);
  }

  /** Would the processor fetch old bytes from some page? */
  isBehind(local: number, { memory }: EngineNode): boolean {
    const { view } = this.locals.state(local);
    return view.some((seen, page) => seen !== 0 && seen !== memory[page]);
  }

  #grow(local: number, global: number): Float64Array {
    const row = new Float64Array(Math.max(16, 2 ** Math.ceil(Math.log2(global + 1)))).fill(NOT_COMPUTED);
    row.set(this.#rows[local] ?? []);
    this.#rows[local] = row;
    return row;
  }

  #execute(local: LocalState, { id, node, shared }: GlobalState): number {
    const executor = this.#executor(local.guest.role);
    const phase = local.phase === 'idle' ? (node.committed ? 'after' : 'during') : local.phase;
    const instruction = executor.instruction(local.guest, local.view, node);
    const executed = executor.execute(local.guest, local.view, node, shared);
    if (executed.kind === 'returned')
      this.results.add(`${phase}: ${executed.result} in ${executor.place.name}`);
    const broken = this.properties[local.guest.role]?.judge(node, phase, local.view, instruction, executed);
    if (broken !== undefined || executed.kind === 'fault') {
      this.#broken.set(local.id + LOCAL_STATES * id, broken ?? { rule: 'fault', text: 'fault' });
      return BROKEN;
    }
    const view = this.#viewAfter(local.view, node, instruction, executed, executor.seen);
    const next =
      executed.kind === 'ran'
        ? this.locals.idOf(executed.guest, phase, view, local.calls)
        : this.#nextCall(executor, view, local.calls);
    return next + LOCAL_STATES * this.globalId(node.id, executed.shared);
  }

  #nextCall({ initial }: Executor, view: FetchView, calls: number): number {
    if (calls === 1) return this.locals.idOf(initial, 'finished', this.#noView, 0);
    return this.locals.idOf(initial, 'idle', view, Math.max(-1, calls - 1));
  }

  isBetweenCalls(local: number): boolean {
    const { phase } = this.locals.state(local);
    return phase === 'idle' || phase === 'finished';
  }

  isFinished(local: number): boolean {
    return this.locals.state(local).phase === 'finished';
  }

  #viewAfter(
    before: FetchView,
    node: EngineNode,
    { address, bytes }: ExecutedInstruction,
    executed: Exclude<Executed, { kind: 'fault' }>,
    seen: readonly boolean[],
  ): FetchView {
    if (!this.isWeak || (executed.kind === 'ran' && executed.interrupted === true)) return this.#noView;
    const view = this.#fetched(before, node, seen, address, address + BigInt(bytes.length));
    return executed.kind === 'ran' ? this.#fetched(view, node, seen, executed.guest.pc) : view;
  }

  /** Pages that are fetched from for the first time are from now on seen as they are now. */
  #fetched(
    view: FetchView,
    node: EngineNode,
    visible: readonly boolean[],
    start: bigint,
    end = start + 1n,
  ): FetchView {
    return view.map((seen, page) => {
      const changed = this.graph.pages[page];
      if (seen !== 0 || visible[page] !== true || changed?.executable !== true) return seen;
      return start < changed.base + 0x1000n && end > changed.base ? (node.memory[page] ?? 0) : 0;
    });
  }
}
