import { type CompleterResult, createInterface } from 'node:readline';
import type { TerminalInput, TerminalOutput, WakingEnd } from '../debugger/index.js';
import { visibleText } from '../image/index.js';
import { type DebugWorkerDone, startDebugThread } from './debug-thread.js';
import { write } from './output.js';
import { keepHistory, LONGEST_HISTORY, readHistory } from './step-history.js';

/** The debugger's prompt on standard input and output, with history and tab completion. */
export async function stepAtTerminal(
  file: string,
  seed: number | undefined,
  schedule?: string,
): Promise<DebugWorkerDone> {
  const { channel, done } = startDebugThread<TerminalOutput, TerminalInput>(
    { file, seed, schedule, frontEnd: 'terminal' },
    (message) => terminal.receive(message),
  );
  const terminal = new StandardTerminal(channel);
  try {
    return await done;
  } finally {
    terminal.close();
  }
}

class StandardTerminal {
  readonly #interface = createInterface({
    input: process.stdin,
    output: process.stdout,
    terminal: process.stdin.isTTY === true,
    history: process.stdin.isTTY ? readHistory() : [],
    historySize: LONGEST_HISTORY,
    removeHistoryDuplicates: true,
    completer: (line: string, callback: (error: null, result: CompleterResult) => void) => {
      this.#completed = (candidates) => callback(null, [[...candidates], /\S*$/.exec(line)?.[0] ?? '']);
      if (this.#isAsked) this.channel.send({ kind: 'complete', line });
      else this.#completed([]);
    },
  });
  /** Lines that came before they were asked for. */
  readonly #lines: string[] = [];
  #isAsked = false;
  #isClosed = false;
  #completed: ((candidates: readonly string[]) => void) | undefined;

  constructor(private readonly channel: WakingEnd<TerminalOutput, TerminalInput>) {
    this.#interface.on('line', (line) => {
      this.#lines.push(line);
      this.#answer();
    });
    this.#interface.on('close', () => {
      this.#isClosed = true;
      this.#answer();
    });
    if (process.stdin.isTTY) this.#interface.on('history', keepHistory);
    this.#interface.on('SIGINT', () => {
      if (this.#isAsked) write('\nq quits\n');
      else this.channel.interrupt();
    });
  }

  receive(message: TerminalOutput): void {
    switch (message.kind) {
      case 'write':
        write(message.text);
        break;
      case 'completions':
        this.#completed?.(message.candidates.map(visibleText));
        break;
      case 'read':
        this.#isAsked = true;
        this.#interface.setPrompt(visibleText(message.prompt));
        if (process.stdin.isTTY) this.#interface.prompt();
        this.#answer();
        break;
    }
  }

  close(): void {
    this.#interface.close();
  }

  /** Gives the next line to the debugger, when it has asked for one; `q` when there will be no more. */
  #answer(): void {
    if (!this.#isAsked) return;
    const line = this.#lines.shift() ?? (this.#isClosed ? 'q' : undefined);
    if (line === undefined) return;
    this.#isAsked = false;
    if (!process.stdin.isTTY) write(`${this.#interface.getPrompt()}${line}\n`);
    this.channel.send({ kind: 'line', text: line });
  }
}
