import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import type { CompilerRequest } from './arguments.js';
import { run } from './process.js';
import { type CompileRecord, local, portable, type Session } from './session.js';
import { HOTPATCH_FLAGS, HOW_TO_GET_CXX_HEADERS, targetFlags } from './toolchain.js';
import { hashFile, hashText, isInside } from './tree.js';

export interface Compiled {
  readonly status: number;
  /** What the compiler wrote. */
  readonly output: string;
  readonly record?: CompileRecord;
}

export function isAssembly(source: string): boolean {
  return /\.(?:s|S|sx)$/.test(source);
}

/** The whole argument list of one compilation, but for `-c`, source and output. */
export function compilerArguments(session: Session, flags: readonly string[], assembles = false): string[] {
  const target = targetFlags(session.architecture, session.toolchain);
  if (assembles) return [...target, ...flags, '-mno-incremental-linker-compatible'];
  return [
    ...target,
    ...session.flags,
    ...flags,
    ...HOTPATCH_FLAGS,
    `-ffile-prefix-map=${session.tree}=.`,
    '-Wno-unused-command-line-argument',
  ];
}

/** Compiles one source file, or takes what it was compiled to before from the store. */
export async function compile(
  session: Session,
  request: Pick<CompilerRequest, 'flags' | 'dependencyFile'>,
  source: string,
  output: string,
  cwd: string,
): Promise<Compiled> {
  const args = compilerArguments(session, request.flags, isAssembly(source));
  const target = resolve(cwd, output);
  const key = hashText(
    session.toolchain.version,
    relative(session.tree, cwd),
    source,
    ...args.map((arg) => portable(arg, session.tree)),
  );
  const manifest = join(session.store, `${key}.json`);
  const known = fromStore(session, manifest, cwd);
  if (known !== undefined) {
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(storedObject(session, known.object), target);
    if (request.dependencyFile !== undefined && !existsSync(resolve(cwd, request.dependencyFile)))
      writeFileSync(
        resolve(cwd, request.dependencyFile),
        `${output}: ${known.dependencies.map(({ path }) => local(path, session.tree)).join(' \\\n  ')}\n`,
      );
    return {
      status: 0,
      output: '',
      record: recordOf(session, { cwd, source, target, flags: request.flags, known, wasStored: true }),
    };
  }
  const own = `${target}.${process.pid}.hotpatch-d`;
  const dependencyFile = request.dependencyFile === undefined ? own : resolve(cwd, request.dependencyFile);
  const dependencyFlags =
    request.dependencyFile === undefined ? ['-MD', '-MF', own] : ['-MF', dependencyFile];
  mkdirSync(dirname(target), { recursive: true });
  const ran = await run(
    session.toolchain.tools.clang,
    [...args, ...dependencyFlags, '-c', source, '-o', output],
    { cwd, environment: compilerEnvironment() },
  );
  const text = ran.stdout + ran.stderr;
  if (ran.status !== 0) {
    rmSync(own, { force: true });
    return { status: ran.status, output: text + missingHeaderHint(session, text) };
  }
  const dependencies = existsSync(dependencyFile)
    ? readDependencies(readFileSync(dependencyFile, 'utf8'), session, cwd)
    : [{ path: portable(resolve(cwd, source), session.tree), hash: hashFile(resolve(cwd, source)) }];
  rmSync(own, { force: true });
  const object = hashFile(target);
  keep(session, target, object);
  const made: StoredObject = { object, dependencies };
  addToManifest(manifest, made);
  return {
    status: 0,
    output: text,
    record: recordOf(session, { cwd, source, target, flags: request.flags, known: made, wasStored: false }),
  };
}

/** Headers of the C++ standard library have no extension: who lacks one lacks them all. */
function missingHeaderHint({ toolchain }: Session, text: string): string {
  const [, name] = /fatal error: '([a-z_]+)' file not found/.exec(text) ?? [];
  if (name === undefined || toolchain.cxxHeaders !== undefined || toolchain.sysroot !== undefined) return '';
  return `hint: <${name}> is of the C++ standard library: ${HOW_TO_GET_CXX_HEADERS}\n`;
}

/** Of __DATE__ and __TIME__: the same in every build. */
export function compilerEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, SOURCE_DATE_EPOCH: '0', LC_ALL: 'C' };
}

export function storedObject(session: Pick<Session, 'store'>, hash: string): string {
  return join(session.store, 'objects', `${hash}.obj`);
}

/** Copies a file into the store under the hash of its contents. */
export function keep(session: Pick<Session, 'store'>, file: string, hash: string): void {
  const path = storedObject(session, hash);
  if (existsSync(path)) return;
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}`;
  copyFileSync(file, temporary);
  renameSync(temporary, path);
}

interface Dependency {
  readonly path: string;
  readonly hash: string;
}

interface StoredObject {
  readonly object: string;
  readonly dependencies: readonly Dependency[];
}

const MOST_PER_MANIFEST = 40;

function readManifest(path: string): StoredObject[] {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as StoredObject[];
  } catch {
    return [];
  }
}

function addToManifest(path: string, made: StoredObject): void {
  mkdirSync(dirname(path), { recursive: true });
  const entries = [made, ...readManifest(path)].slice(0, MOST_PER_MANIFEST);
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, JSON.stringify(entries));
  renameSync(temporary, path);
}

/** An object that was compiled with the same arguments from files of the same contents. */
function fromStore(session: Session, manifest: string, cwd: string): StoredObject | undefined {
  const hashes = new Map<string, string | undefined>();
  const hashOf = (path: string) => {
    if (!hashes.has(path)) {
      const full = resolve(cwd, local(path, session.tree));
      hashes.set(path, existsSync(full) ? hashFile(full) : undefined);
    }
    return hashes.get(path);
  };
  return readManifest(manifest).find(
    ({ object, dependencies }) =>
      existsSync(storedObject(session, object)) &&
      dependencies.every(({ path, hash }) => hashOf(path) === hash),
  );
}

/** Files of the tree that a dependency file of make names; the headers of the system do not change. */
function readDependencies(text: string, session: Session, cwd: string): Dependency[] {
  const names = text
    .replace(/\\\r?\n/g, ' ')
    .split(/\r?\n/)
    .flatMap((line) => line.replace(/^(?:[^ ]|\\ )*?:(?= |$)/, '').match(/(?:\\.|[^\s\\])+/g) ?? [])
    .map((name) => name.replace(/\\(.)/g, '$1'));
  const paths = [...new Set(names.map((name) => resolve(cwd, name)))].filter(existsSync);
  const { headers, cxxHeaders, resourceFolder, sysroot } = session.toolchain;
  const isSystem = (path: string) =>
    [headers, cxxHeaders, resourceFolder, sysroot].some(
      (folder) => folder !== undefined && isInside(path, folder),
    );
  return paths
    .filter((path) => !isSystem(path))
    .map((path) => ({ path: portable(path, session.tree), hash: hashFile(path) }));
}

function recordOf(
  session: Session,
  made: {
    cwd: string;
    source: string;
    target: string;
    flags: readonly string[];
    known: StoredObject;
    wasStored: boolean;
  },
): CompileRecord {
  const { tree } = session;
  return {
    kind: 'compile',
    cwd: relative(tree, made.cwd),
    source: inTree(resolve(made.cwd, made.source), tree),
    output: inTree(made.target, tree),
    given: portable(made.source, tree),
    flags: made.flags.map((flag) => portable(flag, tree)),
    dependencies: made.known.dependencies.map(({ path }) => path.replace('$TREE/', '')),
    object: made.known.object,
    wasStored: made.wasStored,
  };
}

/** Relative to the tree when it lies in it. */
export function inTree(path: string, tree: string): string {
  return isInside(path, tree) ? relative(tree, path) || basename(path) : path;
}
