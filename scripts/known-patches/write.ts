import { readFileSync, writeFileSync } from 'node:fs';
import { ARCHITECTURES, type Evaluated, type Made } from './evaluate.js';
import type { Explored } from './explore.js';
import { controlsText, exploredText, readExplored } from './explored.js';
import { readResults } from './kept.js';
import { KNOWN_PATCHES, type KnownPatch } from './list.js';
import { isShown, type Ran } from './run.js';

/** Rules that forbid a hotpatch whatever is done: a refusal by one of them is right. */
const RIGHTLY =
  /^(?:type\.layout|data\.(?:size|value|protection|constToMutable)|function\.(?:signature|stack)|identity\.address|export\.\w+)/;

interface Row {
  readonly package: string;
  readonly patch: KnownPatch;
  readonly evaluated?: Evaluated;
  readonly ran: readonly Ran[];
}

/** Writes docs/known-patches.md from what has been built and run. */
export function writePage(path: string): void {
  const results = readResults();
  const rows = Object.entries(KNOWN_PATCHES).flatMap(([name, { patches }]) =>
    patches.map((patch): Row => {
      const evaluated = results.find((one) => one.package === name && one.patch.file === patch.file);
      return {
        package: name,
        patch,
        ...(evaluated === undefined ? {} : { evaluated }),
        ran: evaluated?.ran ?? [],
      };
    }),
  );
  writeFileSync(path, page(rows));
}

/** Brings only the column and the lines about explorations up to date; verdicts stay as they are. */
export function writeExplored(path: string): void {
  const explored = readExplored();
  const rows = Object.entries(KNOWN_PATCHES).flatMap(([name, { patches }]) =>
    patches.map((patch) => ({ name, patch, start: `| ${name} | ${fileCell(patch)} |` })),
  );
  const lines = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => !/^\| explored (?:while|with a)/.test(line))
    .flatMap((line) => {
      if (line.startsWith('| of these, patched in the middle')) return [line, ...exploredLines(explored)];
      const row = rows.find(({ start }) => line.startsWith(start));
      if (row === undefined) return [line];
      const cells = line.split(/(?<!\\)\|/);
      return [[...cells.slice(0, 8), ` ${exploredCell(explored, row.name, row.patch)} `, ''].join('|')];
    });
  writeFileSync(path, lines.join('\n'));
}

const exploredCell = (explored: readonly Explored[], name: string, patch: KnownPatch): string =>
  cell(exploredText(explored.find((one) => one.package === name && one.file === patch.file)));

function exploredLines(explored: readonly Explored[]): string[] {
  const tried = explored.filter(({ cells }) => cells.length > 0);
  const complete = tried.filter(({ cells }) => cells.every(({ bound }) => bound === undefined));
  const wrong = tried.filter(({ cells }) => cells.some(({ violations }) => violations.length > 0));
  return [
    `| explored while two processors make the call (\`npm run known-patches -- explore\`) | ${tried.length}, of which ${complete.length} completely; a rule is broken in ${wrong.length} |`,
    `| explored with a wrong way to change code, and caught | ${controlsText(tried)} |`,
  ];
}

function verdictOf(made: Made | undefined): string {
  if (made === undefined) return 'not evaluated';
  if (made.verdict === 'patched')
    return ['patched', ...(made.allowed ?? []).map((rule) => `\`${rule}\` allowed`)].join(', ');
  if (made.verdict === 'not evaluated') return 'not evaluated';
  const rules = (made.why ?? '').split(', ');
  return `refused${rules.some((rule) => RIGHTLY.test(rule)) ? ', rightly' : ''}: ${rules.map((rule) => `\`${rule}\``).join(' ')}`;
}

const cell = (text: string) => text.replace(/\|/g, '\\|').replace(/\s+/g, ' ');

function rowText({ package: name, patch, evaluated, ran }: Row, explored: readonly Explored[]): string {
  const verdicts = ARCHITECTURES.map((architecture) =>
    verdictOf(evaluated?.made.find((made) => made.architecture === architecture)),
  );
  const [first] = ran;
  const story =
    first === undefined
      ? ''
      : `${ran.every(isShown) ? '' : '(not shown) '}base: ${first.base}; patched: ${first.patched} (${ran.map(({ architecture }) => architecture).join(', ')})`;
  return `| ${name} | ${fileCell(patch)} | ${patch.cves.map((cve) => cve.replace('CVE-', '')).join(' ')} | ${verdicts.map(cell).join(' | ')} | ${cell(story)} | ${exploredCell(explored, name, patch)} |`;
}

function fileCell({ file }: KnownPatch): string {
  return `\`${file.length > 44 ? `${file.slice(0, 43)}…` : file}\``;
}

function page(rows: readonly Row[]): string {
  const explored = readExplored();
  const made = rows.flatMap(({ evaluated }) => evaluated?.made ?? []);
  const count = (verdict: Made['verdict']) => made.filter((one) => one.verdict === verdict).length;
  const patched = made.filter(({ verdict }) => verdict === 'patched');
  const tried = rows.filter(({ evaluated }) => evaluated !== undefined);
  const ran = rows.filter((row) => row.ran.length > 0);
  const shown = ran.filter((row) => row.ran.every(isShown));
  const middle = ran.filter((row) => row.ran.some(({ midExecution }) => midExecution === true));
  const reasons = new Map<string, number>();
  for (const { why } of made.filter(({ verdict }) => verdict === 'refused'))
    for (const rule of (why ?? '').split(', ')) reasons.set(rule, (reasons.get(rule) ?? 0) + 1);
  const failures = rows.flatMap(({ package: name, patch, evaluated }) =>
    (evaluated?.made ?? [])
      .filter(({ verdict }) => verdict === 'not evaluated')
      .map(
        ({ architecture, why }) =>
          `- ${name} \`${patch.file}\`, ${architecture}: ${cell(why ?? '').slice(0, 200)}`,
      ),
  );
  const numbers = (values: readonly number[]) => {
    const sorted = [...values].sort((a, b) => a - b);
    const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
    return sorted.length === 0 ? 'none' : `${at(0)} to ${at(1)}, half of them at most ${at(0.5)}`;
  };
  return `# Known patches

Which security fixes can a hotpatch carry? Debian's source packages hold each fix as a patch file of its own. For each of
${rows.length} fixes of ${Object.keys(KNOWN_PATCHES).length} packages of Debian 12, the base is the package with the patches before it in Debian's series, the fixed build
is that with the fix, and \`hotpatch make\` makes the hotpatch from one to the other. The list was fixed before any of them was
tried, and no verdict is tuned: \`npm run known-patches\` fetches, builds, runs and writes this page.

\`\`\`text
npm run known-patches -- fetch                               the sources (nothing of them is committed)
npm run known-patches -- build cjson --arch x64,arm64,x86    hotpatches of one package's fixes
npm run known-patches -- run cjson                           the crafted inputs
npm run known-patches -- explore cjson                       every interleaving with two processors; results are kept
npm run known-patches -- write                               this page
npm run known-patches -- write-explored                      only what explorations have found
\`\`\`

With \`--patch FILE\` one fix is built, run or explored: that is how each row is reproduced.

- **patched**: a hotpatch was made. Where an input was crafted from the fix's description, it was run on a machine whose heap
  checks its bounds: in the base, in the fixed build alone, and in the base with the hotpatch.
- **refused**: a rule of \`hotpatch build\` forbids it, by name. *Rightly*: objects, values or signatures that outlive the patch change,
  or an address of the patch image would be compared with one of the base.
- **not evaluated**: it was not tried, or the build failed; the reasons are below.
- **explored on two processors**: every order of the engine's steps with those of two processors that make the named call, which is
  the first of the ordinary input to enter a changed function (x64; each processor has objects of its own): states of apply,
  repatch and revert, with coherent and with weak instruction fetch, and seconds for all six. See [the proof](proof.md).

## Statistics

| | |
|---|---|
| fixes on the list | ${rows.length} |
| fixes that were built on at least one architecture | ${tried.length} |
| builds (fix × architecture) | ${made.length}: ${count('patched')} patched, ${count('refused')} refused, ${count('not evaluated')} not evaluated |
| fixes run with a crafted input | ${ran.length}, of which ${shown.length} show the fault in the base and none in the patched base, which does what the fixed build does, handles an ordinary input as before, and is the base again, byte for byte, when the hotpatch is taken back |
| of these, patched in the middle of a changed function too | ${middle.length} |
${exploredLines(explored).join('\n')}
| rules that refused | ${[...reasons].map(([rule, times]) => `\`${rule}\` ${times}`).join(', ') || 'none'} |
| lines that a patch changes | ${numbers(tried.map(({ evaluated }) => evaluated?.lines ?? 0))} |
| functions that a hotpatch redirects | ${numbers(patched.map(({ functions }) => functions.length))} |
| records of its table | ${numbers(patched.map(({ records }) => records))} |
| host milliseconds to apply one, cold | ${numbers(ran.flatMap((row) => row.ran.map(({ microseconds }) => Math.round(microseconds / 1000))))} |

## The fixes

| package | patch | CVE | x64 | ARM64 | x86 | with the crafted input | explored on two processors |
|---|---|---|---|---|---|---|---|
${rows.map((row) => rowText(row, explored)).join('\n')}

## What exploring has found

libpng \`CVE-2026-33416-part3.patch\`: each call of the patched \`png_set_PLTE\` is right by itself, and yet one that finds what the old
one has left faults. The old code lets two structures share a palette, the new code frees both. That needs no interleaving: a call
before the hotpatch and one after it, of the same objects, are enough. No rule of \`hotpatch build\` sees who owns memory.

## A refusal that is too strict

libarchive \`CVE-2025-5915.patch\`: a static function takes an \`uint8_t *\` where it took a \`void *\`. Callers pass the same;
\`function.signature\` compares the types as they are written.

## What was not evaluated, and why

${failures.length === 0 ? 'No build that was tried failed.' : failures.join('\n')}
${rows.length - tried.length === 0 ? '' : `\nThe other ${rows.length - tried.length} fixes have no result that is kept: they were not tried, or not since results are kept (\`kept.json\`).\n`}`;
}
