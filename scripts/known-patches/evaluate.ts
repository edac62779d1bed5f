import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type MadeHotPatch, MakeError, makeHotPatch } from '../../builder/index.js';
import type { ImageArchitecture } from '../../image/index.js';
import { KNOWN_PATCHES, type KnownPatch } from './list.js';
import { type PreparedTree, prepareTree } from './prepare.js';
import { fetchedPackage, sourcesFolder } from './sources.js';

export const ARCHITECTURES: readonly ImageArchitecture[] = ['x64', 'arm64', 'x86'];

/** What became of one fix on one architecture. */
export interface Made {
  readonly architecture: ImageArchitecture;
  readonly verdict: 'patched' | 'refused' | 'not evaluated';
  /** Why it is refused or not evaluated: rules, or the error. */
  readonly why?: string;
  /** Rules that were turned into warnings. */
  readonly allowed?: readonly string[];
  readonly refusals?: readonly { rule: string; symbol?: string; message: string }[];
  readonly base?: string;
  readonly fixed?: string;
  readonly hotPatch?: string;
  readonly functions: readonly string[];
  readonly records: number;
  readonly variables: number;
  readonly rounds?: number;
  readonly missing: readonly string[];
  readonly sizes?: MadeHotPatch['sizes'];
  readonly seconds: number;
}

export interface Evaluated {
  readonly package: string;
  readonly patch: KnownPatch;
  /** Lines that the patch adds and removes in the library. */
  readonly lines: number;
  readonly made: readonly Made[];
}

export interface EvaluateOptions {
  readonly folder?: string;
  readonly architectures?: readonly ImageArchitecture[];
  /** Only these patches. */
  readonly only?: (patch: KnownPatch) => boolean;
  /** Rules that are warnings instead of refusals; kept with what was made. */
  readonly allow?: readonly string[];
  readonly onProgress?: (text: string) => void;
  /** After each fix. */
  readonly onMade?: (evaluated: Evaluated) => void;
  readonly jobs?: number;
}

/** Where the images of a fix are. */
export function outFolder(folder: string, name: string, patch: KnownPatch): string {
  return join(folder, 'images', name, patch.file.replace(/[^\w.-]+/g, '_').replace(/\.(?:patch|diff)$/, ''));
}

/** Makes hotpatches of a package's fixes, one after the other along Debian's series. */
export async function evaluatePackage(name: string, options: EvaluateOptions = {}): Promise<Evaluated[]> {
  const { folder = sourcesFolder(), architectures = ARCHITECTURES, only, onProgress, onMade } = options;
  const known = KNOWN_PATCHES[name];
  if (known === undefined) throw new Error(`${name} is not on the list`);
  const fetched = fetchedPackage(name, folder);
  const wanted = known.patches.filter((patch) => only?.(patch) ?? true);
  if (fetched === undefined)
    return wanted.map((patch) => ({
      package: name,
      patch,
      lines: 0,
      made: architectures.map((architecture) =>
        notEvaluated(architecture, 'the sources have not been fetched'),
      ),
    }));
  const tree = prepareTree(name, fetched, folder);
  const results: Evaluated[] = [];
  const inOrder = [...wanted].sort((a, b) => fetched.series.indexOf(a.file) - fetched.series.indexOf(b.file));
  for (const patch of inOrder) {
    onProgress?.(`${name} ${patch.file}`);
    const evaluated = await evaluatePatch(name, patch, tree, folder, options, architectures);
    results.push(evaluated);
    onMade?.(evaluated);
  }
  return results;
}

async function evaluatePatch(
  name: string,
  patch: KnownPatch,
  tree: PreparedTree,
  folder: string,
  options: EvaluateOptions,
  architectures: readonly ImageArchitecture[],
): Promise<Evaluated> {
  const out = outFolder(folder, name, patch);
  for (const architecture of architectures) rmSync(join(out, architecture), { recursive: true, force: true });
  tree.advanceTo(patch.file);
  const part = tree.patch(patch.file);
  const lines = (part?.text.match(/^[+-](?![+-]{2} )/gm) ?? []).length;
  const made: Made[] = [];
  for (const architecture of architectures) {
    const start = performance.now();
    try {
      if (part === undefined)
        throw new MakeError({ rule: 'noChange', message: 'it touches no file of the library' });
      const result = await makeHotPatch({
        source: tree.root,
        how: tree.how,
        patches: [part],
        architectures: [architecture],
        out,
        cache: join(folder, 'cache'),
        harness: tree.harness,
        // Images are loaded at multiples of 64 KB here, as on Windows: the bytes that the rule is about stay.
        image: `${name.replace(/[^\w]/g, '_')}.dll`,
        ...(options.jobs === undefined ? {} : { jobs: options.jobs }),
        ...(options.allow === undefined ? {} : { allow: options.allow }),
        onProgress: ({ stage, text }) =>
          options.onProgress?.(`${name} ${patch.file} ${architecture} ${stage}: ${text}`),
      });
      const [one] = result.architectures;
      if (one !== undefined)
        made.push({
          ...madeOf(one, performance.now() - start),
          allowed: (options.allow ?? []).filter((rule) =>
            one.report.findings.some((finding) => finding.rule === rule),
          ),
        });
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      made.push({
        ...notEvaluated(architecture, error.message.split('\n').slice(0, 4).join(' ')),
        seconds: (performance.now() - start) / 1000,
      });
    }
    forgetBases(folder);
  }
  return { package: name, patch, lines, made };
}

function notEvaluated(architecture: ImageArchitecture, why: string): Made {
  return {
    architecture,
    verdict: 'not evaluated',
    why,
    functions: [],
    records: 0,
    variables: 0,
    missing: [],
    seconds: 0,
  };
}

function madeOf(made: MadeHotPatch, milliseconds: number): Made {
  const { report } = made;
  const refusals = report.findings
    .filter(({ severity }) => severity === 'refusal')
    .map(({ rule, symbol, message }) => ({ rule, ...(symbol === undefined ? {} : { symbol }), message }));
  return {
    architecture: made.architecture,
    verdict: made.verdict,
    ...(refusals.length === 0
      ? {}
      : { refusals, why: [...new Set(refusals.map(({ rule }) => rule))].join(', ') }),
    base: made.base,
    fixed: made.fixed,
    ...(made.hotPatch === undefined ? {} : { hotPatch: made.hotPatch }),
    functions: report.patched.map(({ name }) => name),
    records: report.records.reduce((sum, { records }) => sum + records, 0),
    variables: report.variables.length,
    rounds: made.rounds,
    missing: made.missingImports,
    sizes: made.sizes,
    seconds: milliseconds / 1000,
  };
}

/** The trees of bases are large and each is used once; the objects stay in the store. */
function forgetBases(folder: string): void {
  const builds = join(folder, 'cache', 'builds');
  // Another run may be at work on another package.
  for (const name of existsSync(builds) ? readdirSync(builds) : [])
    if (Date.now() - statSync(join(builds, name)).mtimeMs > 20 * 60_000)
      rmSync(join(builds, name), { recursive: true, force: true });
}
