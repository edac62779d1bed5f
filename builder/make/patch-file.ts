import { MakeError } from './error.js';

/** A run of lines of one file as a unified diff gives it. */
export interface Hunk {
  /** One-based line of the old file where it begins; 0 for a file that is new. */
  readonly oldStart: number;
  readonly oldLines: number;
  readonly newLines: number;
  /** Each with its first character: ` `, `-` or `+`. */
  readonly lines: readonly string[];
  /** One-based line of the patch file. */
  readonly at: number;
  readonly oldEndsWithoutNewline: boolean;
  readonly newEndsWithoutNewline: boolean;
}

export interface FilePatch {
  /** Undefined: the patch makes the file. */
  readonly oldPath?: string;
  /** Undefined: the patch removes the file. */
  readonly newPath?: string;
  /** git says that the file moves; otherwise two names mean one file. */
  readonly isRename: boolean;
  readonly hunks: readonly Hunk[];
  /** One-based line of the patch file. */
  readonly at: number;
}

/** `@@ -12,7 +12,8 @@` */
const HUNK = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/;

/**
 * Reads a unified diff, as `diff -u`, `git diff` and Debian's patches are; text between the parts is passed over.
 * @throws MakeError `patch.format` with the line
 */
export function parsePatch(text: string, file?: string): FilePatch[] {
  const lines = text.replace(/\r\n/g, '\n').split('\n');
  const patches: FilePatch[] = [];
  const fail = (at: number, message: string): never => {
    throw new MakeError({
      rule: 'patch.format',
      message: `${file ?? 'patch'}:${at + 1}: ${message}`,
      hint: 'give a unified diff: diff -u, git diff, or a patch of debian/patches',
    });
  };
  let i = 0;
  let renamed: { from?: string; to?: string } = {};
  while (i < lines.length) {
    const line = lines[i] ?? '';
    if (line.startsWith('diff --git ')) renamed = {};
    if (line.startsWith('rename from ')) renamed.from = line.slice(12);
    if (line.startsWith('rename to ')) renamed.to = line.slice(10);
    if (line.startsWith('GIT binary patch')) fail(i, 'a binary patch cannot be applied');
    if (!line.startsWith('--- ') || !(lines[i + 1] ?? '').startsWith('+++ ')) {
      if (HUNK.test(line)) fail(i, 'a hunk without ---, +++ before it');
      i++;
      continue;
    }
    const at = i + 1;
    const oldPath = pathOf(line.slice(4));
    const newPath = pathOf((lines[i + 1] ?? '').slice(4));
    i += 2;
    const hunks: Hunk[] = [];
    while (HUNK.test(lines[i] ?? '')) {
      const read = readHunk(lines, i, fail);
      hunks.push(read.hunk);
      i = read.next;
    }
    if (hunks.length === 0) fail(i, `${newPath ?? oldPath}: no hunk follows`);
    patches.push({
      ...(oldPath === undefined
        ? {}
        : { oldPath: renamed.from === undefined ? oldPath : `a/${renamed.from}` }),
      ...(newPath === undefined ? {} : { newPath: renamed.to === undefined ? newPath : `b/${renamed.to}` }),
      isRename: renamed.to !== undefined,
      hunks,
      at,
    });
    renamed = {};
  }
  if (patches.length === 0) fail(0, 'it holds no change: no ---, +++ and @@ lines');
  return patches;
}

function readHunk(
  lines: readonly string[],
  at: number,
  fail: (at: number, message: string) => never,
): { hunk: Hunk; next: number } {
  const match = HUNK.exec(lines[at] ?? '');
  const count = (text: string | undefined) => (text === undefined ? 1 : Number(text));
  const oldLines = count(match?.[2]);
  const newLines = count(match?.[4]);
  const taken: string[] = [];
  let olds = 0;
  let news = 0;
  let oldEndsWithoutNewline = false;
  let newEndsWithoutNewline = false;
  let i = at + 1;
  for (; olds < oldLines || news < newLines || (lines[i] ?? '').startsWith('\\'); i++) {
    const line = lines[i];
    if (line === undefined) return fail(i - 1, `the hunk ends early: ${olds} of ${oldLines} old lines`);
    if (line.startsWith('\\')) {
      const last = taken.at(-1)?.[0];
      if (last !== '+') oldEndsWithoutNewline = true;
      if (last !== '-') newEndsWithoutNewline = true;
      continue;
    }
    // Mailers and editors take the space away from an empty line of context.
    const full = line === '' ? ' ' : line;
    const sign = full[0];
    if (sign !== ' ' && sign !== '-' && sign !== '+') return fail(i, `not a line of a hunk: ${line}`);
    if (sign !== '+') olds++;
    if (sign !== '-') news++;
    taken.push(full);
  }
  const oldStart = Number(match?.[1]);
  return {
    hunk: {
      oldStart,
      oldLines,
      newLines,
      lines: taken,
      at: at + 1,
      oldEndsWithoutNewline,
      newEndsWithoutNewline,
    },
    next: i,
  };
}

/** Without the time stamp that diff writes behind a tab; undefined for /dev/null. */
function pathOf(text: string): string | undefined {
  const path = (text.split('\t')[0] ?? '').replace(/ +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d.*$/, '').trim();
  const unquoted = /^"(.*)"$/.exec(path)?.[1] ?? path;
  return unquoted === '/dev/null' ? undefined : unquoted;
}

/** What became of a file. */
export interface PatchedText {
  readonly lines: readonly string[];
  readonly endsWithNewline: boolean;
  /** For each line its index in the old file; -1: the patch brings it. */
  readonly origins: readonly number[];
}

const LARGEST_FUZZ = 2;

/**
 * Applies hunks to a text. A hunk may lie elsewhere than it says; up to two lines of context at its ends may differ.
 * @throws MakeError `patch.apply` with the hunk
 */
export function applyHunks(text: string, patch: FilePatch, name: string): PatchedText {
  const endsWithNewline = text === '' || text.endsWith('\n');
  const old = text === '' ? [] : (endsWithNewline ? text.slice(0, -1) : text).split('\n');
  const carriage = old.length > 0 && old.every((line) => line.endsWith('\r'));
  const lines: string[] = [];
  const origins: number[] = [];
  const take = (first: number, end: number) => {
    for (let i = first; i < end; i++) {
      lines.push(old[i] ?? '');
      origins.push(i);
    }
  };
  let from = 0;
  let drift = 0;
  let newline = endsWithNewline;
  for (const [index, hunk] of patch.hunks.entries()) {
    const place = findHunk(old, hunk, from, drift);
    if (place === undefined)
      throw new MakeError({
        rule: 'patch.apply',
        message: `${name}: hunk ${index + 1} of ${patch.hunks.length} (line ${hunk.at} of the patch, for line ${hunk.oldStart}) does not apply`,
        hint: isApplied(old, hunk)
          ? 'its new lines are there already: the patch has been applied to this source'
          : 'the source is another version than the patch is for',
      });
    const { at, skip } = place;
    drift = at - skip - (hunk.oldStart - 1);
    take(from, at);
    let position = at;
    for (const line of hunk.lines.slice(skip, hunk.lines.length - place.skipEnd)) {
      if (line.startsWith(' ')) {
        take(position, position + 1);
        position++;
      } else if (line.startsWith('-')) position++;
      else {
        lines.push(carriage ? `${line.slice(1)}\r` : line.slice(1));
        origins.push(-1);
      }
    }
    from = position;
    if (from >= old.length && (hunk.newEndsWithoutNewline || hunk.oldEndsWithoutNewline))
      newline = !hunk.newEndsWithoutNewline;
  }
  take(from, old.length);
  return { lines, endsWithNewline: newline, origins };
}

interface HunkPlace {
  /** Index in the old lines. */
  readonly at: number;
  /** Lines of context left out at its beginning and its end. */
  readonly skip: number;
  readonly skipEnd: number;
}

function findHunk(old: readonly string[], hunk: Hunk, from: number, drift: number): HunkPlace | undefined {
  const wanted = hunk.lines.filter((line) => !line.startsWith('+')).map((line) => line.slice(1));
  const leading = hunk.lines.findIndex((line) => !line.startsWith(' '));
  const trailing = [...hunk.lines].reverse().findIndex((line) => !line.startsWith(' '));
  if (wanted.length === 0) {
    const at = hunk.oldStart === 0 ? 0 : hunk.oldStart + drift;
    return at >= from && at <= old.length ? { at, skip: 0, skipEnd: 0 } : undefined;
  }
  for (let fuzz = 0; fuzz <= LARGEST_FUZZ; fuzz++) {
    const skip = Math.min(fuzz, Math.max(0, leading));
    const skipEnd = Math.min(fuzz, Math.max(0, trailing));
    if (fuzz > 0 && skip === 0 && skipEnd === 0) break;
    const part = wanted.slice(skip, wanted.length - skipEnd);
    const expected = hunk.oldStart - 1 + drift + skip;
    for (let distance = 0; distance <= old.length; distance++) {
      for (const at of distance === 0 ? [expected] : [expected - distance, expected + distance])
        if (at >= from && at + part.length <= old.length && isAt(old, part, at)) return { at, skip, skipEnd };
    }
  }
  return undefined;
}

function isAt(old: readonly string[], part: readonly string[], at: number): boolean {
  return part.every((line, i) => same(old[at + i] ?? '', line));
}

/** A carriage return at the end counts for nothing: a patch may have lost it. */
function same(a: string, b: string): boolean {
  return a === b || a.replace(/\r$/, '') === b.replace(/\r$/, '');
}

function isApplied(old: readonly string[], hunk: Hunk): boolean {
  const added = hunk.lines.filter((line) => !line.startsWith('-')).map((line) => line.slice(1));
  return added.length > 0 && old.some((_, at) => isAt(old, added, at));
}
