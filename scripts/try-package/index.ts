/**
 * Packs the package and tries it as others get it: installed by several package managers into an empty project, whose
 * starter is run, on several versions of Node and vitest; its types under two kinds of resolution; what attw and publint
 * say. Prints a table, as docs/package.md has it; the exit code is 1 if a row does not hold. What is tried is fetched by
 * npm; nothing outside out/try-package is changed but the caches of the package managers.
 *
 *     npm run try-package -- [--no-build] [--quick] [PART OF A NAME…]
 */
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Failed, LeftOut, root, run, tarball, work } from './place.js';
import { TRIALS, type Trial } from './trials.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'no-build': { type: 'boolean' }, quick: { type: 'boolean' } },
});

function pack(): void {
  mkdirSync(work, { recursive: true });
  if (values['no-build'] !== true) run(['npm', 'run', '--silent', 'build'], { cwd: root });
  const [name = ''] = run(['npm', 'pack', '--ignore-scripts', '--silent', '--pack-destination', work], {
    cwd: root,
  }).split('\n');
  rmSync(tarball, { force: true });
  renameSync(join(work, name), tarball);
}

function attempt(trial: Trial): string {
  try {
    const remark = trial.run();
    return `works${remark === undefined ? '' : `; ${remark}`}`;
  } catch (error) {
    if (error instanceof LeftOut) return `left out: ${error.message}`;
    if (!(error instanceof Failed)) throw error;
    console.error(error.message);
    process.exitCode = 1;
    return '**fails**';
  }
}

const isChosen = ({ name, isQuick = false }: Trial): boolean =>
  (values.quick !== true || isQuick) &&
  (positionals.length === 0 || positionals.some((part) => name.includes(part)));

const chosen = TRIALS.filter(isChosen);
if (chosen.length === 0) throw new Error(`no row is called so: ${TRIALS.map(({ name }) => name).join(', ')}`);
pack();
const rows: string[] = [];
for (const trial of chosen) {
  const begun = Date.now();
  const row = `| ${trial.name} | ${attempt(trial)} |`;
  console.error(`${row}   ${((Date.now() - begun) / 1000).toFixed(1)} s`);
  rows.push(row);
}
console.log(['| tried | |', '|---|---|', ...rows].join('\n'));
const count = (word: string) => rows.filter((row) => row.includes(`| ${word}`)).length;
console.log(`\n${count('works')} passed, ${count('**fails**')} failed, ${count('left out')} skipped`);
