import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Evaluated, Made } from './evaluate.js';
import { KNOWN_PATCHES } from './list.js';
import type { Ran } from './run.js';
import { sourcesFolder } from './sources.js';

/** What builds and runs have found, kept from run to run: unlike the images it is committed. */
const FILE = fileURLToPath(new URL('kept.json', import.meta.url));

/** Of one fix; images are named relative to the folder of the sources. */
interface Kept {
  readonly package: string;
  readonly file: string;
  readonly lines: number;
  readonly made: readonly Made[];
  readonly ran: readonly Ran[];
}

/** What is known of a fix: its hotpatches, and what they did to running code. */
export interface Result extends Evaluated {
  readonly ran: readonly Ran[];
}

/** What was found so far, in the order of the list. */
export function readResults(folder = sourcesFolder()): Result[] {
  const kept = readKept();
  return Object.entries(KNOWN_PATCHES).flatMap(([name, { patches }]) =>
    patches.flatMap((patch): Result[] => {
      const one = kept.find((other) => other.package === name && other.file === patch.file);
      if (one === undefined) return [];
      const made = one.made.map((each) => withPaths(each, (path) => join(folder, path)));
      return [{ package: name, patch, lines: one.lines, made, ran: one.ran }];
    }),
  );
}

/** In place of what was built for the same architectures before; what these did when they ran is forgotten. */
export function keepBuilt({ package: name, patch, lines, made }: Evaluated, folder = sourcesFolder()): void {
  const isNew = (architecture: string) => made.some((one) => one.architecture === architecture);
  change(name, patch.file, (before) => ({
    package: name,
    file: patch.file,
    lines,
    made: sorted([
      ...(before?.made ?? []).filter(({ architecture }) => !isNew(architecture)),
      ...made.map((one) => withPaths(one, (path) => relative(folder, path))),
    ]),
    ran: (before?.ran ?? []).filter(({ architecture }) => !isNew(architecture)),
  }));
}

export function keepRan({ package: name, patch }: Evaluated, ran: readonly Ran[]): void {
  const isNew = (architecture: string) => ran.some((one) => one.architecture === architecture);
  change(name, patch.file, (before) => {
    if (before === undefined) throw new Error(`${name} ${patch.file} has not been built`);
    const others = before.ran.filter(({ architecture }) => !isNew(architecture));
    return { ...before, ran: sorted([...others, ...ran]) };
  });
}

function readKept(): Kept[] {
  return JSON.parse(readFileSync(FILE, 'utf8')) as Kept[];
}

function change(name: string, file: string, to: (before: Kept | undefined) => Kept): void {
  const all = readKept();
  const is = (one: Kept) => one.package === name && one.file === file;
  const others = all.filter((one) => !is(one));
  const order = (one: Kept) =>
    KNOWN_PATCHES[one.package]?.patches.findIndex((patch) => patch.file === one.file) ?? -1;
  const next = [...others, to(all.find(is))].sort((a, b) =>
    a.package === b.package ? order(a) - order(b) : a.package < b.package ? -1 : 1,
  );
  writeFileSync(FILE, `${JSON.stringify(next, undefined, 1)}\n`);
}

/** x64 first, which every fix has. */
function sorted<T extends { readonly architecture: string }>(all: readonly T[]): T[] {
  const order = ['x64', 'arm64', 'x86'];
  return [...all].sort((a, b) => order.indexOf(a.architecture) - order.indexOf(b.architecture));
}

function withPaths(made: Made, to: (path: string) => string): Made {
  const { base, fixed, hotPatch } = made;
  return {
    ...made,
    ...(base === undefined ? {} : { base: to(base) }),
    ...(fixed === undefined ? {} : { fixed: to(fixed) }),
    ...(hotPatch === undefined ? {} : { hotPatch: to(hotPatch) }),
    seconds: Math.round(made.seconds),
  };
}
