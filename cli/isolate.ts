import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EXIT, isDocumentPrinted, note, printJson } from './output.js';

/** Commands that run guest code in a process of its own when `--isolate` is among their words; `run` does it file by file. */
const WHOLE: ReadonlySet<string> = new Set(['call', 'explore']);
const EACH_FILE: ReadonlySet<string> = new Set(['run']);

/** LAST_RUNS of the loader, which few commands load. */
const LAST_RUNS = 'HOTPATCH_LAST_RUNS';

/** Does this process run guest code for another one, which tells what became of it? */
export const runsForAnother = (): boolean => process.env[LAST_RUNS] !== undefined;

/** Of whoever wants the command to end. */
const ASKED: ReadonlySet<NodeJS.Signals> = new Set(['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGPIPE']);
const NUMBERS: Readonly<Partial<Record<NodeJS.Signals, number>>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGPIPE: 13,
  SIGTERM: 15,
};

/** What became of a process that ran guest code. */
export interface ChildEnd {
  /** Its exit code; undefined when a signal ended it. */
  readonly code: number | undefined;
  readonly stdout: string;
  /** What is to be told of a process that a signal ended. */
  readonly death: string | undefined;
  readonly signal: NodeJS.Signals | undefined;
}

export const isIsolated = (name: string | undefined, words: readonly string[]): boolean =>
  name !== undefined && (WHOLE.has(name) || EACH_FILE.has(name)) && words.includes('--isolate');

export const isolatesWhole = (name: string | undefined, words: readonly string[]): boolean =>
  name !== undefined && WHOLE.has(name) && isIsolated(name, words);

/** In a process that runs guest code for another one: from now on says what it runs. */
export async function noteRuns(): Promise<void> {
  if (runsForAnother()) (await import('../loader/index.js')).noteRunsAsAsked();
}

/**
 * Runs the command once more, in a process of its own, and waits for it.
 * @param isRead whether its stdout is read in place of being this process's
 */
export async function inProcess(words: readonly string[], isRead: boolean): Promise<ChildEnd> {
  const folder = mkdtempSync(join(tmpdir(), 'hotpatch-isolated-'));
  const file = join(folder, 'last-runs');
  writeFileSync(file, '');
  try {
    const [, command = ''] = process.argv;
    const child = spawn(process.execPath, [...process.execArgv, command, ...words], {
      stdio: ['inherit', isRead ? 'pipe' : 'inherit', 'inherit'],
      env: { ...process.env, [LAST_RUNS]: file },
    });
    // A terminal sends Ctrl+C to both: it is the child that says what is kept.
    const forward = (signal: NodeJS.Signals) => child.kill(signal);
    const ignore = () => undefined;
    process.on('SIGINT', ignore).on('SIGTERM', forward).on('SIGHUP', forward);
    const chunks: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk));
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (...end) => resolve(end));
    });
    process.off('SIGINT', ignore).off('SIGTERM', forward).off('SIGHUP', forward);
    return {
      code: code ?? undefined,
      stdout: Buffer.concat(chunks).toString('utf8'),
      death: signal === null ? undefined : await deathOf(signal, file),
      signal: signal ?? undefined,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The command in a process of its own; returns its exit code, 1 when that process has died. */
export async function isolated(words: readonly string[], json: boolean): Promise<number> {
  const own = words.filter((word) => word !== '--isolate');
  const { code, stdout, death, signal } = await inProcess(own, json);
  if (stdout !== '') process.stdout.write(stdout);
  if (death === undefined || signal === undefined) return code ?? EXIT.failed;
  if (ASKED.has(signal)) return 128 + (NUMBERS[signal] ?? 0);
  note(`hotpatch: ${death}`);
  if (json && stdout === '' && !isDocumentPrinted())
    printJson({ error: { message: death, rule: 'process.ended' }, exitCode: EXIT.failed });
  return EXIT.failed;
}

async function deathOf(signal: NodeJS.Signals, file: string): Promise<string> {
  const { describeRuns } = await import('../loader/index.js');
  return `the process that runs guest code was ended by ${signal} ${describeRuns(file)}`;
}
