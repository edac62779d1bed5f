import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/** Lines that the prompt of `hotpatch step` remembers from one session to the next. */
export const LONGEST_HISTORY = 1000;

/** `$XDG_STATE_HOME/hotpatch-lab/step-history`, or what the XDG Base Directory Specification has for it by default. */
function historyFile(): string {
  const { XDG_STATE_HOME: state } = process.env;
  const folder = state === undefined || state === '' ? join(homedir(), '.local', 'state') : state;
  return join(folder, 'hotpatch-lab', 'step-history');
}

/** The newest line first; none where there is no file. */
export function readHistory(): string[] {
  try {
    return readFileSync(historyFile(), 'utf8').split('\n').filter(Boolean).reverse();
  } catch {
    return [];
  }
}

/** A folder that cannot be written to is no reason to end a session. */
export function keepHistory(newestFirst: readonly string[]): void {
  const file = historyFile();
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(temporary, `${[...newestFirst].reverse().join('\n')}\n`, { mode: 0o600 });
    renameSync(temporary, file);
  } catch {
    // The history of this session is lost, and nothing else.
  }
}
