import pc from 'picocolors';

/** Exit codes of the command's contract. */
export const EXIT = { done: 0, failed: 1, usage: 2, unicornMissing: 3 } as const;

/** NO_COLOR counts when it is set and not empty (no-color.org). */
const areColoursWanted = (process.env.NO_COLOR ?? '') === '';

/** For what `print` prints: colours on a terminal that has not said NO_COLOR. */
export const colours = pc.createColors(process.stdout.isTTY === true && areColoursWanted);

/** The same for what `note` prints. */
export const noteColours = pc.createColors(process.stderr.isTTY === true && areColoursWanted);

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
