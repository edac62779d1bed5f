import { type Disassembler, loadDisassembler } from '../cpu/index.js';
import type { ScenarioResult } from '../lab/index.js';
import { type LabEvent, nearest } from '../loader/index.js';
import { isGoal, isWalk, splitCommands, type Walk } from './command.js';
import { commandNames, helpLines, parseCommand } from './commands/index.js';
import { completions } from './complete.js';
import { StopContext } from './context.js';
import { locationLines, reasonLine } from './listing.js';
import { formatPosition } from './position.js';
import type { DebugSession, FrontEnd } from './session.js';
import type { Goal, Stop } from './stop.js';
import { View } from './view.js';

/** Where commands come from and texts go: a script, or a terminal in another thread. */
export interface Terminal {
  /** The next command line; blocks. Undefined: there are no more. `complete`: what a line could go on with. */
  readLine(prompt: string, complete: (line: string) => readonly string[]): string | undefined;
  write(text: string): void;
  interrupted(): boolean;
}

/** Commands that execute something, for which there is nothing left when the scenario has ended. */
const ONWARDS: ReadonlySet<string> = new Set(['g', 't', 'p', 'gu', 'pc', 'tc', 'pt', 'tt', 'wt']);

/** The prompt with WinDbg's commands. */
export class Prompt implements FrontEnd {
  /** An empty line repeats it. */
  #lastLine = '';
  /** Of a line with several commands: those that are still to come. */
  readonly #queue: string[] = [];
  /** What was asked at the end, for the moment that it leads back to. */
  #pending: string | undefined;
  #walk: Walk | undefined;
  readonly #context = new StopContext();
  #mistakes = 0;

  static async create(terminal: Terminal): Promise<Prompt> {
    return new Prompt(terminal, await loadDisassembler());
  }

  private constructor(
    private readonly terminal: Terminal,
    private readonly disassembler: Disassembler,
  ) {}

  /** Lines that were no command, or that could not be done. */
  get mistakes(): number {
    return this.#mistakes;
  }

  stopped(stop: Stop, session: DebugSession): Goal {
    let view = new View(session, stop, stop.thread, this.disassembler);
    const further = this.#walkOn(view);
    if (further !== undefined) return further;
    const reason = reasonLine(view, stop.reason);
    if (reason !== undefined) this.#write([reason]);
    if (stop.reason.kind === 'position')
      this.#write([`Time Travel Position: ${formatPosition(stop.position)}`]);
    if (session.showsContext) this.#write(this.#context.lines(view));
    this.#write(locationLines(view));
    const perform = (line: string) =>
      this.#execute(line, view, (other) => {
        view = other;
      });
    const goal = this.#performCommandsOf(stop, session, perform);
    if (goal !== undefined) return goal;
    for (;;) {
      const line = this.#read(`${view.thread.processor?.index ?? '-'}:${view.thread.id}> `, view);
      if (line === undefined) return { kind: 'go' };
      const next = perform(line);
      if (next !== undefined) return next;
    }
  }

  /** Goes on with steps that depend on where the last one has led. */
  #walkOn(view: View): Goal | undefined {
    const walk = this.#walk;
    this.#walk = undefined;
    return walk === undefined || view.stop.reason.kind !== 'step' ? undefined : this.#take(walk, view);
  }

  /** What a breakpoint that was hit has commands for; those behind one that lets the run go on are not performed. */
  #performCommandsOf(
    { reason }: Stop,
    session: DebugSession,
    perform: (line: string) => Goal | undefined,
  ): Goal | undefined {
    const asked = this.#pending;
    this.#pending = undefined;
    if (asked !== undefined) return perform(asked);
    if (reason.kind !== 'breakpoint' && reason.kind !== 'watchpoint') return undefined;
    const { breakpoint } = reason;
    if (breakpoint.isOneShot) session.breakpoints.remove(breakpoint);
    for (const line of splitCommands(breakpoint.commands ?? '')) {
      const goal = perform(line);
      if (goal !== undefined) return goal;
    }
    return undefined;
  }

  ended(result: ScenarioResult, session: DebugSession): Goal {
    this.#write([
      result.error === undefined
        ? `The scenario has ended: held ${result.expectations} expectation(s).`
        : `The scenario has ended: ${result.error instanceof Error ? result.error.message : String(result.error)}`,
    ]);
    for (;;) {
      const line = this.#read('ended> ');
      if (line === undefined || line === 'q') return { kind: 'quit' };
      const goal = this.#goBack(line, session);
      if (goal !== undefined) return goal;
    }
  }

  event({ text }: LabEvent): void {
    this.#write([text]);
  }

  warn(text: string): void {
    this.#write([`warning: ${text}`]);
  }

  interrupted(): boolean {
    return this.terminal.interrupted();
  }

  #execute(line: string, view: View, select: (view: View) => void): Goal | undefined {
    const parsed = this.#parse(line);
    if (parsed === undefined) return undefined;
    try {
      const result = parsed.command.run({ view, args: parsed.args, select });
      if (isWalk(result)) return this.#take(result, view);
      if (isGoal(result)) return result;
      this.#write(result);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.#mistakes++;
      this.#write([`error: ${error.message}`]);
    }
    return undefined;
  }

  #take(walk: Walk, view: View): Goal | undefined {
    const next = walk.next(view);
    if (isGoal(next)) {
      this.#walk = walk;
      return next;
    }
    this.#write(next);
    return undefined;
  }

  #parse(line: string): ReturnType<typeof parseCommand> {
    const parsed = parseCommand(line);
    if (parsed === undefined) {
      this.#mistakes++;
      const [word = ''] = line.split(/\s/);
      const near = nearest(word, commandNames);
      const hint = near === undefined ? '' : `did you mean '${near}'? `;
      this.#write([`'${line}' is no command; ${hint}.help lists them`]);
    }
    return parsed;
  }

  /** The machine of a scenario that has ended is gone: what looks at it goes back to its last moment first. */
  #goBack(line: string, session: DebugSession): Goal | undefined {
    const { history } = session.current;
    const before = { sequence: history.all.length + 1, steps: 0 };
    if (line === 'g-') return { kind: 'searchBack', before };
    if (line === '!tt 0:0') return { kind: 'start' };
    const parsed = this.#parse(line);
    if (parsed === undefined) return undefined;
    const { name } = parsed.command;
    if (name === '.help') this.#write(helpLines());
    if (name === '.restart') return { kind: 'start' };
    const last = history.before(before);
    if (name === '.help' || last === undefined) return undefined;
    if (ONWARDS.has(name)) {
      this.#write(['nothing goes on from here; t- and g- go back, .restart begins again, q quits']);
      return undefined;
    }
    if (name !== 't-' && name !== 'p-') {
      this.#write(['(back at the last instruction: the machine of a scenario that has ended is gone)']);
      this.#pending = line;
    }
    return { kind: 'travel', to: last };
  }

  #read(prompt: string, view?: View): string | undefined {
    const queued = this.#queue.shift();
    if (queued !== undefined) return queued;
    const line = this.terminal.readLine(prompt, (start) => completions(start, view))?.trim();
    if (line === undefined) return undefined;
    if (line !== '') this.#lastLine = line;
    const [first, ...rest] = splitCommands(this.#lastLine);
    if (first === undefined) return this.#read(prompt, view);
    this.#queue.push(...rest);
    return first;
  }

  #write(lines: readonly string[]): void {
    for (const line of lines) this.terminal.write(`${line}\n`);
  }
}
