import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { UsageError } from './errors.js';

/**
 * Everything in a file that the user named.
 * @throws UsageError when it is not there, is a folder, or may not be read
 */
export function readInput(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UsageError(`${path}: ${reason(error, 'there is no such file')}`);
  }
}

/**
 * Writes a file that the user named.
 * @throws UsageError when that is impossible
 */
export function writeOutput(path: string, contents: Uint8Array | string): void {
  try {
    writeFileSync(path, contents);
  } catch (error) {
    throw new UsageError(
      `${path}: cannot be written: ${reason(error, `there is no folder ${dirname(path)}`)}`,
    );
  }
}

/**
 * Refuses to write over a file that is being read.
 * @throws UsageError naming both
 */
export function assertNotAnInput(out: string, inputs: readonly string[]): void {
  const input = inputs.find((path) => isSameFile(path, out));
  if (input !== undefined) throw new UsageError(`${out}: would be written over ${input}, which is an input`);
}

function isSameFile(a: string, b: string): boolean {
  if (resolve(a) === resolve(b)) return true;
  const [left, right] = [a, b].map((path) => statSync(path, { throwIfNoEntry: false }));
  return left !== undefined && right !== undefined && left.dev === right.dev && left.ino === right.ino;
}

function reason(error: unknown, absent: string): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT' || code === 'ENOTDIR') return absent;
  if (code === 'EISDIR') return 'is a folder, not a file';
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied';
  return error instanceof Error ? error.message : String(error);
}
