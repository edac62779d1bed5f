import { type Disassembler, loadDisassembler } from '../cpu/index.js';
import type { ScenarioResult } from '../lab/index.js';
import type { LabEvent } from '../loader/index.js';
import { isGoal } from './command.js';
import { parseCommand } from './commands/index.js';
import { completions } from './complete.js';
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

/** The prompt with WinDbg's commands. */
export class Prompt implements FrontEnd {
  /** An empty line repeats it. */
  #lastLine = '';
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
    const reason = reasonLine(view, stop.reason);
    if (reason !== undefined) this.#write([reason]);
    if (stop.reason.kind === 'position')
      this.#write([`Time Travel Position: ${formatPosition(stop.position)}`]);
    this.#write(locationLines(view));
    for (;;) {
      const line = this.#read(`${view.thread.processor?.index ?? '-'}:${view.thread.id}> `, view);
      if (line === undefined) return { kind: 'go' };
      const goal = this.#execute(line, view, (other) => {
        view = other;
      });
      if (goal !== undefined) return goal;
    }
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
      this.#write(['the machine is gone; t- and g- go back into its past, !tt 0:0 to its start, q quits']);
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
    const parsed = parseCommand(line);
    if (parsed === undefined) {
      this.#mistakes++;
      this.#write([`'${line}' is no command; .help lists them`]);
      return undefined;
    }
    try {
      const result = parsed.command.run({ view, args: parsed.args, select });
      if (isGoal(result)) return result;
      this.#write(result);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.#mistakes++;
      this.#write([`error: ${error.message}`]);
    }
    return undefined;
  }

  #goBack(line: string, session: DebugSession): Goal | undefined {
    const { history } = session.current;
    const before = { sequence: history.all.length + 1, steps: 0 };
    if (line === 'g-') return { kind: 'searchBack', before };
    if (line === '!tt 0:0') return { kind: 'start' };
    const to = line === 't-' || line === 'p-' ? history.before(before) : undefined;
    return to === undefined ? undefined : { kind: 'travel', to };
  }

  #read(prompt: string, view?: View): string | undefined {
    const line = this.terminal.readLine(prompt, (start) => completions(start, view))?.trim();
    if (line === undefined) return undefined;
    if (line !== '') this.#lastLine = line;
    return this.#lastLine === '' ? this.#read(prompt, view) : this.#lastLine;
  }

  #write(lines: readonly string[]): void {
    for (const line of lines) this.terminal.write(`${line}\n`);
  }
}
