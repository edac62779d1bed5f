/**
 * Explores every form of the engine with every operation, one to three processors, coherent and weak instruction fetch,
 * and the same in processes, sessions and VTL1; then shows that every negative control is caught. Prints Markdown;
 * `--write` puts it into docs/proof.md; `--quick` leaves three processors out. Exits with 1 when a real protocol breaks a
 * property, a search is not complete, or a control is not caught.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import {
  type Cell,
  catchControl,
  type Exploration,
  exploreCell,
  formatSchedule,
  MATRIX,
  PLACES_MATRIX,
  PROTOCOLS,
} from '../proof/index.js';

const quick = process.argv.includes('--quick');
const lines: string[] = [];
let failed = false;

function say(line: string): void {
  lines.push(line);
  console.log(line);
}

function verdict({ complete, bound, violations }: Exploration): string {
  const broken = violations.map(({ rule, count }) => `**${rule}** (${count})`).join(', ');
  return [complete ? 'complete' : `not complete: ${bound}`, broken || 'holds'].join(', ');
}

const PLACES = {
  kernel: '',
  processes: ', two processes',
  sessions: ', two sessions',
  secureKernel: ', Secure Kernel',
} as const;

async function matrix(cells: readonly Cell[]): Promise<void> {
  say(
    '| form | operation | processors | fetch | every step: states | transitions | states | transitions | seconds | result |',
  );
  say('|---|---|--:|---|--:|--:|--:|--:|--:|---|');
  let [all, each, time] = [0, 0, 0];
  for (const cell of cells.filter(({ processors }) => !quick || processors < 3)) {
    const { form, operation, processors, fetch, places } = cell;
    const result = await exploreCell(cell);
    const { states, transitions, seconds } = result;
    const whole = await exploreCell(cell, { reduction: false });
    failed ||= result.violations.length > 0 || !result.complete || verdict(whole) !== verdict(result);
    all += states;
    each += whole.states;
    time += seconds;
    say(
      `| ${form}${PLACES[places]} | ${operation} | ${processors} | ${fetch} | ${whole.states} | ${whole.transitions} | ${states} | ${transitions} | ${seconds.toFixed(2)} | ${verdict(result)} |`,
    );
  }
  say(
    `\n${all} states in ${time.toFixed(1)} seconds of search, where every step is ordered ${each}: ${Math.round(each / all)} times as many.`,
  );
}

async function controls(): Promise<void> {
  for (const protocol of PROTOCOLS.filter(({ kind }) => kind === 'control')) {
    const result = await catchControl(protocol);
    const shortest = result?.violations.reduce((a, b) =>
      a.schedule.actions.length <= b.schedule.actions.length ? a : b,
    );
    say(`\n**${protocol.name}**: ${protocol.description}.`);
    if (result === undefined || shortest === undefined) {
      failed = true;
      say('NOT CAUGHT.');
      continue;
    }
    say(`Caught (${shortest.rule}: ${shortest.text}), ${result.subject}, ${result.fetch} fetch:\n`);
    say('```');
    for (const line of await formatSchedule(shortest.schedule)) say(line);
    say('```');
  }
}

const file = new URL('../docs/proof.md', import.meta.url);

/** Takes what was said since the last time, and puts it between the marks. */
function section(marker: string): void {
  const content = lines.splice(0).join('\n');
  if (!process.argv.includes('--write')) return;
  const text = readFileSync(file, 'utf8');
  const [begin, end] = [`<!-- ${marker} -->`, `<!-- end of ${marker} -->`];
  const [before, after] = [text.indexOf(begin), text.indexOf(end)];
  if (before < 0 || after < 0) throw new Error(`docs/proof.md has no marks for ${marker}`);
  writeFileSync(file, `${text.slice(0, before + begin.length)}\n${content}\n${text.slice(after)}`);
}

const start = performance.now();
await matrix(MATRIX);
const minutes = ((performance.now() - start) / 60_000).toFixed(1);
say(
  `Measured on ${cpus().length} cores of ${cpus()[0]?.model.trim()}, Node ${process.version}; ${minutes} minutes in all.`,
);
section('matrix');
await matrix(PLACES_MATRIX);
section('places');
await controls();
section('controls');
process.exitCode = failed ? 1 : 0;
