import { Console } from 'node:console';
import pc from 'picocolors';
import { visibleJson, visibleText } from '../image/index.js';

/** Exit codes of the command's contract. */
export const EXIT = { done: 0, failed: 1, usage: 2, unicornMissing: 3 } as const;

/**
 * NO_COLOR counts when it is set and not empty (no-color.org); so does FORCE_COLOR, unless it is 0, also where there is
 * no terminal. TERM=dumb is a terminal without colours.
 */
function areColoursWanted({ isTTY }: { readonly isTTY?: boolean }): boolean {
  const { NO_COLOR = '', FORCE_COLOR = '', TERM } = process.env;
  if (NO_COLOR !== '') return false;
  if (FORCE_COLOR !== '') return FORCE_COLOR !== '0' && FORCE_COLOR !== 'false';
  return isTTY === true && TERM !== 'dumb';
}

const isColoured = { stdout: areColoursWanted(process.stdout), stderr: areColoursWanted(process.stderr) };

/** For what `print` prints. */
export const colours = pc.createColors(isColoured.stdout);

/** For what `note` prints. */
export const noteColours = pc.createColors(isColoured.stderr);

/** The sequences of `colours`: bold, dim, eight colours, and back. */
const COLOUR = new RegExp(`(${'\x1b'}\\[(?:0|1|2|22|3[0-7]|39)m)`);

/** What a terminal may get: nothing that a name from an image, a PDB or a guest could make it do. */
function shown(text: string, stream: 'stdout' | 'stderr'): string {
  if (!isColoured[stream]) return visibleText(text);
  return text
    .split(COLOUR)
    .map((part, index) => (index % 2 === 1 ? part : visibleText(part)))
    .join('');
}

/** Where the commands print. */
export interface Streams {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
}

let streams: Streams = process;

/** From now on commands print there, until it is disposed of. */
export function printTo(other: Streams): Disposable {
  const before = streams;
  streams = other;
  return {
    [Symbol.dispose]() {
      streams = before;
    },
  };
}

/** What the system says when nobody reads any more: of a pipe, of a socket (a parent in Node gives one), and on Windows. */
const GONE = new Set(['EPIPE', 'ECONNRESET', 'EOF']);

/** What a shell says of a command that SIGPIPE has ended. */
const SIGPIPE_EXIT = 128 + 13;

/**
 * A reader of stdout that goes away ends the command silently; a disk that is full ends it with a message. What cannot be
 * written to stderr is lost.
 */
export function watchStreams(): void {
  process.stdout.on('error', cannotPrint);
  process.stderr.on('error', () => undefined);
}

function cannotPrint(error: NodeJS.ErrnoException): never {
  // Nobody may go on with a scenario now: see runAll.
  process.removeAllListeners('exit');
  if (GONE.has(error.code ?? '')) process.exit(SIGPIPE_EXIT);
  note(`hotpatch: stdout: ${error.code === 'ENOSPC' ? 'no space left on the disk' : error.message}`);
  process.exit(EXIT.usage);
}

/**
 * Ends the process when all that was printed is out: what a scenario has left behind may not go on, nor change the
 * result. What could not be printed changes it.
 */
export function finish(code: number): void {
  process.stdout.write('', () => {
    const { errored } = process.stdout;
    if (errored) cannotPrint(errored);
    process.exit(code);
  });
}

export function print(text: string): void {
  write(`${text}\n`);
}

/** Like {@link print}, without an end of line. */
export function write(text: string): void {
  streams.stdout.write(shown(text, 'stdout'));
}

/** Progress and diagnostics: never on stdout. */
export function note(text: string): void {
  streams.stderr.write(`${shown(text, 'stderr')}\n`);
}

let isPrinted = false;

/** A new command: its JSON document is not printed yet. */
export function beginDocument(): void {
  isPrinted = false;
}

export function isDocumentPrinted(): boolean {
  return isPrinted;
}

/** The one JSON document of a `--json` run; bigints as `0x…` strings. */
export function printJson(value: unknown): void {
  const text = JSON.stringify(
    value,
    (_key, entry) => (typeof entry === 'bigint' ? `0x${entry.toString(16)}` : entry),
    2,
  );
  isPrinted = true;
  streams.stdout.write(`${visibleJson(text)}\n`);
}

/** What others log, a scenario for one, must not come into the one JSON document. */
export function consoleOnStderr(): Disposable {
  const before = globalThis.console;
  globalThis.console = new Console(streams.stderr, streams.stderr);
  return {
    [Symbol.dispose]() {
      globalThis.console = before;
    },
  };
}
