import type { Exit, MachineSnapshot, Processor, RunOptions } from '../cpu/index.js';
import type { Lab } from '../lab/index.js';
import type { SliceRunner, Thread } from '../loader/index.js';
import type { Breakpoint, Breakpoints } from './breakpoint.js';
import { beginsLine } from './line-step.js';
import { comparePositions, type Position } from './position.js';
import { SliceHistory, type SliceRecord } from './slice-history.js';
import type { CallSearch, Goal, Stop, StopReason } from './stop.js';
import { Watcher, type WatchHit } from './watcher.js';

/** Thrown through the scenario when its run is given up, to start it again or to end it. */
export class RunAbandoned extends Error {
  override readonly name = 'RunAbandoned';
}

/** What a run asks of its session. */
export interface RunOwner {
  readonly breakpoints: Breakpoints;
  /** Blocks until it is said what is to happen next. */
  stopped(stop: Stop): Goal;
  /** Does the condition of a breakpoint hold for the thread? */
  counts(breakpoint: Breakpoint, thread: Thread): boolean;
  interrupted(): boolean;
  /** Have images come or gone since the last time, and is it to be told? */
  modulesChanged(): boolean;
  /** The next moment from here on at which something was done at the prompt in an earlier run. */
  nextAction(from: Position): Position | undefined;
  /** Does again what was done up to this moment; whether there was anything. */
  redo(thread: Thread, position: Position): boolean;
}

/** A slice that was begun, from which any of its moments can be reached without running the scenario again. */
interface Checkpoint {
  readonly sequence: number;
  readonly steps: number;
  readonly snapshot: MachineSnapshot;
}

/** A way back longer than this is made shorter for the next time. */
const LONG_WAY = 20_000;
/** Instructions that are repeated one by one when one of them touches what is watched. */
const WATCHED_STRETCH = 1000;

/**
 * One run of a scenario under the debugger. It sits between scheduler and processors and stops inside slices, so that the
 * scenario's calls of `lab.run` and `lab.call` go on as if nothing had happened.
 */
export class DebugRun implements SliceRunner {
  readonly labs: Lab[] = [];
  readonly history = new SliceHistory();
  readonly #watchers = new Map<Lab, Watcher>();
  /** How many instructions a thread had executed when it last stopped: there it does not stop again. */
  readonly #stoppedAt = new Map<Thread, number>();
  #goal: Goal;
  /** Of the present slice, the earliest first. */
  #checkpoints: Checkpoint[] = [];
  #found: { readonly position: Position; readonly reason: StopReason } | undefined;
  #inSlice = false;
  #isActing = false;
  /** Set when the run is to be given up: what is to be done instead. */
  abandonedFor: Goal | undefined;

  constructor(
    private readonly owner: RunOwner,
    goal: Goal,
  ) {
    this.#goal = goal;
  }

  attach(lab: Lab): void {
    if (this.abandonedFor !== undefined) throw new RunAbandoned();
    this.labs.push(lab);
    lab.kernel.scheduler.use(this);
  }

  /** Is the present still to be reached? Then nothing is shown. */
  get travelling(): boolean {
    return this.#goal.kind === 'travel' || this.#goal.kind === 'searchBack';
  }

  labOf(thread: Thread): Lab {
    const lab = this.labs.find(({ kernel }) => kernel.machine === thread.domain.machine);
    if (lab === undefined) throw new Error(`thread ${thread.id} belongs to no lab of this run`);
    return lab;
  }

  /** Instructions that a thread has executed, those of the slice that it is in too. */
  executed(thread: Thread): number {
    const slice = this.history.last;
    return thread.instructions + (slice?.thread === thread && this.#inSlice ? slice.steps : 0);
  }

  /** Changes the machine at a stop. Guest code that this runs is not stopped in and is no part of the history. */
  act<T>(action: () => T): T {
    this.#checkpoints = [];
    this.#isActing = true;
    try {
      return action();
    } finally {
      this.#isActing = false;
    }
  }

  runSlice(
    thread: Thread,
    processor: Processor,
    options: RunOptions,
    run: (options: RunOptions) => Exit,
  ): Exit {
    if (this.abandonedFor !== undefined) throw new RunAbandoned();
    if (this.#isActing) return run(options);
    const slice = this.history.begin(thread, processor.index);
    this.#inSlice = true;
    try {
      return this.#runSlice(slice, processor, options);
    } finally {
      this.#inSlice = false;
    }
  }

  #runSlice(slice: SliceRecord, processor: Processor, options: RunOptions): Exit {
    const { thread } = slice;
    const limit = options.instructions ?? Number.POSITIVE_INFINITY;
    const ends = new Set(options.breakpoints);
    this.#keepCheckpoint(slice);
    let reason = this.#reasonAtBegin(slice);
    for (;;) {
      if (!this.#pause(slice, reason)) return { reason: 'instructionLimit', instructions: slice.steps };
      if (slice.steps > 0 && ends.has(processor.pc))
        return { reason: 'breakpoint', address: processor.pc, instructions: slice.steps };
      if (slice.steps >= limit) return { reason: 'instructionLimit', instructions: slice.steps };
      const { exit, hit } = this.#advance(slice, processor, limit - slice.steps, ends);
      slice.steps += exit.instructions;
      if (exit.reason !== 'instructionLimit' && exit.reason !== 'breakpoint')
        return { ...exit, instructions: slice.steps };
      reason = this.#reason(slice, hit);
      if (thread.processor !== processor) return { reason: 'instructionLimit', instructions: slice.steps };
    }
  }

  /** Stops as often as there is reason to. False: the thread has lost its processor meanwhile, the slice is over. */
  #pause(slice: SliceRecord, first: StopReason | undefined): boolean {
    const { thread } = slice;
    const processor = thread.processor;
    let reason = first;
    this.owner.redo(thread, positionOf(slice));
    while (reason !== undefined) {
      if (reason.kind !== 'modules') this.#stoppedAt.set(thread, this.executed(thread));
      const position = positionOf(slice);
      if (this.#goal.kind === 'searchBack') {
        this.#found = { position, reason };
        return true;
      }
      if (reason.kind === 'breakpoint' || reason.kind === 'watchpoint') reason.breakpoint.hits++;
      this.#goal = this.owner.stopped({ reason, thread, position });
      reason = this.#follow(slice) ?? (reason.kind === 'modules' ? this.#reason(slice) : undefined);
      if (thread.processor !== processor) return false;
      if (reason === undefined && !this.travelling && this.owner.modulesChanged())
        reason = { kind: 'modules' };
    }
    return thread.processor === processor;
  }

  /** Begins what was asked for; the reason to stop again when it is reached already. */
  #follow(slice: SliceRecord): StopReason | undefined {
    const goal = this.#goal;
    this.#watcher(slice.thread).remember(slice.thread.addressSpace);
    if (goal.kind === 'travel' && comparePositions(goal.to, positionOf(slice)) <= 0) {
      if (!this.#returnWithin(slice, goal.to)) this.abandon(goal);
      return { kind: 'position', ...(goal.search === undefined ? {} : { search: goal.search }) };
    }
    if (goal.kind === 'searchBack' || goal.kind === 'quit' || goal.kind === 'start') this.abandon(goal);
    return undefined;
  }

  /** Gives the run up: every call into the lab throws from now on. */
  abandon(goal: Goal): never {
    this.abandonedFor = goal;
    throw new RunAbandoned();
  }

  /** Between slices: what is to happen from the next one on. */
  resume(goal: Goal): void {
    this.#goal = goal;
  }

  /** Nothing is left to run: a search in the past is over, and a moment that was to be reached is this one. */
  settle(): void {
    if (this.#goal.kind === 'searchBack') this.abandon(this.searchResult);
    this.#goal = { kind: 'go' };
  }

  /** What a search in the past leads to: the last hit, or the start. */
  get searchResult(): Goal {
    const found = this.#found;
    const otherwise = this.#goal.kind === 'searchBack' ? this.#goal.call?.otherwise : undefined;
    if (found === undefined) return otherwise ?? { kind: 'start' };
    return { kind: 'travel', to: found.position, search: { found: found.reason } };
  }

  /** The watcher of the thread's machine, with what is watched now. */
  #watcher(thread: Thread): Watcher {
    const lab = this.labOf(thread);
    const known = this.#watchers.get(lab) ?? new Watcher(lab.kernel.machine);
    this.#watchers.set(lab, known);
    known.use(this.owner.breakpoints.watches);
    return known;
  }

  #keepCheckpoint(slice: SliceRecord): void {
    const goal = this.#goal;
    if (goal.kind === 'searchBack' || (goal.kind === 'travel' && goal.to.sequence !== slice.sequence)) return;
    this.#checkpoints = goal.kind === 'go' ? [] : [this.#takeCheckpoint(slice)];
  }

  #takeCheckpoint({ thread, sequence, steps }: SliceRecord): Checkpoint {
    return { sequence, steps, snapshot: this.labOf(thread).kernel.machine.snapshot() };
  }

  /** Back to an earlier moment of this slice. */
  #returnWithin(slice: SliceRecord, to: Position): boolean {
    const checkpoint = this.#checkpoints.findLast(({ steps }) => steps <= to.steps);
    const { processor } = slice.thread;
    if (checkpoint === undefined || processor === undefined) return false;
    if (checkpoint.sequence !== slice.sequence || to.sequence !== slice.sequence) return false;
    this.labOf(slice.thread).kernel.machine.restore(checkpoint.snapshot);
    slice.steps = checkpoint.steps;
    if (to.steps - slice.steps > LONG_WAY) {
      const instructions = to.steps - slice.steps - LONG_WAY / 2;
      slice.steps += processor.run({ instructions }).instructions;
      this.#checkpoints = [
        ...this.#checkpoints.filter(({ steps }) => steps < slice.steps),
        this.#takeCheckpoint(slice),
      ];
    }
    if (to.steps > slice.steps) processor.run({ instructions: to.steps - slice.steps });
    slice.steps = to.steps;
    return true;
  }

  #advance(
    slice: SliceRecord,
    processor: Processor,
    left: number,
    ends: ReadonlySet<bigint>,
  ): { readonly exit: Exit; readonly hit?: WatchHit } {
    const goal = this.#goal;
    const most = Math.min(left, this.#untilGoal(slice), this.#untilAction(slice));
    const replaying = goal.kind === 'travel';
    const breakpoints = new Set(ends);
    if (!replaying) for (const address of this.owner.breakpoints.addresses) breakpoints.add(address);
    if (goal.kind === 'reach') breakpoints.add(goal.address);
    const line = goal.kind === 'line' && goal.step.thread === slice.thread ? goal.step.next(processor) : {};
    if (line.until !== undefined) breakpoints.add(line.until);
    if (goal.kind === 'searchBack' && goal.call !== undefined) breakpoints.add(goal.call.address);
    const instructions = Math.min(most, line.instructions ?? most);
    const watcher = this.#watcher(slice.thread);
    if (replaying || !watcher.active) return { exit: processor.run({ instructions, breakpoints }) };
    const stretch = Math.min(instructions, WATCHED_STRETCH);
    const result = watcher.run(processor, { instructions: stretch, breakpoints });
    watcher.remember(slice.thread.addressSpace);
    return result;
  }

  #untilGoal({ sequence, steps, thread }: SliceRecord): number {
    const goal = this.#goal;
    if (goal.kind === 'step' && goal.thread === thread)
      return Math.max(1, goal.executed - this.executed(thread));
    if (goal.kind === 'travel' && goal.to.sequence === sequence) return Math.max(1, goal.to.steps - steps);
    if (goal.kind === 'searchBack' && goal.line?.thread === thread.id) return 1;
    if (goal.kind === 'searchBack' && goal.before.sequence === sequence)
      return Math.max(1, goal.before.steps - steps);
    return Number.POSITIVE_INFINITY;
  }

  #untilAction(slice: SliceRecord): number {
    const next = this.owner.nextAction(positionOf(slice));
    return next?.sequence === slice.sequence
      ? Math.max(1, next.steps - slice.steps)
      : Number.POSITIVE_INFINITY;
  }

  /** As {@link #reason}; and between two slices, the kernel model and the engine store as well. */
  #reasonAtBegin(slice: SliceRecord): StopReason | undefined {
    const breakpoint = this.#watcher(slice.thread).changedByHost(slice.thread.addressSpace);
    const reason = this.#reason(slice);
    const goal = this.#goal;
    if (goal.kind === 'travel' || reason?.kind === 'start') return reason;
    if (goal.kind === 'searchBack' && (goal.call !== undefined || goal.line !== undefined)) return reason;
    if (goal.kind !== 'searchBack' && this.owner.modulesChanged()) return { kind: 'modules' };
    if (breakpoint === undefined || !this.owner.counts(breakpoint, slice.thread)) return reason;
    return { kind: 'watchpoint', breakpoint, instruction: undefined };
  }

  /** Why to stop before the next instruction, if at all. */
  #reason(slice: SliceRecord, hit?: WatchHit): StopReason | undefined {
    const { thread } = slice;
    const goal = this.#goal;
    if (goal.kind === 'start') return { kind: 'start' };
    if (goal.kind === 'travel') {
      if (comparePositions(positionOf(slice), goal.to) < 0) return undefined;
      return { kind: 'position', ...(goal.search === undefined ? {} : { search: goal.search }) };
    }
    if (goal.kind === 'searchBack' && this.#isOver(goal, slice)) this.abandon(this.searchResult);
    if (hit !== undefined && this.owner.counts(hit.breakpoint, thread)) return { kind: 'watchpoint', ...hit };
    if (this.#stoppedAt.get(thread) === this.executed(thread)) return undefined;
    if (goal.kind === 'searchBack' && goal.call !== undefined) return this.#reasonOfCall(goal.call, thread);
    if (goal.kind === 'searchBack' && goal.line !== undefined)
      return beginsLine(goal.line, thread) ? { kind: 'step' } : undefined;
    if (goal.kind === 'line' && goal.step.thread === thread && goal.step.isDone()) return { kind: 'step' };
    if (goal.kind === 'step' && goal.thread === thread && this.executed(thread) >= goal.executed)
      return { kind: 'step' };
    if (goal.kind === 'reach' && isReached(goal, thread)) return { kind: 'step' };
    const stepped = goal.kind === 'line' ? goal.step.thread : 'thread' in goal ? goal.thread : undefined;
    if (stepped?.finished === true) return { kind: 'threadEnded', ended: stepped };
    const breakpoint = this.owner.breakpoints.at(thread.pc);
    if (breakpoint !== undefined && this.owner.counts(breakpoint, thread))
      return { kind: 'breakpoint', breakpoint };
    return this.owner.interrupted() ? { kind: 'interrupted' } : undefined;
  }

  #reasonOfCall(call: CallSearch, thread: Thread): StopReason | undefined {
    const isIt = thread.id === call.thread && thread.pc === call.address && thread.sp <= call.highestSp;
    return isIt ? { kind: 'step' } : undefined;
  }

  #isOver({ before, origin }: Goal & { kind: 'searchBack' }, slice: SliceRecord): boolean {
    const { thread } = slice;
    if (comparePositions(positionOf(slice), before) >= 0) return true;
    return origin !== undefined && thread.id === origin.thread && this.executed(thread) >= origin.executed;
  }
}

function positionOf({ sequence, steps }: SliceRecord): Position {
  return { sequence, steps };
}

function isReached(goal: Goal & { kind: 'reach' }, thread: Thread): boolean {
  if (goal.thread !== undefined && goal.thread !== thread) return false;
  return thread.pc === goal.address && (goal.lowestSp === undefined || thread.sp >= goal.lowestSp);
}
