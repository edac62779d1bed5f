import { createHash } from 'node:crypto';
import {
  constants,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { MakeError } from './error.js';
import { isCFamily, withStableLines } from './line-directives.js';
import { applyHunks, type FilePatch, parsePatch } from './patch-file.js';

/** Folders of version control: no build reads them, and they may be larger than the rest. */
const LEFT_OUT = new Set(['.git', '.hg', '.svn', '.pc']);

/** Every file and symbolic link below a folder, relative to it, sorted. */
export function listTree(root: string): string[] {
  const found: string[] = [];
  const walk = (folder: string, prefix: string) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (LEFT_OUT.has(entry.name)) continue;
      const path = `${prefix}${entry.name}`;
      if (entry.isDirectory()) walk(join(folder, entry.name), `${path}/`);
      else if (entry.isFile() || entry.isSymbolicLink()) found.push(path);
    }
  };
  walk(root, '');
  return found.sort();
}

/** Of the names and contents of everything in a tree. */
export function hashTree(root: string): string {
  const hash = createHash('sha256');
  for (const path of listTree(root)) {
    const full = join(root, path);
    hash.update(`${path}\0`);
    hash.update(lstatSync(full).isSymbolicLink() ? `-> ${readlinkSync(full)}` : hashFile(full));
  }
  return hash.digest('hex');
}

export function hashFile(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

export function hashText(...texts: readonly string[]): string {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(`${text.length}:${text}`);
  return hash.digest('hex');
}

/** Copies a tree with its time stamps, so that make does not build again what is built. */
export function copyTree(from: string, to: string): void {
  for (const path of listTree(from)) copyEntry(join(from, path), join(to, path));
}

function copyEntry(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  const stat = lstatSync(from);
  if (stat.isSymbolicLink()) {
    symlinkSync(readlinkSync(from), to);
    return;
  }
  copyFileSync(from, to, constants.COPYFILE_FICLONE);
  utimesSync(to, stat.atime, stat.mtime);
}

/** What a tree looks like without reading it: to see that nobody wrote into it. */
export function fingerprint(root: string): string {
  const lines = listTree(root).map((path) => {
    const { size, mtimeMs } = lstatSync(join(root, path));
    return `${path} ${size} ${mtimeMs}`;
  });
  return hashText(...lines);
}

/** Is `path` in `folder`, or the folder itself? */
export function isInside(path: string, folder: string): boolean {
  const between = relative(resolve(folder), resolve(path));
  return between === '' || (!between.startsWith(`..${sep}`) && between !== '..');
}

export interface PatchInput {
  readonly name: string;
  readonly text: string;
}

/** One file that a patch changed in a tree. */
export interface PatchedFile {
  /** Relative to the tree. */
  readonly path: string;
  readonly before?: string;
  readonly after?: string;
}

export interface ApplyOptions {
  /** Keep `__LINE__` of what follows a change, by `#line`. Default true. */
  readonly stableLines?: boolean;
}

/**
 * Applies patches to a tree in order. Nothing is written before everything is known to apply.
 * @throws MakeError `patch.format`, `patch.apply`, `patch.escape`
 */
export function applyPatches(
  root: string,
  patches: readonly PatchInput[],
  { stableLines = true }: ApplyOptions = {},
): PatchedFile[] {
  const state = new Map<string, FileState>();
  const stateOf = (path: string): FileState => {
    const known = state.get(path);
    if (known !== undefined) return known;
    const full = join(root, path);
    const text = existsSync(full) ? readFileSync(full, 'latin1') : undefined;
    return { before: text, after: text, origins: undefined };
  };
  for (const { name, text } of patches)
    for (const patch of parsePatch(text, name)) {
      const path = locate(root, patch, name, (candidate) => stateOf(candidate).after !== undefined);
      const from = stateOf(path.from);
      const patched = applyHunks(
        patch.oldPath === undefined ? '' : (from.after ?? ''),
        patch,
        `${name}: ${path.from}`,
      );
      if (patch.newPath === undefined || path.from !== path.to)
        state.set(path.from, { ...from, after: undefined });
      if (patch.newPath === undefined) continue;
      const { origins } = from;
      state.set(path.to, {
        before: stateOf(path.to).before,
        after: plain(patched),
        origins:
          origins === undefined
            ? patched.origins
            : patched.origins.map((i) => (i < 0 ? -1 : (origins[i] ?? -1))),
      });
    }
  const files = [...state].map(([path, { before, after, origins }]): PatchedFile => {
    const text = after !== undefined && stableLines && isCFamily(path) ? stable(after, origins) : after;
    return {
      path,
      ...(before === undefined ? {} : { before }),
      ...(text === undefined ? {} : { after: text }),
    };
  });
  for (const { path, after } of files) write(root, path, after);
  return files;
}

interface FileState {
  readonly before: string | undefined;
  readonly after: string | undefined;
  /** For each line of `after` its index in `before`; undefined: they are the same. */
  readonly origins: readonly number[] | undefined;
}

function stable(text: string, origins: readonly number[] | undefined): string {
  if (origins === undefined) return text;
  const endsWithNewline = text.endsWith('\n');
  const lines = (endsWithNewline ? text.slice(0, -1) : text).split('\n');
  return withStableLines({ lines, endsWithNewline, origins });
}

function plain({ lines, endsWithNewline }: ReturnType<typeof applyHunks>): string {
  return lines.join('\n') + (endsWithNewline && lines.length > 0 ? '\n' : '');
}

/** Puts the files back that a patch changed. */
export function unapply(root: string, files: readonly PatchedFile[]): void {
  for (const { path, before } of files) write(root, path, before);
}

function write(root: string, path: string, text: string | undefined): void {
  const full = join(root, path);
  // A hard or symbolic link is replaced, not written through: it may lead out of the tree.
  rmSync(full, { force: true });
  if (text === undefined) return;
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, text, 'latin1');
}

/** How many leading parts of its paths a patch has too many: whichever makes its files exist. */
function locate(
  root: string,
  patch: FilePatch,
  name: string,
  exists: (path: string) => boolean,
): { from: string; to: string } {
  const source = patch.oldPath ?? patch.newPath ?? '';
  const target = patch.newPath ?? source;
  // `diff -u demo.c fixed.c`: the file that is there is the one that is meant.
  const pairs: [string, string][] = patch.isRename
    ? [[source, target]]
    : [
        [source, source],
        [target, target],
      ];
  const [first] = pairs.flatMap(([a, b]) =>
    [1, 0, 2, 3]
      .map((count) => ({ from: strip(a, count), to: strip(b, count) }))
      .filter(({ from, to }) => from !== undefined && to !== undefined)
      .filter(({ from }) => patch.oldPath === undefined || exists(from ?? '')),
  );
  const beside = [...new Set([source, target])].map((path) => basename(path)).find((file) => exists(file));
  const found = first ?? (beside === undefined ? undefined : { from: beside, to: beside });
  if (found?.from === undefined || found.to === undefined)
    throw new MakeError({
      rule: 'patch.apply',
      message: `${name}:${patch.at}: the source has no file ${source}`,
      hint: 'give the folder that the paths of the patch begin in, with or without their first part (a/, b/)',
    });
  for (const path of [found.from, found.to]) assertInside(root, path, name);
  return { from: found.from, to: found.to };
}

function strip(path: string, count: number): string | undefined {
  const parts = path.split('/').filter((part) => part !== '.');
  return parts.length > count ? parts.slice(count).join('/') : undefined;
}

function assertInside(root: string, path: string, name: string): void {
  const full = resolve(root, path);
  const parent = dirname(full);
  const real = existsSync(parent) ? realpathSync(parent) : parent;
  if (isInside(full, root) && (isInside(real, realpathSync(root)) || !existsSync(parent))) return;
  throw new MakeError({
    rule: 'patch.escape',
    message: `${name}: ${path} lies outside the source tree`,
    hint: 'a patch may only change files of the tree that it is for',
  });
}

/** @throws MakeError `input` when it is not there */
export function kindOf(path: string): 'folder' | 'file' {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw new MakeError({ rule: 'input', message: `${path}: there is no such file` });
  return stat.isDirectory() ? 'folder' : 'file';
}
