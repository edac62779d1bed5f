import type { Thread } from '../../loader/index.js';
import { CodeMemory } from '../explore/code-memory.js';
import { type DataRegion, dataRegions, finalKey, readRegion } from '../explore/data-regions.js';
import { isNotRestored } from '../explore/end-checks.js';
import {
  type Exploration,
  type ExplorationCheckpoint,
  type ExploreOptions,
  MOST_STATES,
  type Violation,
} from '../explore/exploration.js';
import { Limits } from '../explore/limits.js';
import {
  CALLS_THAT_CHANGE_DATA,
  createModelled,
  mixtureOf,
  type PreparedProtocol,
  prepareProtocol,
} from '../explore/model.js';
import { Properties } from '../explore/properties.js';
import { BoundReached } from '../explore/state-set.js';
import { WholeCode } from '../explore/whole-code.js';
import { refuse } from '../refuse.js';
import { placeOf, type Subject, type SubjectCall, type SubjectSource } from '../subject.js';
import { type Alone, faultInSequence, runAlone } from './alone.js';
import { ByteMap } from './byte-map.js';
import { CallJudge } from './call-judge.js';
import { fingerprintOf, isSearchCheckpoint, type SavedGroup, type SearchCheckpoint } from './checkpoint.js';
import { type Conflicts, conflictsOf, NO_CONFLICTS, restoreConflicts, saveConflicts } from './conflicts.js';
import { expand } from './expand.js';
import { Knowledge, LocalMoves, NoticedMore } from './local-moves.js';
import { ReducedEngine } from './reduced-engine.js';
import { ReducedSearch } from './reduced-search.js';
import type { NotedRun } from './run.js';
import { CallRunner, heapArenaOf } from './run-through.js';
import { SharedBytes } from './shared-bytes.js';
import { Visible } from './visible.js';

const MOST_PROCESSORS = 4;
/** Where all processors together have more states, what each can meet is taken for what it does meet. */
const MOST_STATES_TOGETHER = 2_000_000;

/**
 * As visiting every interleaving, with an order only for steps that depend on one another: the same rules are broken and
 * calls and operation come to the same. @returns undefined when the protocol means nothing for the subject
 */
export async function exploreReduced(
  source: SubjectSource,
  options: ExploreOptions,
): Promise<Exploration | undefined> {
  const { processors = 1 } = options;
  if (!Number.isInteger(processors) || processors < 1 || processors > MOST_PROCESSORS)
    throw refuse(
      'exploration.processors',
      `${processors} processors: the explorer takes 1 to ${MOST_PROCESSORS}`,
    );
  return exploreOn(source, options, new Limits(options), options.resume?.each ?? false);
}

async function exploreOn(
  source: SubjectSource,
  options: ExploreOptions,
  limits: Limits,
  each: boolean,
): Promise<Exploration | undefined> {
  using subject = await createModelled(source, options, each);
  const prepared = prepareProtocol(subject, options.protocol);
  if (prepared === undefined) return undefined;
  const exploration = new ReducedExploration(subject, source, prepared, options, limits, each);
  try {
    return exploration.run();
  } catch (error) {
    if (error instanceof BoundReached) {
      const { restart: checkpoint } = exploration;
      const nothing = nothingKnown(source, options, error.message);
      return checkpoint === undefined ? nothing : { ...nothing, checkpoint };
    }
    if (!(error instanceof TellsThreadsApart)) throw error;
  }
  const { resume: _, ...anew } = options;
  return exploreOn(source, anew, limits, true);
}

/** Calls share more than was known when the search began. */
class SharesMore extends Error {
  override readonly name = 'SharesMore';
}

/** After so many times as many instructions as last time, what is shared is looked at again. */
const LOOK_AGAIN = 1.2;

/** One thread cannot stand for several processors: what it is can be in the data that they share. */
class TellsThreadsApart extends Error {
  override readonly name = 'TellsThreadsApart';
}

/** A bound was reached before the calls had been made once. */
function nothingKnown(
  source: SubjectSource,
  { processors = 1, fetch = 'coherent', protocol, calls }: ExploreOptions,
  bound: string,
): Exploration {
  return {
    subject: source.name,
    protocol: protocol.name,
    processors,
    fetch,
    states: 0,
    transitions: 0,
    executed: 0,
    complete: false,
    bound,
    violations: [],
    expected: { before: Number.NaN, after: Number.NaN },
    roles: [],
    calls,
    seconds: 0,
    outcomes: { results: [], final: [] },
  };
}

/** Everything that holds for one set of shared bytes. */
interface Round {
  readonly runners: readonly CallRunner[];
  readonly shared: SharedBytes;
  readonly conflicts: Conflicts;
  /** What processors do to each other's data is explored. */
  readonly isShared: boolean;
  readonly alone: readonly Alone[];
  readonly properties: readonly Properties[];
  readonly judges: readonly CallJudge[];
  readonly calls: number;
  readonly noted: readonly NotedRun[];
}

class ReducedExploration {
  readonly #used: readonly SubjectCall[];
  readonly #threads: readonly Thread[];
  readonly #roles: readonly number[];
  readonly #knowledge = new Knowledge();
  readonly #data: ByteMap[] = [];
  readonly #isWeak: boolean;
  readonly #processors: number;
  readonly #regions: readonly DataRegion[];
  /** Instructions after which what is shared is looked at again. */
  #nextLook = 0;
  /** By changed page: how many contents the engine's steps leave. */
  readonly #contents: readonly number[];
  readonly #fingerprint: string;
  #resume: SearchCheckpoint | undefined;
  #checkpoint: SearchCheckpoint | undefined;
  #restart: SearchCheckpoint | undefined;

  constructor(
    private readonly subject: Subject,
    private readonly source: SubjectSource,
    private readonly prepared: PreparedProtocol,
    private readonly options: ExploreOptions,
    private readonly limits: Limits,
    /** Each processor has a thread of its own, also where some make the same call. */
    private readonly each: boolean,
  ) {
    const { processors = 1, fetch = 'coherent' } = options;
    const { calls } = subject;
    this.#processors = processors;
    this.#isWeak = fetch === 'weak';
    this.#used = each
      ? Array.from({ length: processors }, (_, processor) => calls[processor % calls.length] ?? calls[0])
      : calls.slice(0, processors);
    this.#roles = Array.from({ length: processors }, (_, processor) => processor % this.#used.length);
    const { kernel } = subject.lab;
    this.#threads = this.#used.map((call, role) => {
      const thread = freshThread(subject, call, role);
      kernel.scheduler.place(thread);
      return thread;
    });
    const places = this.#used.map((call) => placeOf(subject.lab, call));
    this.#regions = dataRegions(places, prepared.graph.pages);
    this.#contents = prepared.graph.pages.map((_, page) => prepared.graph.contentCount(page));
    this.#fingerprint =
      options.keepsCheckpoint === true || options.resume !== undefined
        ? fingerprintOf(subject, prepared)
        : '';
  }

  run(): Exploration {
    const resume = this.#takeUp(this.options.resume);
    let conflicts = resume === undefined ? NO_CONFLICTS : restoreConflicts(resume.conflicts);
    let handedOver = resume?.handedOver;
    for (;;) {
      this.#checkpoint = undefined;
      const isResumed = this.#awaited !== undefined;
      using round = this.#round(conflicts, handedOver === undefined, isResumed);
      if (!isResumed) handedOver ??= handedOverIn(round, this.#conflicts(round));
      if (handedOver !== undefined && round.isShared) {
        conflicts = NO_CONFLICTS;
        continue;
      }
      this.#restart = this.#saved(round, handedOver);
      this.#nextLook = this.#resume?.nextLook ?? 0;
      const result = this.#searchUnlessMoreIsShared(round, handedOver);
      const known = round.conflicts;
      const used = this.#conflicts(round);
      const later = round.isShared ? handedOverIn(round, used) : undefined;
      handedOver ??= later;
      if (later !== undefined) {
        conflicts = NO_CONFLICTS;
        continue;
      }
      this.#expectThreads(round, used);
      conflicts = used;
      if (result !== undefined && conflicts.size === known.size) {
        const { complete } = result;
        return complete || this.#checkpoint === undefined
          ? result
          : { ...result, checkpoint: this.#checkpoint };
      }
      this.#resume = undefined;
    }
  }

  /** From where a search can be begun anew: as the present round began, or where it was to go on and has not come to. */
  get restart(): SearchCheckpoint | undefined {
    return this.#awaited ?? this.#restart;
  }

  /** The search that is to go on, as long as it has not. */
  get #awaited(): SearchCheckpoint | undefined {
    return this.#resume?.group === undefined ? undefined : this.#resume;
  }

  /** What other rounds have learnt. */
  #takeUp(resume: ExplorationCheckpoint | undefined): SearchCheckpoint | undefined {
    if (resume === undefined) return undefined;
    if (!isSearchCheckpoint(resume) || resume.fingerprint !== this.#fingerprint)
      throw refuse(
        'exploration.checkpoint',
        'the checkpoint is of another machine, operation or call: it cannot go on here',
      );
    const { graph } = this.prepared;
    for (const [page, list] of resume.contents.entries())
      for (const bytes of list) graph.contentOf(page, bytes);
    for (const [role, pages] of resume.data.entries()) this.#dataOf(role).restore(pages);
    this.#knowledge.restore(resume.knowledge);
    this.#resume = resume;
    return resume;
  }

  /** @param group undefined: the search begins anew, with what is known of what calls use */
  #saved(round: Round, handedOver: string | undefined, group?: SavedGroup): SearchCheckpoint | undefined {
    if (this.options.keepsCheckpoint !== true) return undefined;
    const { graph } = this.prepared;
    const { runners, conflicts, noted, judges } = round;
    const judged = judges.map(({ mixtures, unjudged }) => ({
      mixtures: [...mixtures],
      unjudged: [...unjudged],
    }));
    return {
      fingerprint: this.#fingerprint,
      each: this.each,
      ...(handedOver === undefined ? {} : { handedOver }),
      conflicts: saveConflicts(conflicts, runners.length),
      data: runners.map((_, role) => this.#dataOf(role).save()),
      knowledge: this.#knowledge.save(),
      contents: this.#contents.map((first, page) =>
        Array.from({ length: graph.contentCount(page) - first }, (_, index) =>
          graph.contents(page, first + index),
        ),
      ),
      ...(group === undefined
        ? { noted: [], nextLook: 0, judged: [] }
        : { noted, nextLook: this.#nextLook, judged, group }),
    };
  }

  /** @returns undefined when calls turned out to share more than was known */
  #searchUnlessMoreIsShared(round: Round, handedOver: string | undefined): Exploration | undefined {
    try {
      return this.#search(round, handedOver);
    } catch (error) {
      if (error instanceof SharesMore) return undefined;
      throw error;
    }
  }

  /** What the calls of a role do to memory that others may use, in all rounds: nothing is forgotten. */
  #dataOf(role: number): ByteMap {
    const data = this.#data[role] ?? new ByteMap();
    this.#data[role] = data;
    return data;
  }

  #conflicts({ runners, isShared }: Pick<Round, 'runners' | 'isShared'>): Conflicts {
    return isShared ? conflictsOf(runners, this.#roles) : NO_CONFLICTS;
  }

  /** @throws TellsThreadsApart when a processor may find in shared data which thread has been there */
  #expectThreads({ runners }: Pick<Round, 'runners'>, { size }: Conflicts): void {
    if (this.each || size === 0 || this.#used.length === this.#processors) return;
    if (runners.some(({ knowsItself, handedOver }) => knowsItself || handedOver.size > 0))
      throw new TellsThreadsApart();
  }

  /** Runners for what is known to be shared; begun anew when the calls alone show that there is more. */
  #round(known: Conflicts, isShared: boolean, isResumed: boolean): Round & Disposable {
    let conflicts = known;
    for (;;) {
      const made = this.#roundWith(conflicts, isShared && this.#processors > 1);
      if (isResumed) return made;
      const found = this.#conflicts(made);
      this.#expectThreads(made, found);
      if (found.size === conflicts.size || handedOverIn(made, found) !== undefined) return made;
      conflicts = found;
      made[Symbol.dispose]();
    }
  }

  #roundWith(conflicts: Conflicts, isShared: boolean): Round & Disposable {
    const { subject, prepared } = this;
    const { graph, recording, handleBreakpoint } = prepared;
    const { machine } = subject.lab.kernel;
    const before = machine.snapshot();
    const memory = new CodeMemory(subject.lab, graph);
    const spaceOf = (role: number) =>
      this.#threads[role]?.addressSpace ?? subject.lab.kernel.domain.addressSpace;
    const shared = new SharedBytes(
      conflicts.bytes.map(({ role, address }) => ({ space: spaceOf(role), address })),
    );
    const noted: NotedRun[] = [];
    const runners = this.#threads.flatMap((thread, role) => {
      const { processor, domain: place } = thread;
      const call = this.#used[role];
      if (processor === undefined || call === undefined) return [];
      const seen = memory.seenFrom(place);
      const visible = new Visible(subject, graph, place, seen, conflicts.of(role));
      return [
        new CallRunner({
          subject,
          call,
          role,
          thread,
          processor,
          place,
          memory,
          visible,
          shared,
          handleBreakpoint,
          notesData: isShared,
          data: this.#dataOf(role),
          limits: this.limits,
          noted,
        }),
      ];
    });
    for (const run of this.#resume?.noted ?? []) runners[run.role]?.again(run, graph.node(0));
    const whole = new WholeCode(graph, recording);
    const alone = runners.map((runner) => runAlone(runner, graph, shared.first, whole));
    const { expected } = this.source;
    const properties = runners.map((runner, role) => {
      const { before: old, after } = alone[role] ?? { before: { result: 0 }, after: { result: 0 } };
      const results = { before: old.result, after: after.result };
      return new Properties(runner.options.visible.seen, graph, whole, results, expected);
    });
    const judges = runners.flatMap((runner, role) => {
      const ofRole = properties[role];
      if (ofRole === undefined) return [];
      const mixture = mixtureOf(this.source);
      const firstShared = shared.first;
      return [
        new CallJudge({
          runner,
          properties: ofRole,
          graph,
          recording,
          mixture,
          firstShared,
          isShared: conflicts.size > 0,
        }),
      ];
    });
    for (const [role, { mixtures, unjudged }] of this.#resume?.judged.entries() ?? []) {
      for (const result of mixtures) judges[role]?.mixtures.add(result);
      for (const result of unjudged) judges[role]?.unjudged.add(result);
    }
    const calls =
      this.options.calls ?? (alone.some(({ changesData }) => changesData) ? CALLS_THAT_CHANGE_DATA : -1);
    return {
      runners,
      shared,
      conflicts,
      isShared,
      alone,
      properties,
      judges,
      calls,
      noted,
      [Symbol.dispose]: () => {
        for (const runner of runners) runner[Symbol.dispose]();
        machine.restore(before);
      },
    };
  }

  #search(round: Round, handedOver: string | undefined): Exploration {
    const apart = round.conflicts.size === 0;
    const groups = apart ? [...new Set(this.#roles)].map((role) => [role]) : [this.#roles];
    const { mostStates = MOST_STATES } = this.options;
    const found = this.#searchGroups(round, groups, mostStates, handedOver, false);
    if (!found.some(({ usesOthers }) => usesOthers)) return this.#report(round, found, apart, handedOver);
    // Where another processor may stand is only known when all are explored together.
    const hasFalseAlarm = found.some(({ violations }) => violations.some(({ needsOther }) => needsOther));
    const most = hasFalseAlarm ? mostStates : Math.min(mostStates, MOST_STATES_TOGETHER);
    const together = this.#searchGroups(round, [this.#roles], most, handedOver, true);
    const isBounded = together.some(({ bound }) => bound !== undefined);
    return isBounded && !hasFalseAlarm
      ? this.#report(round, found, true, handedOver)
      : this.#report(round, together, false, handedOver);
  }

  #searchGroups(
    round: Round,
    groups: readonly (readonly number[])[],
    mostStates: number,
    handedOver: string | undefined,
    isSecond: boolean,
  ): Searched[] {
    for (;;) {
      try {
        return groups.map((roles) => this.#searchGroup(round, { roles, mostStates, handedOver, isSecond }));
      } catch (error) {
        if (!(error instanceof NoticedMore)) throw error;
      }
    }
  }

  /** What is known of a group's search from before; used once. */
  #takeGroup(roles: readonly number[], isSecond: boolean): SavedGroup | undefined {
    const group = this.#resume?.group;
    if (group === undefined || group.isSecond !== isSecond || group.roles.join() !== roles.join())
      return undefined;
    this.#resume = undefined;
    return group;
  }

  /** Now and then, when calls have done something new: a search that knows too little need not come to its end. */
  #expectNoMoreShared(round: Round): void {
    const executed = round.runners.reduce((total, runner) => total + runner.executed, 0);
    if (executed < this.#nextLook) return;
    this.#nextLook = executed * LOOK_AGAIN;
    if (this.#conflicts(round).size > round.conflicts.size) throw new SharesMore();
  }

  #searchGroup(round: Round, { roles, mostStates, handedOver, isSecond }: GroupOptions): Searched {
    const { runners, properties, judges, shared, calls } = round;
    const { graph, recording } = this.prepared;
    const knowledge = this.#knowledge;
    const isWeak = this.#isWeak;
    const engine = new ReducedEngine(graph, {
      isUsed: (page, index) => knowledge.isUsed(page, index),
      isStoodIn: (range) => knowledge.isStoodIn(range),
      isWeak,
    });
    const moves = new LocalMoves({ runners, properties, judges, engine, knowledge, isWeak, calls });
    const { onProgress } = this.options;
    const saved = this.#takeGroup(roles, isSecond);
    const search = new ReducedSearch({
      moves,
      engine,
      roles,
      hasOthers: roles.length < this.#processors,
      firstShared: shared.first,
      isWeak,
      mostStates: mostStates + (saved?.search.states.parents.length ?? 0),
      isRestored: (node) => recording.operation !== 'revert' || !isNotRestored({ recording, graph }, node),
      onState: (progress) => {
        this.limits.check();
        this.#expectNoMoreShared(round);
        onProgress?.(progress);
      },
    });
    if (saved !== undefined) {
      moves.restore(saved.locals);
      search.restore(saved.search);
    }
    search.run();
    if (search.bound !== undefined && this.#checkpoint === undefined)
      this.#checkpoint =
        this.#awaited ??
        this.#saved(round, handedOver, { roles, isSecond, search: search.save(), locals: moves.save() });
    const inSequence = search.found.has('fault')
      ? runners.map((runner) => faultInSequence(runner, graph, shared.first))
      : [];
    const violations = [...search.found.values()].map((one) => {
      const { actions, needsOther } = expand(search, moves, engine, one);
      const { fetch = 'coherent', protocol } = this.options;
      const violation: Violation = {
        ...one.broken,
        count: one.count,
        ...(one.broken.rule === 'fault' && inSequence.includes(one.broken.text)
          ? { inSequence: true as const }
          : {}),
        schedule: {
          subject: this.source.name,
          protocol: protocol.name,
          architecture: recording.architecture,
          processors: this.#processors,
          fetch,
          actions,
        },
      };
      return { violation, needsOther };
    });
    const moments = new Set(
      Array.from({ length: search.states.size }, (_, state) => search.states.word(state, 0)),
    );
    const final = this.#finalStates(search, moves, shared);
    const { results, bound, transitions, steps, usesOthers } = search;
    return {
      states: search.states.size,
      transitions,
      steps,
      bound,
      usesOthers,
      results,
      final,
      violations,
      moments: moments.size,
    };
  }

  #finalStates(search: ReducedSearch, moves: LocalMoves, shared: SharedBytes): Set<string> {
    const found = new Set<string>();
    const met = new Set<string>();
    for (let state = 0; state < search.states.size; state++) {
      const { node, shared: contents, locals } = search.position(state);
      const isOver = locals.every((local) => /idle|finished/.test(moves.local(local).phase));
      if (!node.committed || !isOver) continue;
      const { role, place } = moves.local(locals[0] ?? 0);
      if (place.kind !== 'point') continue;
      const key = `${node.id} ${contents} ${role} ${place.point.id}`;
      if (met.has(key)) continue;
      met.add(key);
      this.subject.lab.kernel.machine.restore(place.point.snapshot);
      shared.load(contents);
      found.add(finalKey(this.prepared.graph, node, this.#regions.map(readRegion)));
    }
    return found;
  }

  #report(
    round: Round,
    searches: readonly Searched[],
    apart: boolean,
    handedOver: string | undefined,
  ): Exploration {
    const { processors = 1, fetch = 'coherent', protocol } = this.options;
    const { runners, properties, alone, calls, conflicts } = round;
    const sum = (value: (one: Searched) => number) => searches.reduce((total, one) => total + value(one), 0);
    const reached = searches.find((one) => one.bound !== undefined)?.bound;
    const bound =
      reached ??
      (handedOver === undefined
        ? undefined
        : `memory that a processor hands to the others at ${handedOver}: each was explored by itself with the engine`);
    const [first] = properties;
    if (first === undefined) throw new RangeError('a subject has a call');
    return {
      subject: this.source.name,
      protocol: protocol.name,
      processors,
      fetch,
      states: sum(({ states }) => states),
      transitions: sum(({ transitions }) => transitions),
      executed: runners.reduce((total, { executed }) => total + executed, 0),
      complete: bound === undefined,
      ...(bound === undefined ? {} : { bound }),
      violations: merged(searches.flatMap(({ violations }) => violations.map(({ violation }) => violation))),
      expected: first.expected,
      roles: runners.slice(0, this.subject.calls.length).map(({ place }, role) => ({
        place: place.name,
        expected: properties[role]?.expected ?? first.expected,
      })),
      calls: calls < 0 ? undefined : calls,
      mixtures: union(round.judges.map(({ mixtures }) => mixtures)),
      unjudged: union(round.judges.map(({ unjudged }) => unjudged)),
      seconds: this.limits.seconds,
      outcomes: {
        results: [...new Set(searches.flatMap(({ results }) => [...results]))].sort(),
        final: [...new Set(searches.flatMap(({ final }) => [...final]))].sort(),
      },
      reduction: {
        instructions: alone[0]?.before.steps ?? 0,
        steps: sum(({ steps }) => steps),
        moments: Math.max(0, ...searches.map(({ moments }) => moments)),
        allMoments: this.prepared.graph.nodes.length,
        points: runners.reduce((total, { points }) => total + points.count, 0),
        apart,
        sharedBytes: conflicts.size,
      },
    };
  }
}

interface GroupOptions {
  /** By processor. */
  readonly roles: readonly number[];
  readonly mostStates: number;
  readonly handedOver: string | undefined;
  readonly isSecond: boolean;
}

interface Searched {
  readonly states: number;
  readonly transitions: number;
  readonly steps: number;
  readonly bound: string | undefined;
  readonly usesOthers: boolean;
  readonly results: ReadonlySet<string>;
  readonly final: ReadonlySet<string>;
  readonly moments: number;
  readonly violations: readonly { readonly violation: Violation; readonly needsOther: boolean }[];
}

/** One for each rule: the shortest schedule. */
function merged(violations: readonly Violation[]): Violation[] {
  const found = new Map<string, Violation>();
  for (const one of violations) {
    const known = found.get(one.rule);
    const isShorter = known === undefined || one.schedule.actions.length < known.schedule.actions.length;
    const shortest = isShorter ? one : known;
    found.set(one.rule, { ...shortest, count: one.count + (known?.count ?? 0) });
  }
  return [...found.values()];
}

const union = (sets: readonly ReadonlySet<number>[]): number[] =>
  [...new Set(sets.flatMap((set) => [...set]))].sort((a, b) => a - b);

const MOST_THREADS = 128;

/** A thread whose heap arena nobody has used before it: all that it finds there is its own. */
function freshThread({ lab }: Subject, call: SubjectCall, role: number): Thread {
  const { kernel } = lab;
  const domain = placeOf(lab, call);
  const used: Thread[] = [];
  for (;;) {
    const options = { name: 'explored', affinity: role, domain };
    const thread = kernel.createThread(call.target, call.arguments, options);
    const arena = heapArenaOf(thread);
    if (arena === undefined || domain.addressSpace.query(arena.start).state !== 'committed') {
      for (const one of used) kernel.destroyThread(one);
      return thread;
    }
    used.push(thread);
    if (used.length > MOST_THREADS)
      throw refuse(
        'exploration.heap',
        `all ${MOST_THREADS} parts of the heap are in use: no thread has one of its own`,
      );
  }
}

/** Where a call stores a pointer to memory that only it has in a cell that other processors use. */
function handedOverIn({ runners }: Pick<Round, 'runners'>, conflicts: Conflicts): string | undefined {
  for (const { handedOver, options } of runners)
    for (const [cell, where] of handedOver)
      if (conflicts.of(options.role).any(cell, options.place.architecture.pointerSize) !== 0) return where;
  return undefined;
}
