import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ImageArchitecture } from '../../image/index.js';
import { type BuildHow, type BuildOutput, build } from './build-command.js';
import { storedObject } from './compile.js';
import { MakeError } from './error.js';
import { chooseProduct, type Product, type ProductChoice } from './product.js';
import { prepareLibraries } from './runtime.js';
import { type BuildRecord, type CompileRecord, readRecords, type Session } from './session.js';
import type { Toolchain } from './toolchain.js';
import { copyTree, hashText, type PatchedFile, unapply } from './tree.js';

/** Everything that decides what the base is: a change of any of them makes another one. */
export interface BaseInput {
  /** Absolute and real. */
  readonly source: string;
  /** Of the source tree's contents. */
  readonly sourceHash: string;
  /** Copies the source into a folder that is not there yet. */
  readonly copySource?: (to: string) => void;
  readonly architecture: ImageArchitecture;
  readonly toolchain: Toolchain;
  readonly how: BuildHow;
  readonly choice: ProductChoice;
  readonly flags: readonly string[];
  readonly isDriver: boolean;
  /** The cache folder. */
  readonly cache: string;
  /** Build it although it is in the cache. */
  readonly anew?: boolean;
}

/** A built base: its tree, and what is in the product. */
export interface Base {
  readonly session: Session;
  /** The folder of the cache that holds it. */
  readonly folder: string;
  readonly records: readonly BuildRecord[];
  readonly product: Product;
  readonly wasCached: boolean;
}

interface Kept {
  readonly records: readonly BuildRecord[];
  readonly product: Product;
}

/** Goes up when what is kept of a base changes. */
const FORMAT = 'base 2';

/** Builds the base, or takes the one that was built from the same inputs before. */
export async function buildBase(input: BaseInput, output: Omit<BuildOutput, 'log'>): Promise<Base> {
  const { toolchain, architecture, cache } = input;
  const libraries = await prepareLibraries(cache, architecture, toolchain, input.isDriver);
  const key = hashText(
    FORMAT,
    input.sourceHash,
    architecture,
    toolchain.version,
    toolchain.headers ?? '',
    toolchain.sysroot ?? '',
    JSON.stringify(input.how),
    JSON.stringify(input.choice),
    JSON.stringify(input.flags),
    libraries,
  ).slice(0, 24);
  const folder = join(cache, 'builds', `${architecture}-${key}`);
  const session = sessionIn(folder, input, libraries);
  const kept = readKept(folder, session);
  if (kept !== undefined && input.anew !== true) {
    restore(folder, session.tree);
    return { session, folder, ...kept, wasCached: true };
  }
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  if (input.copySource === undefined) copyTree(input.source, session.tree);
  else input.copySource(session.tree);
  await build(session, input.how, input.source, { ...output, log: join(folder, 'build', 'base.log') });
  const records = readRecords(session.records);
  const product = chooseProduct(session, records, input.choice);
  writeFileSync(join(folder, 'base.json'), JSON.stringify({ records, product } satisfies Kept));
  return { session, folder, records, product, wasCached: false };
}

/**
 * The base of an earlier run, whatever has become of the source since.
 * @throws MakeError `stage` when it is gone
 */
export async function openBase(input: BaseInput, folder: string): Promise<Base> {
  const { cache, architecture, toolchain, isDriver } = input;
  const session = sessionIn(folder, input, await prepareLibraries(cache, architecture, toolchain, isDriver));
  const kept = readKept(folder, session);
  if (kept === undefined)
    throw new MakeError({
      rule: 'stage',
      message: `the base of the earlier run is gone from ${cache}`,
      hint: 'leave --from out',
    });
  restore(folder, session.tree);
  return { session, folder, ...kept, wasCached: true };
}

function sessionIn(folder: string, input: BaseInput, libraries: string): Session {
  return {
    architecture: input.architecture,
    toolchain: input.toolchain,
    tree: join(folder, 'tree'),
    records: join(folder, 'records'),
    store: join(input.cache, 'store'),
    libraries,
    isDriver: input.isDriver,
    flags: input.flags,
  };
}

function readKept(folder: string, session: Session): Kept | undefined {
  const path = join(folder, 'base.json');
  if (!existsSync(path) || !existsSync(session.tree)) return undefined;
  const kept = JSON.parse(readFileSync(path, 'utf8')) as Kept;
  const isWhole = kept.product.objects.every(({ hash }) => existsSync(storedObject(session, hash)));
  return isWhole ? kept : undefined;
}

/** Remembers what a patch changed in the tree, so that it is put back even after this run has been killed. */
export function rememberPatch(folder: string, files: readonly PatchedFile[]): void {
  writeFileSync(join(folder, 'patched.json'), JSON.stringify(files));
}

/** Takes a patch back that an earlier run has left in the tree. */
export function restore(folder: string, tree: string): void {
  const path = join(folder, 'patched.json');
  if (!existsSync(path)) return;
  unapply(tree, JSON.parse(readFileSync(path, 'utf8')) as PatchedFile[]);
  rmSync(path);
}

/** Holds the base's folder against other runs of this command until it is disposed of. */
export async function lockFolder(path: string): Promise<Disposable> {
  mkdirSync(dirname(path), { recursive: true });
  const WAIT = 250;
  for (let waited = 0; ; waited += WAIT) {
    try {
      writeFileSync(path, String(process.pid), { flag: 'wx' });
      return { [Symbol.dispose]: () => rmSync(path, { force: true }) };
    } catch {
      if (!isAlive(path)) {
        rmSync(path, { force: true });
        continue;
      }
      if (waited > 15 * 60_000)
        throw new MakeError({ rule: 'stage', message: `another run holds ${path} for too long` });
      await new Promise((resolve) => setTimeout(resolve, WAIT));
    }
  }
}

function isAlive(path: string): boolean {
  try {
    process.kill(Number(readFileSync(path, 'utf8')), 0);
    return true;
  } catch {
    return false;
  }
}

/** The last record of each object. */
export function compileRecords(records: readonly BuildRecord[]): CompileRecord[] {
  const byOutput = new Map<string, CompileRecord>();
  for (const record of records) if (record.kind === 'compile') byOutput.set(record.output, record);
  return [...byOutput.values()];
}
