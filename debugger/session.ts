import type { Lab } from '../lab/index.js';
import { runScenario, type Scenario, type ScenarioResult } from '../lab/index.js';
import type { LabEvent, Thread } from '../loader/index.js';
import { type Breakpoint, Breakpoints } from './breakpoint.js';
import { evaluate, slotAddress } from './expression.js';
import type { LiveCall, LiveMachine } from './live-machine.js';
import { comparePositions, type Position, START } from './position.js';
import { DebugRun, type RunOwner } from './run.js';
import { addressesOfLine, parseSourcePlace, SourceFiles } from './source.js';
import type { Goal, Stop } from './stop.js';
import { ThreadView } from './thread-view.js';

/** Whoever talks to the user: a prompt, a script, or GDB. */
export interface FrontEnd {
  /** Stop when images have come or gone. */
  readonly stopsForModules?: boolean;
  /** The run stands still. Blocks until it is known what is to happen next. */
  stopped(stop: Stop, session: DebugSession): Goal;
  /** The scenario is over; its machine is gone. A goal in the past runs it again. */
  ended(result: ScenarioResult, session: DebugSession): Goal;
  /** A live machine has done all that it was asked for: another call, or a way into the past. */
  idle?(stop: Stop, machine: LiveMachine, session: DebugSession): LiveCall | Goal;
  /** A line of the transcript. */
  event(event: LabEvent): void;
  /** Something that the user should know. */
  warn(text: string): void;
  /** Has the user asked to stop the run? */
  interrupted(): boolean;
}

/** Something done at the prompt that changes the machine. */
interface Action {
  readonly position: Position;
  readonly perform: (lab: Lab, thread: Thread) => void;
}

/**
 * Debugs a scenario, and runs it again to return to its past: the same scenario with the same seed does the same, and
 * what was done at the prompt is done again at the same moment. So the past is whole: the kernel's and the engine's state
 * are as they were, too, not only memory and registers.
 */
export class DebugSession implements RunOwner {
  readonly breakpoints = new Breakpoints();
  /** Do `t`, `p` and `p-` go by source lines? */
  stepsByLine = false;
  /** Is more than the next instruction shown at each stop? */
  showsContext = false;
  #sources = new SourceFiles();
  #sourceFolders: readonly string[] = [];
  readonly #actions: Action[] = [];
  /** Every line of the transcript so far, to notice when the scenario does not repeat itself. */
  readonly #transcript: string[] = [];
  #run: DebugRun | undefined;
  #events = 0;
  #actionsDone = 0;
  #position: Position | undefined;
  #hasWarned = false;
  /** The next call of a live machine is where the run stops first, not the entry point of its image. */
  #stopsAtCall = false;
  #modulesChanged = false;

  constructor(
    private readonly scenario: Scenario,
    private readonly frontEnd: FrontEnd,
    private readonly options: { readonly seed?: number; readonly startsAtCall?: boolean } = {},
  ) {}

  /** Runs the scenario, again and again as the user goes back in time, until the front end quits. */
  async run(): Promise<ScenarioResult> {
    let goal: Goal = { kind: 'start' };
    for (;;) {
      this.#stopsAtCall = goal.kind === 'start' && this.options.startsAtCall === true;
      const run: DebugRun = new DebugRun(this, this.#stopsAtCall ? { kind: 'go' } : goal);
      const result = await this.#runOnce(run);
      if (run.abandonedFor?.kind === 'quit') return withoutError(result);
      goal = run.abandonedFor ?? this.#ended(run, result);
      if (goal.kind === 'quit') return result;
    }
  }

  get sources(): SourceFiles {
    return this.#sources;
  }

  /** Where source files are looked for first. */
  get sourceFolders(): readonly string[] {
    return this.#sourceFolders;
  }

  setSourceFolders(folders: readonly string[]): void {
    this.#sourceFolders = folders;
    this.#sources = new SourceFiles(folders);
  }

  /** The run that is stopped now. */
  get current(): DebugRun {
    if (this.#run === undefined) throw new Error('nothing runs');
    return this.#run;
  }

  /**
   * Changes the machine at the present stop, so that a later return to this moment can do it again. What was done at
   * later moments, before the user came back to this one, will not happen any more.
   */
  act<T>(perform: (lab: Lab, thread: Thread) => T, thread: Thread): T {
    this.#actions.length = this.#actionsDone;
    this.#transcript.length = this.#events;
    this.#actions.push({ position: this.#position ?? START, perform });
    this.#actionsDone++;
    return this.current.act(() => perform(this.current.labOf(thread), thread));
  }

  /** A live machine has done all that it was asked for: what the front end wants next; undefined: nothing. */
  nextCall(machine: LiveMachine): LiveCall | undefined {
    const { current, frontEnd } = this;
    current.settle();
    const { last } = current.history;
    if (last === undefined || frontEnd.idle === undefined) return undefined;
    const position = { sequence: last.sequence, steps: last.steps };
    this.#position = position;
    const next = frontEnd.idle({ reason: { kind: 'idle' }, thread: last.thread, position }, machine, this);
    if ('kind' in next) return current.abandon(next);
    this.#stopsAtCall = true;
    return next;
  }

  /** A live machine is about to make a call. */
  beginCall(): void {
    if (this.#stopsAtCall && !this.current.travelling) this.current.resume({ kind: 'start' });
    this.#stopsAtCall = false;
  }

  /** Looks for what breakpoints name among the modules that are loaded now. */
  resolveBreakpoints(): void {
    const { current } = this;
    this.breakpoints.resolve((name) => placesOf(current, name, this.#sources));
  }

  stopped(stop: Stop): Goal {
    this.#position = stop.position;
    return this.frontEnd.stopped(stop, this);
  }

  /** One whose condition cannot be evaluated counts, so that somebody sees it. */
  counts({ condition }: Breakpoint, thread: Thread): boolean {
    if (condition === undefined) return true;
    try {
      return evaluate(condition, new ConditionView(this.current.labOf(thread), thread, this)) !== 0n;
    } catch {
      return true;
    }
  }

  interrupted(): boolean {
    return this.frontEnd.interrupted();
  }

  modulesChanged(): boolean {
    const changed = this.#modulesChanged && this.frontEnd.stopsForModules === true;
    this.#modulesChanged = false;
    return changed;
  }

  nextAction(from: Position): Position | undefined {
    const next = this.#actions[this.#actionsDone]?.position;
    return next !== undefined && comparePositions(next, from) >= 0 ? next : undefined;
  }

  redo(thread: Thread, position: Position): boolean {
    let isAnything = false;
    for (;;) {
      const next = this.#actions[this.#actionsDone];
      if (next === undefined || comparePositions(next.position, position) > 0) return isAnything;
      this.#actionsDone++;
      try {
        this.current.act(() => next.perform(this.current.labOf(thread), thread));
      } catch {
        // It failed the first time, too, and the user was told.
      }
      isAnything = true;
    }
  }

  async #runOnce(run: DebugRun): Promise<ScenarioResult> {
    this.#run = run;
    this.#events = 0;
    this.#actionsDone = 0;
    return runScenario(this.scenario, {
      ...(this.options.seed === undefined ? {} : { seed: this.options.seed }),
      onBoot: (lab) => {
        run.attach(lab);
        lab.kernel.onImageLoad(() => {
          this.#modulesChanged = true;
          this.resolveBreakpoints();
        });
      },
      onEvent: (event) => this.#event(run, event),
    });
  }

  #event(run: DebugRun, event: LabEvent): void {
    if (run.abandonedFor !== undefined) return;
    const known = this.#transcript[this.#events];
    this.#transcript[this.#events++] = event.text;
    if (known !== undefined && known !== event.text) this.#warnOnce(known, event.text);
    if (!run.travelling) this.frontEnd.event(event);
  }

  #warnOnce(was: string, is: string): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    this.frontEnd.warn(
      `the scenario does not repeat itself, so its past cannot be trusted: it said "${was}" and now says "${is}"`,
    );
  }

  #ended(run: DebugRun, result: ScenarioResult): Goal {
    if (run.travelling) return run.searchResult;
    const { last } = run.history;
    this.#position = last === undefined ? undefined : { sequence: last.sequence, steps: last.steps };
    return this.frontEnd.ended(result, this);
  }
}

class ConditionView extends ThreadView {
  constructor(
    lab: Lab,
    thread: Thread,
    readonly session: DebugSession,
  ) {
    super(lab, thread);
  }
}

/** Quitting ends a run by an error of our own, which is none of the scenario. */
function withoutError({ title, expectations, transcript }: ScenarioResult): ScenarioResult {
  return { title, expectations, transcript };
}

/** Addresses of a source line in every module that has code of it; else of what {@link findSymbol} finds. */
function placesOf(run: DebugRun, expression: string, sources: SourceFiles): readonly bigint[] {
  const line = parseSourcePlace(expression);
  if (line === undefined) {
    const address = findSymbol(run, expression);
    return address === undefined ? [] : [address];
  }
  const images = run.labs.flatMap(({ kernel }) => kernel.domains.flatMap(({ images }) => images));
  return addressesOfLine(images, line, sources);
}

/** Address of `module!name`, or of `name` in the first module that has it. */
export function findSymbol(run: DebugRun, expression: string): bigint | undefined {
  const match = /^(?:([^!]+)!)?([^!+]+?)(?:\+(?:0x)?([0-9a-f]+))?$/i.exec(expression.trim());
  if (match === null) return undefined;
  const [, module, name = '', offset = '0'] = match;
  for (const { kernel } of run.labs)
    for (const image of kernel.domains.flatMap(({ images }) => images)) {
      if (module !== undefined && image.moduleName.toLowerCase() !== module.toLowerCase()) continue;
      const slot = slotAddress(image, name);
      if (slot !== undefined) return slot + BigInt(`0x${offset}`);
      const rva = image.symbols.byName(name)?.rva ?? image.exportRva(name);
      if (rva !== undefined) return image.address(rva) + BigInt(`0x${offset}`);
    }
  return undefined;
}
