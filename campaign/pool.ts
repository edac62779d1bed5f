import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describeRuns, LAST_RUNS } from '../loader/index.js';
import { CampaignError, type CampaignRule } from './error.js';
import { kindNamed } from './kinds/index.js';
import { type Outcome, Tally, type Unit } from './unit.js';

export interface ToWorker {
  readonly unit: Unit;
  /** Where its files are. */
  readonly folder: string;
}

export type FromWorker =
  | { readonly ready: true }
  | { readonly outcome: Outcome; readonly seconds: number }
  | {
      readonly error: {
        readonly message: string;
        readonly rule: string | undefined;
        readonly hint: string | undefined;
      };
    };

export interface PoolOptions {
  /** How many processes. Default: one for each processor of this machine. */
  readonly workers?: number;
  /** Where the files of units are. */
  readonly folder: string;
  /** Seconds after which a unit has hung. Default 600. */
  readonly timeout?: number;
  /** The program of the processes. Default: the one that does units. */
  readonly program?: WorkerProgram;
}

/** A file that Node runs, and Node's own arguments. */
export interface WorkerProgram {
  readonly file: string;
  readonly execArgv: readonly string[];
}

/** Seconds that a process may take to start. */
const START_TIMEOUT = 60;
const DEFAULT_TIMEOUT = 600;

/**
 * Processes that do units. One that dies costs its unit alone, and of that the one case that kills it: the unit is done
 * again in ever smaller parts.
 */
export class WorkerPool implements AsyncDisposable {
  readonly size: number;
  readonly #folder: string;
  readonly #timeout: number;
  readonly #program: WorkerProgram;
  readonly #idle: WorkerProcess[] = [];
  readonly #all = new Set<WorkerProcess>();
  readonly #waiting: (() => void)[] = [];
  #busy = 0;

  constructor({
    workers = availableParallelism(),
    folder,
    timeout = DEFAULT_TIMEOUT,
    program = ownProgram(),
  }: PoolOptions) {
    this.size = workers;
    this.#folder = folder;
    this.#timeout = timeout;
    this.#program = program;
  }

  /** The processes that live. */
  get pids(): number[] {
    return [...this.#all].flatMap(({ pid }) => pid ?? []);
  }

  /**
   * Does a unit as soon as a process is free.
   * @throws CampaignError when this machine cannot do it
   */
  async perform(unit: Unit): Promise<{ outcome: Outcome; seconds: number }> {
    while (this.#busy >= this.size) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#busy += 1;
    const started = performance.now();
    try {
      const outcome = await this.#narrowed(unit);
      return { outcome, seconds: (performance.now() - started) / 1000 };
    } finally {
      this.#busy -= 1;
      this.#waiting.shift()?.();
    }
  }

  async #narrowed(unit: Unit): Promise<Outcome> {
    let attempt = await this.#attempt(unit);
    // Whoever has ended the process from outside, it was not the unit.
    if (attempt.death?.isFromOutside === true) attempt = await this.#attempt(unit);
    const { death } = attempt;
    if (death === undefined) return attempt.outcome;
    const tally = new Tally();
    const parts = kindNamed(unit.kind).split(unit);
    for (const part of parts) tally.add(await this.#narrowed(part));
    const isShown = tally.outcome.findings.some(({ rule }) => rule === death.rule);
    if (parts.length === 0) tally.count(death.rule);
    if (!isShown) tally.find(death.rule, death.message, unit);
    return tally.outcome;
  }

  async #attempt(unit: Unit): Promise<Attempt> {
    const worker = this.#takeIdle() ?? (await this.#start());
    const answer = await worker.perform({ unit, folder: this.#folder }, this.#timeout);
    if ('outcome' in answer) {
      this.#idle.push(worker);
      return { outcome: answer.outcome, death: undefined };
    }
    if ('error' in answer) {
      this.#idle.push(worker);
      const { message, rule, hint } = answer.error;
      throw new CampaignError(
        (rule ?? 'tool.missing') as CampaignRule,
        message,
        hint === undefined ? {} : { hint },
      );
    }
    this.#all.delete(worker);
    return { outcome: undefined, death: answer };
  }

  #takeIdle(): WorkerProcess | undefined {
    for (;;) {
      const worker = this.#idle.pop();
      if (worker === undefined || worker.isAlive) return worker;
      this.#all.delete(worker);
    }
  }

  async #start(): Promise<WorkerProcess> {
    const worker = await WorkerProcess.start(this.#program);
    this.#all.add(worker);
    return worker;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#all].map((worker) => worker.end()));
    this.#all.clear();
    this.#idle.length = 0;
  }
}

/** How a process has ended in the middle of a unit. */
interface Death {
  readonly rule: 'process.ended' | 'process.hung';
  readonly message: string;
  readonly isFromOutside: boolean;
}

type Attempt =
  | { readonly outcome: Outcome; readonly death: undefined }
  | { readonly outcome: undefined; readonly death: Death };

type Answer = Exclude<FromWorker, { readonly ready: true }> | Death;

/** What an operator, or a system that has run out of memory, sends. */
const OUTSIDE: ReadonlySet<NodeJS.Signals | null> = new Set([
  'SIGKILL',
  'SIGTERM',
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
]);

class WorkerProcess {
  readonly #child: ChildProcess;
  #answer: ((answer: Answer) => void) | undefined;

  private constructor(child: ChildProcess, notes: string) {
    this.#child = child;
    child.on('message', (message: FromWorker) => {
      if (!('ready' in message)) this.#settle(message);
    });
    child.on('exit', (code, signal) =>
      this.#settle({
        rule: 'process.ended',
        message:
          signal === null
            ? `the process ended with ${code}`
            : `the process was ended by ${signal} ${describeRuns(notes)}`,
        isFromOutside: OUTSIDE.has(signal),
      }),
    );
    child.on('exit', () => rmSync(dirname(notes), { recursive: true, force: true }));
  }

  static async start({ file, execArgv }: WorkerProgram): Promise<WorkerProcess> {
    const notes = join(mkdtempSync(join(tmpdir(), 'hotpatch-worker-')), 'last-runs');
    writeFileSync(notes, '');
    const child = fork(file, [], {
      execArgv: [...execArgv],
      env: { ...process.env, [LAST_RUNS]: notes },
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    const isStarted = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), START_TIMEOUT * 1000);
      const settle = (error?: Error) => {
        clearTimeout(timer);
        child.removeAllListeners();
        if (error === undefined) resolve();
        else reject(error);
      };
      child.once('message', () => settle());
      child.once('error', settle);
      child.once('exit', (code, signal) =>
        settle(
          new CampaignError(
            'tool.missing',
            `a worker process cannot be started: it ended with ${signal ?? code}`,
          ),
        ),
      );
    });
    await isStarted.catch((error: unknown) => {
      rmSync(dirname(notes), { recursive: true, force: true });
      throw error;
    });
    return new WorkerProcess(child, notes);
  }

  get isAlive(): boolean {
    return this.#child.connected && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  perform(message: ToWorker, timeout: number): Promise<Answer> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#settle({
          rule: 'process.hung',
          message: `it did not end within ${timeout} s`,
          isFromOutside: false,
        });
        this.#child.kill('SIGKILL');
      }, timeout * 1000);
      this.#answer = (answer) => {
        clearTimeout(timer);
        resolve(answer);
      };
      this.#child.send(message, (error) => {
        if (error !== null)
          this.#settle({ rule: 'process.ended', message: 'the process had ended', isFromOutside: true });
      });
    });
  }

  #settle(answer: Answer): void {
    const settle = this.#answer;
    this.#answer = undefined;
    settle?.(answer);
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    // Not by its leave: it may be in the middle of a unit.
    this.#child.kill('SIGKILL');
    await gone;
  }
}

/** Of the sources, as tests run them, TypeScript is loaded through tsx. */
function ownProgram(): WorkerProgram {
  const isSource = import.meta.url.endsWith('.ts');
  const file = fileURLToPath(new URL(isSource ? './worker-main.ts' : './worker-main.js', import.meta.url));
  return { file, execArgv: isSource ? ['--import', import.meta.resolve('tsx')] : [] };
}
