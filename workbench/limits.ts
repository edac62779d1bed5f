import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { WorkbenchError } from './error.js';

/** What one run may take. */
export interface RunLimits {
  readonly seconds: number;
  /** MB of JavaScript's heap; V8 ends the process above it. */
  readonly heap: number;
  /** MB that the process may have in memory; looked at where /proc is. */
  readonly memory: number;
}

/** Bytes that a run may print. */
const MOST_OUTPUT = 32 * 2 ** 20;
const PAGE = 4096;
const LOOK_EVERY = 500;

/** A process of its own group, so that what it has started ends with it. */
export function startProcess(
  [file, ...words]: readonly [string, ...string[]],
  { heap, memory }: RunLimits,
  options: { readonly cwd: string; readonly onTooLarge?: () => void },
): ChildProcess {
  const child = spawn(file, [`--max-old-space-size=${heap}`, ...words], {
    cwd: options.cwd,
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin?.on('error', () => undefined);
  const timer = setInterval(() => {
    if (residentMegabytes(child.pid) <= memory) return;
    options.onTooLarge?.();
    endProcess(child);
  }, LOOK_EVERY);
  timer.unref();
  child.once('close', () => clearInterval(timer));
  return child;
}

/** Ends a process and all that it has started. */
export function endProcess(child: ChildProcess): void {
  const { pid, exitCode, signalCode } = child;
  if (pid === undefined || exitCode !== null || signalCode !== null) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Windows has no groups of processes.
    child.kill('SIGKILL');
  }
}

/** 0 where it cannot be known. */
function residentMegabytes(pid: number | undefined): number {
  try {
    const [, resident = '0'] = readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ');
    return (Number(resident) * PAGE) / 2 ** 20;
  } catch {
    return 0;
  }
}

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a command to its end.
 * @throws WorkbenchError `limit` when it takes too long, too much memory, or prints too much
 */
export function runProcess(
  command: readonly [string, ...string[]],
  limits: RunLimits,
  options: { readonly cwd: string; readonly signal?: AbortSignal },
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    let [stdout, stderr] = ['', ''];
    const child = startProcess(command, limits, {
      cwd: options.cwd,
      onTooLarge: () => give(`it took more than ${limits.memory} MB`),
    });
    const give = (why: string) => {
      endProcess(child);
      reject(new WorkbenchError('limit', `ended: ${why}`, 'try a smaller program or call'));
    };
    const timer = setTimeout(() => give(`it took more than ${limits.seconds} s`), limits.seconds * 1000);
    options.signal?.addEventListener('abort', () => give('nobody waits for it any more'));
    const add = (text: string, more: string) => {
      if (text.length + more.length > MOST_OUTPUT) give('it prints without end');
      return text + more;
    };
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout = add(stdout, text);
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr = add(stderr, text);
    });
    child.stdin?.end();
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code, stdout, stderr });
    });
  });
}
