import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type { RunnerTestCase } from 'vitest';
import { VitestTestRunner } from 'vitest/runners';
import { getFn } from 'vitest/suite';
import { type Line, tryingFile } from './results.js';

/** Seconds after which whoever runs a mutant is ended from outside. */
const PATIENCE = 45;
/** Tests of one file that a mutant must survive to be left alone by the others of the file. */
const ENOUGH = Number(process.env.HOTPATCH_MUTANTS_ENOUGH ?? 30);
const LONGEST_TEST = Number(process.env.HOTPATCH_MUTANTS_LONGEST ?? 3000);

/** Bytes that a mutant may take, and that the process may have before it begins anew. */
const MOST_MEMORY = 1.5e9;
const MOST_MEMORY_IN_ALL = 3e9;

/** Ends the process when a mutant keeps its thread busy for ever or takes all memory, and counts it as noticed. */
const WATCHDOG = `
const { parentPort, workerData } = require('node:worker_threads');
const { appendFileSync } = require('node:fs');
let running, since, memory;
parentPort.on('message', (message) => {
  running = message.id < 0 ? undefined : message;
  since = Date.now();
  memory = process.memoryUsage.rss();
});
const end = (by) => {
  appendFileSync(workerData.file, JSON.stringify({ kind: 'noticed', ...running, by }) + '\\n');
  process.kill(process.pid, 'SIGKILL');
};
setInterval(() => {
  if (running === undefined) return;
  if (Date.now() - since > workerData.patience * 1000) end('it ran for ever');
  if (process.memoryUsage.rss() - memory > workerData.mostMemory) end('it took all memory');
}, 250);`;

/** Runs each test once for each mutant that it reaches and that no test has noticed yet. */
export default class HuntingRunner extends VitestTestRunner {
  readonly #file = process.env.HOTPATCH_MUTANTS_FILE ?? 'mutants.jsonl';
  readonly #noticed = new Set<number>();
  readonly #done = new Set<string>();
  /** Mutant and test that have met before the process began anew. */
  readonly #met = new Set<string>();
  /** How many tests of a file a mutant has survived, by mutant and file. */
  readonly #survived = new Map<string, number>();
  readonly #watchdog = new Worker(WATCHDOG, {
    eval: true,
    workerData: { file: this.#file, patience: PATIENCE, mostMemory: MOST_MEMORY },
  });

  constructor(...parameters: ConstructorParameters<typeof VitestTestRunner>) {
    super(...parameters);
    this.#watchdog.unref();
    if (!existsSync(this.#file)) return;
    for (const text of readFileSync(this.#file, 'utf8').split('\n').filter(Boolean)) {
      const line = JSON.parse(text) as Line;
      if (line.kind === 'noticed') this.#noticed.add(line.id);
      if (line.kind === 'done') this.#done.add(line.test);
      if (line.kind === 'met') this.#hasMet(line.id, line.test);
    }
  }

  #hasMet(id: number, test: string): void {
    const key = `${id} ${fileOf(test)}`;
    this.#met.add(`${id} ${test}`);
    this.#survived.set(key, (this.#survived.get(key) ?? 0) + 1);
  }

  #isLeft(id: number, test: string): boolean {
    if (this.#noticed.has(id) || this.#met.has(`${id} ${test}`)) return false;
    return (this.#survived.get(`${id} ${fileOf(test)}`) ?? 0) < ENOUGH;
  }

  async runTask(task: RunnerTestCase): Promise<void> {
    const run = getFn(task);
    if (process.env.HOTPATCH_MUTANT !== undefined) {
      await run();
      return;
    }
    // Tests of a table may have the same name.
    const test = `${task.file.name} > ${nameOf(task)} #${task.id}`;
    const mutants = globalThis.__m;
    mutants.active = -1;
    mutants.reached.clear();
    const start = performance.now();
    await run();
    const milliseconds = performance.now() - start;
    const reached = [...mutants.reached].sort((a, b) => a - b);
    const left = reached.filter((id) => this.#isLeft(id, test));
    if (this.#done.has(test) && left.length === 0) return;
    if (milliseconds > LONGEST_TEST) {
      this.#tell({ kind: 'tooLong', test, milliseconds: Math.round(milliseconds), left: left.length });
      return;
    }
    for (const id of left) {
      // Mutants that keep machines from being released leave their memory behind.
      if (process.memoryUsage.rss() > MOST_MEMORY_IN_ALL) process.kill(process.pid, 'SIGKILL');
      await this.#hunt(id, test, run, milliseconds);
    }
    this.#tell({ kind: 'done', test, milliseconds: Math.round(milliseconds), reached, tried: left.length });
  }

  async #hunt(id: number, test: string, run: () => unknown, milliseconds: number): Promise<void> {
    const mutants = globalThis.__m;
    mutants.deadline = Date.now() + 5000 + 20 * milliseconds;
    this.#watchdog.postMessage({ id, test });
    // For whoever finds that the process has ended: a mutant of the binding may crash the native library.
    writeFileSync(tryingFile(this.#file), JSON.stringify({ id, test }));
    mutants.active = id;
    let error: unknown;
    try {
      await run();
    } catch (thrown) {
      error = thrown ?? 'undefined';
    }
    mutants.active = -1;
    writeFileSync(tryingFile(this.#file), '');
    this.#watchdog.postMessage({ id: -1, test });
    if (error === undefined) {
      this.#hasMet(id, test);
      this.#tell({ kind: 'met', id, test });
      return;
    }
    this.#noticed.add(id);
    this.#tell({ kind: 'noticed', id, test, by: String(error).split('\n')[0]?.slice(0, 120) ?? '' });
    try {
      await run();
    } catch {
      // The mutant has left something behind in this process: begin again in a new one.
      this.#tell({ kind: 'poisoned', id, test });
      process.kill(process.pid, 'SIGKILL');
    }
  }

  #tell(line: Line): void {
    appendFileSync(this.#file, `${JSON.stringify(line)}\n`);
  }
}

function fileOf(test: string): string {
  return test.split(' > ', 1)[0] ?? '';
}

function nameOf(task: RunnerTestCase): string {
  const names: string[] = [task.name];
  for (let suite = task.suite; suite !== undefined; suite = suite.suite) names.unshift(suite.name);
  return names.join(' > ');
}
