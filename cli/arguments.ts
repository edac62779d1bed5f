import { UsageError } from './errors.js';
import { readInput } from './files.js';

/** Bytes that the guest gets a pointer to. */
export interface PointerArgument {
  readonly bytes: Uint8Array;
  /** Show the bytes again after the call. */
  readonly printBack: boolean;
}

const LARGEST_BUFFER = 0x100_0000;

/** One argument of `hotpatch call`: a number, `"text"`, `@FILE`, `buf:N`. */
export function parseArgument(text: string): bigint | PointerArgument {
  if (text.length >= 2 && text.startsWith('"') && text.endsWith('"'))
    return { bytes: Buffer.from(`${text.slice(1, -1)}\0`, 'utf8'), printBack: false };
  if (text.startsWith('@')) return { bytes: readInput(text.slice(1)), printBack: false };
  if (text.startsWith('buf:')) return { bytes: new Uint8Array(bufferSize(text)), printBack: true };
  return parseNumber(text);
}

function bufferSize(text: string): number {
  const size = Number(text.slice('buf:'.length) || Number.NaN);
  if (!Number.isInteger(size) || size < 0 || size > LARGEST_BUFFER)
    throw new UsageError(`argument '${text}': write buf:N with N from 0 to 0x${LARGEST_BUFFER.toString(16)}`);
  return size;
}

function parseNumber(text: string): bigint {
  const match = /^(-?)(0x[0-9a-f]+|\d+)$/i.exec(text);
  if (match === null)
    throw new UsageError(
      `argument '${text}' is neither a number, a "text" in double quotes, @FILE nor buf:N`,
    );
  const magnitude = BigInt(match[2] ?? '0');
  const value = match[1] === '-' ? -magnitude : magnitude;
  if (BigInt.asUintN(64, value) !== value && BigInt.asIntN(64, value) !== value)
    throw new UsageError(`argument '${text}' does not fit into 64 bits`);
  return value;
}

/**
 * The words of a call in one text, as a shell would split them: `F 1 "two words" @file buf:16`. A word in double quotes keeps
 * them, because it is a text for the guest; `\\"` and `\\\\` in it are a quote and a backslash. Single quotes hold a word together.
 */
export function callWords(call: string): string[] {
  return (call.match(/"(?:\\.|[^"\\])*"|'[^']*'|[^\s"']+/g) ?? []).map((word) =>
    word.startsWith("'") ? word.slice(1, -1) : word.startsWith('"') ? word.replace(/\\(["\\])/g, '$1') : word,
  );
}
