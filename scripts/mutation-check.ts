/**
 * Leaves out or alters, one at a time, every store, flush, check and rollback of the engine and of the processors' write
 * paths in a copy of the repository, and runs the tests that reach it. Lists the mutants that no test noticed.
 *
 *   npx tsx scripts/mutation-check.ts [--target engine|engine-2003|cpu] [--only PATH] [--state FOLDER] [--json FILE]
 *   npx tsx scripts/mutation-check.ts --target engine --state FOLDER --mutant ID,ID… --tests FILE
 *
 * What was found is kept in the folder; a second call goes on where the first one ended. A file's tests leave a mutant
 * alone that thirty of them have not noticed; with HOTPATCH_MUTANTS_ENOUGH a second call lets it meet more. The second
 * form runs one test file, as it is in the working tree, with a mutant in force from the start, so that it meets code that
 * runs when a module is loaded, too.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { judgementOf } from './mutants/judged.js';
import { type Line, tryingFile } from './mutants/results.js';
import { type Mutant, mutate } from './mutants/schemata.js';
import { TARGETS, type Target } from './mutants/targets.js';
import { ROOMS } from './setup/rooms.js';

const repository = fileURLToPath(new URL('../', import.meta.url));
const MOST_RESTARTS = 200;

const option = (name: string): string | undefined => {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
};

/** The last commit, so that nothing is half edited. */
function copyRepository(folder: string): void {
  checkOut(folder, [
    ...ROOMS,
    'test',
    'scenarios',
    'scripts',
    'package.json',
    'tsconfig.json',
    'tsconfig.build.json',
    'docs',
  ]);
  for (const part of ['node_modules', 'vendor']) symlinkSync(join(repository, part), join(folder, part));
  writeFileSync(join(folder, 'vitest.config.ts'), CONFIG);
}

function checkOut(folder: string, paths: readonly string[]): void {
  const archive = execFileSync('git', ['archive', 'HEAD', ...paths], { cwd: repository, maxBuffer: 2 ** 30 });
  execFileSync('tar', ['-x', '-C', folder], { input: archive });
}

const CONFIG = `
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
export default defineConfig({
  resolve: { alias: [
    { find: /^hotpatch-lab$/, replacement: at('./lab/index.ts') },
    { find: /^hotpatch-lab\\/(\\w+)$/, replacement: at('./$1/index.ts') },
  ] },
  test: {
    include: ['test/**/*.test.ts'], pool: 'forks', maxWorkers: 1, fileParallelism: false,
    testTimeout: 3_600_000, hookTimeout: 60_000, sequence: { shuffle: { tests: true }, seed: 1 },
    setupFiles: [at('./scripts/mutants/switch.ts')], runner: at('./scripts/mutants/hunting-runner.ts'),
  },
});
`;

/** Puts the mutants into the copy's sources. */
function plant(folder: string, files: readonly string[]): Mutant[] {
  const mutants: Mutant[] = [];
  for (const file of files) {
    const { text, mutants: found } = mutate(file, readFileSync(join(folder, file), 'utf8'), mutants.length);
    writeFileSync(join(folder, file), text);
    mutants.push(...found);
  }
  return mutants;
}

/** Folders as the files in them that are named nowhere else. */
function filesOf(folder: string, paths: readonly string[], without: readonly string[] = []): string[] {
  return paths
    .flatMap((path) => {
      if (!statSync(join(folder, path)).isDirectory()) return [path];
      const isTests = path.startsWith('test/');
      return readdirSync(join(folder, path))
        .filter((name) => name.endsWith(isTests ? '.test.ts' : '.ts'))
        .sort()
        .map((name) => `${path}/${name}`)
        .filter((name) => !paths.includes(name));
    })
    .filter((path) => !without.includes(path));
}

function linesOf(file: string): Line[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((text) => JSON.parse(text) as Line);
}

/** The mutant that ran when the process ended has been noticed. */
function blameCrash(results: string): void {
  const file = tryingFile(results);
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  if (text === '') return;
  const { id, test } = JSON.parse(text) as { id: number; test: string };
  writeFileSync(file, '');
  const known = linesOf(results).some((line) => line.kind === 'noticed' && line.id === id);
  if (known) return;
  const line: Line = { kind: 'noticed', id, test, by: 'the process ended' };
  appendFileSync(results, `${JSON.stringify(line)}\n`);
}

/** Runs a test file until every test has met every mutant; a mutant that hangs or spoils the process costs a restart. */
function hunt(folder: string, file: string, results: string): void {
  for (let restart = 0; restart < MOST_RESTARTS; restart++) {
    const before = linesOf(results).length;
    const { status } = spawnSync(
      process.execPath,
      [join(repository, 'node_modules/vitest/vitest.mjs'), 'run', file, '--reporter=dot'],
      {
        cwd: folder,
        env: { ...process.env, HOTPATCH_MUTANTS_FILE: results },
        stdio: ['ignore', 'ignore', 'ignore'],
      },
    );
    if (status !== 0) blameCrash(results);
    if (status === 0 || linesOf(results).length === before) return;
  }
}

/** Makes the copy with the mutants in it, if it is not there. */
function prepare(target: Target, folder: string): Mutant[] {
  const list = join(folder, 'mutants.json');
  const only = option('--only');
  if (!existsSync(list)) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    copyRepository(folder);
    const files = filesOf(folder, target.files, target.withoutFiles);
    const chosen = files.filter((file) => only === undefined || file.startsWith(only));
    writeFileSync(list, JSON.stringify(plant(folder, chosen)));
  }
  return JSON.parse(readFileSync(list, 'utf8')) as Mutant[];
}

/** Runs one test file with one mutant. @returns whether it was noticed */
function tryOne(folder: string, id: number, file: string): boolean {
  const { status } = spawnSync(
    process.execPath,
    [join(repository, 'node_modules/vitest/vitest.mjs'), 'run', file, '--reporter=dot', '--bail=1'],
    { cwd: folder, env: { ...process.env, HOTPATCH_MUTANT: String(id) }, stdio: 'ignore', timeout: 120_000 },
  );
  return status !== 0;
}

/**
 * Mutants that no test reaches, because their code runs when its module is loaded, or not at all; and those that matter
 * only before a process has run it for the first time.
 */
function tryFromStart(target: Target, folder: string, survivors: readonly Mutant[]): void {
  const results = join(folder, 'mutants.jsonl');
  const lines = linesOf(results);
  const tried = new Set(lines.flatMap((line) => (line.kind === 'unreached' ? [line.id] : [])));
  for (const mutant of survivors) {
    const { id } = mutant;
    if (judgementOf(mutant) !== undefined || tried.has(id)) continue;
    const test = target.whole.find((file) => tryOne(folder, id, file));
    const by = 'in force from the start';
    const line: Line = test === undefined ? { kind: 'unreached', id } : { kind: 'noticed', id, test, by };
    appendFileSync(results, `${JSON.stringify(line)}\n`);
  }
}

function check(target: Target, base: string): { mutants: readonly Mutant[]; survivors: readonly Mutant[] } {
  const folder = join(base, target.name);
  const results = join(folder, 'mutants.jsonl');
  const mutants = prepare(target, folder);
  // Tests that were added since have yet to run.
  checkOut(folder, ['test', 'scripts/mutants']);
  const noticed = () =>
    new Set(linesOf(results).flatMap((line) => (line.kind === 'noticed' ? [line.id] : [])));
  for (const file of filesOf(folder, target.tests)) {
    const start = performance.now();
    hunt(folder, file, results);
    const seconds = ((performance.now() - start) / 1000).toFixed(0);
    console.log(`${target.name}: ${file}: ${noticed().size} of ${mutants.length} noticed, ${seconds} s`);
  }
  const survivors = () => mutants.filter(({ id }) => !noticed().has(id));
  tryFromStart(target, folder, survivors());
  return { mutants, survivors: survivors() };
}

/** The second form: these mutants, this test file as it is now. */
function tryChosen(target: Target, base: string, ids: readonly number[], file: string): void {
  const folder = join(base, target.name);
  const mutants = prepare(target, folder);
  cpSync(join(repository, 'test'), join(folder, 'test'), { recursive: true });
  for (const mutant of mutants.filter(({ id }) => ids.includes(id))) {
    const verdict = tryOne(folder, mutant.id, file) ? 'noticed' : 'SURVIVED';
    console.log(`${verdict} ${mutant.id} ${mutant.file}:${mutant.line}: ${mutant.change}: ${mutant.code}`);
    if (verdict === 'SURVIVED') process.exitCode = 1;
  }
}

const base = option('--state') ?? join(tmpdir(), 'hotpatch-mutants');
const wanted = option('--target');
const chosen = TARGETS.filter(({ name }) => wanted === undefined || name === wanted);
const [ids, file] = [option('--mutant'), option('--tests')];
const report: object[] = [];
let survived = 0;
if (ids !== undefined && file !== undefined)
  for (const target of chosen) tryChosen(target, base, ids.split(',').map(Number), file);
else
  for (const target of chosen) {
    const { mutants, survivors } = check(target, base);
    const judged = survivors.filter((mutant) => judgementOf(mutant) !== undefined);
    survived += survivors.length - judged.length;
    for (const mutant of survivors) {
      const { id, file, line, change, code } = mutant;
      const judgement = judgementOf(mutant);
      const verdict = judgement === undefined ? 'SURVIVED' : `of no matter (${judgement})`;
      console.log(`${verdict} ${id} ${file}:${line}: ${change}: ${code}`);
    }
    console.log(
      `${target.name}: ${mutants.length} mutants, ${survivors.length} not noticed, ${judged.length} of them of no matter`,
    );
    report.push({ target: target.name, mutants: mutants.length, survivors });
  }
const json = option('--json');
if (json !== undefined) writeFileSync(json, JSON.stringify(report, null, 2));
if (survived > 0) process.exitCode = 1;
