import pc from 'picocolors';

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

/** For what `print` prints. */
export const colours = pc.createColors(areColoursWanted(process.stdout));

/** For what `note` prints. */
export const noteColours = pc.createColors(areColoursWanted(process.stderr));

/** What a shell says of a command that SIGPIPE has ended. */
const SIGPIPE_EXIT = 128 + 13;

/**
 * A reader of stdout that goes away ends the command silently; a disk that is full ends it with a message. What cannot be
 * written to stderr is lost.
 */
export function watchStreams(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // Nobody may go on with a scenario now: see runAll.
    process.removeAllListeners('exit');
    if (error.code === 'EPIPE') process.exit(SIGPIPE_EXIT);
    note(`hotpatch: stdout: ${error.code === 'ENOSPC' ? 'no space left on the disk' : error.message}`);
    process.exit(EXIT.usage);
  });
  process.stderr.on('error', () => undefined);
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Progress and diagnostics: never on stdout. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** The one JSON document of a `--json` run; bigints as `0x…` strings. */
export function printJson(value: unknown): void {
  print(
    JSON.stringify(
      value,
      (_key, entry) => (typeof entry === 'bigint' ? `0x${entry.toString(16)}` : entry),
      2,
    ),
  );
}
