import type { PatchedText } from './patch-file.js';

/** Is it a file in which `#line` means something? */
export function isCFamily(path: string): boolean {
  return /\.(?:c|h|cc|cpp|cxx|c\+\+|hh|hpp|hxx|inc|inl|def)$/i.test(path);
}

/**
 * The text of a patched file, with a `#line` after each run of changed lines that moved what follows: `__LINE__` in
 * functions that the patch leaves alone keeps its value, so that they compile to the same code.
 */
export function withStableLines(patched: PatchedText): string {
  const { lines } = patched;
  const places = directivePlaces(lines, changesOf(patched.origins));
  const text = lines.flatMap((line, i) => {
    const number = places.get(i);
    return number === undefined ? [line] : [`#line ${number}`, line];
  });
  return text.join('\n') + (patched.endsWithNewline && text.length > 0 ? '\n' : '');
}

/** Where lines of the old file follow that were not moved by as much as those before them. */
interface Change {
  /** Index of the first such line in the new file. */
  readonly after: number;
  /** Its one-based number in the old file. */
  readonly oldLine: number;
}

function changesOf(origins: readonly number[]): Change[] {
  return origins.flatMap((origin, i) => {
    const before = i === 0 ? -1 : (origins[i - 1] ?? -1);
    const isFirst = origin >= 0 && (i === 0 ? origin > 0 : before !== origin - 1);
    return isFirst ? [{ after: i, oldLine: origin + 1 }] : [];
  });
}

/** Index of a line → the number that it shall have. */
function directivePlaces(lines: readonly string[], changes: readonly Change[]): Map<number, number> {
  const safe = safeLines(lines);
  const places = new Map<number, number>();
  for (const [index, { after, oldLine }] of changes.entries()) {
    const end = changes[index + 1]?.after ?? lines.length;
    for (let at = after; at < Math.min(end, lines.length); at++) {
      if (safe[at] !== true) continue;
      const number = oldLine + (at - after);
      if (number !== numberAt(places, at)) places.set(at, number);
      break;
    }
  }
  return places;
}

/** The number that a line has with the directives that were placed so far. */
function numberAt(places: ReadonlyMap<number, number>, at: number): number {
  let number = at + 1;
  for (const [place, given] of places) if (place <= at) number = given + (at - place);
  return number;
}

/**
 * Before which lines can a directive stand? Not inside a comment, a string, a continued line, or between parentheses,
 * where it might be among the arguments of a macro.
 */
function safeLines(lines: readonly string[]): boolean[] {
  let inComment = false;
  let depth = 0;
  let isContinued = false;
  let inDirective = false;
  return lines.map((raw) => {
    const line = raw.replace(/\r$/, '');
    // A brace in the first column begins or ends a function: whatever #if has done to the parentheses is over.
    if (!inComment && !isContinued && /^[{}]/.test(line)) depth = 0;
    const isSafe = !inComment && !isContinued && depth === 0;
    inDirective = isContinued ? inDirective : !inComment && /^\s*#/.test(line);
    for (let i = 0; i < line.length; i++) {
      if (inComment) {
        if (line.startsWith('*/', i)) {
          inComment = false;
          i++;
        }
        continue;
      }
      if (line.startsWith('//', i)) break;
      if (line.startsWith('/*', i)) {
        inComment = true;
        i++;
        continue;
      }
      const character = line[i];
      if (character === '"' || character === "'") i = endOfLiteral(line, i, character);
      else if (!inDirective && character === '(') depth++;
      else if (!inDirective && character === ')') depth = Math.max(0, depth - 1);
    }
    isContinued = line.endsWith('\\');
    return isSafe;
  });
}

function endOfLiteral(line: string, start: number, quote: string): number {
  for (let i = start + 1; i < line.length; i++) {
    if (line[i] === '\\') i++;
    else if (line[i] === quote) return i;
  }
  return line.length;
}
