import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ARCHITECTURES, type Evaluated, type Made, outFolder, readResults } from './evaluate.js';
import { KNOWN_PATCHES, type KnownPatch } from './list.js';
import { isShown, type Ran } from './run.js';
import { sourcesFolder } from './sources.js';

/** Rules that forbid a hotpatch whatever is done: a refusal by one of them is right. */
const RIGHTLY =
  /^(?:type\.layout|data\.(?:size|value|protection|constToMutable)|function\.(?:signature|stack)|export\.\w+)/;

interface Row {
  readonly package: string;
  readonly patch: KnownPatch;
  readonly evaluated?: Evaluated;
  readonly ran: readonly Ran[];
}

/** Writes docs/known-patches.md from what has been built and run. */
export function writePage(path: string, folder = sourcesFolder()): void {
  const results = readResults(folder);
  const rows = Object.entries(KNOWN_PATCHES).flatMap(([name, { patches }]) =>
    patches.map((patch): Row => {
      const evaluated = results.find((one) => one.package === name && one.patch.file === patch.file);
      return {
        package: name,
        patch,
        ...(evaluated === undefined ? {} : { evaluated }),
        ran: readRan(folder, name, patch),
      };
    }),
  );
  writeFileSync(path, page(rows));
}

function readRan(folder: string, name: string, patch: KnownPatch): Ran[] {
  try {
    return JSON.parse(readFileSync(join(outFolder(folder, name, patch), 'run.json'), 'utf8')) as Ran[];
  } catch {
    return [];
  }
}

function verdictOf(made: Made | undefined): string {
  if (made === undefined) return 'not evaluated';
  if (made.verdict === 'patched') return 'patched';
  if (made.verdict === 'not evaluated') return 'not evaluated';
  const rules = (made.why ?? '').split(', ');
  return `refused${rules.some((rule) => RIGHTLY.test(rule)) ? ', rightly' : ''}: ${rules.map((rule) => `\`${rule}\``).join(' ')}`;
}

const cell = (text: string) => text.replace(/\|/g, '\\|').replace(/\s+/g, ' ');

function rowText({ package: name, patch, evaluated, ran }: Row): string {
  const verdicts = ARCHITECTURES.map((architecture) =>
    verdictOf(evaluated?.made.find((made) => made.architecture === architecture)),
  );
  const [first] = ran;
  const story =
    first === undefined
      ? ''
      : `${ran.every(isShown) ? '' : '(not shown) '}base: ${first.base}; patched: ${first.patched} (${ran.map(({ architecture }) => architecture).join(', ')})`;
  const file = patch.file.length > 44 ? `${patch.file.slice(0, 43)}…` : patch.file;
  return `| ${name} | \`${file}\` | ${patch.cves.map((cve) => cve.replace('CVE-', '')).join(' ')} | ${verdicts.map(cell).join(' | ')} | ${cell(story)} |`;
}

function page(rows: readonly Row[]): string {
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
npm run known-patches -- write                               this page
\`\`\`

With \`--patch FILE\` one fix is built or run: that is how each row is reproduced.

- **patched**: a hotpatch was made. Where an input was crafted from the fix's description, it was run on a machine whose heap
  checks its bounds: in the base, in the fixed build alone, and in the base with the hotpatch.
- **refused**: a rule of \`hotpatch build\` forbids it, by name. *Rightly*: objects, values or signatures that outlive the patch change.
- **not evaluated**: it was not tried, or the build failed; the reasons are below.

## Statistics

| | |
|---|---|
| fixes on the list | ${rows.length} |
| fixes that were built on at least one architecture | ${tried.length} |
| builds (fix × architecture) | ${made.length}: ${count('patched')} patched, ${count('refused')} refused, ${count('not evaluated')} not evaluated |
| fixes run with a crafted input | ${ran.length}, of which ${shown.length} show the fault in the base and none in the patched base, which does what the fixed build does, handles an ordinary input as before, and is the base again, byte for byte, when the hotpatch is taken back |
| of these, patched in the middle of a changed function too | ${middle.length} |
| rules that refused | ${[...reasons].map(([rule, times]) => `\`${rule}\` ${times}`).join(', ') || 'none'} |
| lines that a patch changes | ${numbers(tried.map(({ evaluated }) => evaluated?.lines ?? 0))} |
| functions that a hotpatch redirects | ${numbers(patched.map(({ functions }) => functions.length))} |
| records of its table | ${numbers(patched.map(({ records }) => records))} |
| host milliseconds to apply one, cold | ${numbers(ran.flatMap((row) => row.ran.map(({ microseconds }) => Math.round(microseconds / 1000))))} |

## The fixes

| package | patch | CVE | x64 | ARM64 | x86 | with the crafted input |
|---|---|---|---|---|---|---|
${rows.map(rowText).join('\n')}

## What was not evaluated, and why

${failures.length === 0 ? 'No build that was tried failed.' : failures.join('\n')}
${rows.length - tried.length === 0 ? '' : `\nThe other ${rows.length - tried.length} fixes without a verdict were not tried yet.\n`}`;
}
