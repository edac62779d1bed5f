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

/** Ends the process when a mutant keeps its thread busy for ever, and counts it as noticed. */
const WATCHDOG = `
const { parentPort, workerData } = require('node:worker_threads');
const { appendFileSync } = require('node:fs');
let timer;
parentPort.on('message', ({ id, test }) => {
  clearTimeout(timer);
  if (id < 0) return;
  timer = setTimeout(() => {
    appendFileSync(workerData.file, JSON.stringify({ kind: 'noticed', id, test, by: 'it ran for ever' }) + '\\n');
    process.kill(process.pid, 'SIGKILL');
  }, workerData.patience * 1000);
});`;

/** Runs each test once for each mutant that it reaches and that no test has noticed yet. */
export default class HuntingRunner extends VitestTestRunner {
  readonly #file = process.env.HOTPATCH_MUTANTS_FILE ?? 'mutants.jsonl';
  readonly #noticed = new Set<number>();
  readonly #done = new Set<string>();
  readonly #survived = new Map<number, number>();
  readonly #watchdog = new Worker(WATCHDOG, {
    eval: true,
    workerData: { file: this.#file, patience: PATIENCE },
  });

  constructor(...parameters: ConstructorParameters<typeof VitestTestRunner>) {
    super(...parameters);
    this.#watchdog.unref();
    if (!existsSync(this.#file)) return;
    for (const text of readFileSync(this.#file, 'utf8').split('\n').filter(Boolean)) {
      const line = JSON.parse(text) as Line;
      if (line.kind === 'noticed') this.#noticed.add(line.id);
      if (line.kind === 'done') this.#done.add(line.test);
    }
  }

  async runTask(task: RunnerTestCase): Promise<void> {
    const run = getFn(task);
    if (process.env.HOTPATCH_MUTANT !== undefined) {
      await run();
      return;
    }
    const test = `${task.file.name} > ${nameOf(task)}`;
    const mutants = globalThis.__m;
    mutants.active = -1;
    mutants.reached.clear();
    const start = performance.now();
    await run();
    const milliseconds = performance.now() - start;
    const reached = [...mutants.reached].sort((a, b) => a - b);
    if (this.#done.has(test)) return;
    const left = reached.filter((id) => !this.#noticed.has(id) && (this.#survived.get(id) ?? 0) < ENOUGH);
    if (milliseconds > LONGEST_TEST) {
      this.#tell({ kind: 'tooLong', test, milliseconds: Math.round(milliseconds), left: left.length });
      return;
    }
    for (const id of left) await this.#hunt(id, test, run, milliseconds);
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
      this.#survived.set(id, (this.#survived.get(id) ?? 0) + 1);
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

function nameOf(task: RunnerTestCase): string {
  const names: string[] = [task.name];
  for (let suite = task.suite; suite !== undefined; suite = suite.suite) names.unshift(suite.name);
  return names.join(' > ');
}
