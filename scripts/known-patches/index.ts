import { evaluatePackage } from './evaluate.js';
import { exploreCase } from './explore.js';
import { keepExplored } from './explored.js';
import { keepBuilt, keepRan, readResults } from './kept.js';
import { KNOWN_PATCHES } from './list.js';
import { PACKAGES } from './packages.js';
import { isShown, type Ran, runCase } from './run.js';
import { fetchPackages, sourcesFolder } from './sources.js';
import { writeExplored, writePage } from './write.js';

/** npm run known-patches [-- fetch | build [PACKAGE…] [--arch a,b] [--patch FILE] [--allow RULE,RULE] | run [--arch a,b] | explore [--most-seconds N] | write | write-explored] */
const [what = 'all', ...rest] = process.argv.slice(2);
const value = (name: string) => {
  const at = rest.indexOf(name);
  return at < 0 ? undefined : rest[at + 1];
};
const names = rest.filter((word, i) => !word.startsWith('--') && !(rest[i - 1] ?? '').startsWith('--'));
const architectures = value('--arch')
  ?.split(',')
  .filter((text): text is 'x64' | 'arm64' | 'x86' => /^(?:x64|arm64|x86)$/.test(text));
const packages = names.length > 0 ? names : Object.keys(KNOWN_PATCHES);

if (what === 'all' || what === 'fetch')
  fetchPackages([
    ...packages.map((name) => ({ name, version: KNOWN_PATCHES[name]?.version ?? '' })),
    ...packages
      .flatMap((name) => PACKAGES[name]?.with ?? [])
      .map((other) => ({ name: other.package, version: '' })),
  ]);

if (what === 'all' || what === 'build')
  for (const name of packages) {
    const patch = value('--patch');
    const allow = value('--allow')?.split(',');
    await evaluatePackage(name, {
      onMade: (evaluated) => {
        keepBuilt(evaluated);
        const { patch: known, made } = evaluated;
        console.log(
          `${name} ${known.file}: ${made.map(({ architecture, verdict, why, seconds }) => `${architecture} ${verdict}${why === undefined ? '' : ` (${why.slice(0, 300)})`} ${seconds.toFixed(0)} s`).join('; ')}`,
        );
      },
      ...(patch === undefined ? {} : { only: ({ file }) => file === patch }),
      ...(architectures === undefined ? {} : { architectures }),
      ...(allow === undefined ? {} : { allow }),
    });
  }
if (what === 'all' || what === 'run')
  for (const result of readResults().filter((one) => packages.includes(one.package))) {
    if (value('--patch') !== undefined && result.patch.file !== value('--patch')) continue;
    let ran: Ran[] = [];
    try {
      ran = runCase(result, architectures);
    } catch (error) {
      console.log(
        `${result.package} ${result.patch.file}: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
    if (ran.length === 0) continue;
    keepRan(result, ran);
    for (const one of ran)
      console.log(
        `${result.package} ${result.patch.file} ${isShown(one) ? 'shown' : 'NOT SHOWN'} ${JSON.stringify(one)}`,
      );
  }
if (what === 'all' || what === 'explore')
  for (const result of readResults().filter((one) => packages.includes(one.package))) {
    if (value('--patch') !== undefined && result.patch.file !== value('--patch')) continue;
    const made = result.made.find(({ verdict }) => verdict === 'patched');
    if (made === undefined) continue;
    const seconds = value('--most-seconds');
    const explored = await exploreCase(
      result,
      made,
      seconds === undefined ? {} : { mostSeconds: Number(seconds) },
    );
    keepExplored(explored);
    console.log(JSON.stringify(explored));
  }
if (what === 'all' || what === 'write') writePage('docs/known-patches.md');
if (what === 'write-explored') writeExplored('docs/known-patches.md');
console.log(`in ${sourcesFolder()}`);
