import {
  accessSync,
  constants,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { UsageError } from './errors.js';
import { interruption } from './interruption.js';

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
 * Writes a file that the user named: whole or not at all, under another name first. What is no regular file (a pipe,
 * /dev/null) is written as it is.
 * @throws UsageError when that is impossible; nothing is left then, and a file that was there is as it was
 */
export function writeOutput(path: string, contents: Uint8Array | string): void {
  try {
    const target = realPath(path);
    const known = statSync(target, { throwIfNoEntry: false });
    if (known !== undefined && !known.isFile()) {
      writeFileSync(target, contents);
      interruption.keep(path);
      return;
    }
    if (known !== undefined) accessSync(target, constants.W_OK);
    const temporary = join(dirname(target), `.${basename(target)}.${process.pid}.tmp`);
    interruption.temporary(temporary);
    try {
      writeFileSync(temporary, contents, known === undefined ? {} : { mode: known.mode });
      renameSync(temporary, target);
      interruption.keep(path);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    } finally {
      interruption.temporary(undefined);
    }
  } catch (error) {
    throw new UsageError(
      `${path}: cannot be written: ${reason(error, `there is no folder ${dirname(path)}`)}`,
    );
  }
}

/**
 * Long work should not find out at its end that its result cannot be written, or would be written over what it has read.
 * @throws UsageError
 */
export function assertOutput(out: string, inputs: readonly string[]): void {
  assertNotAnInput(out, inputs);
  assertWritable(out);
}

function assertWritable(path: string): void {
  try {
    const target = realPath(path);
    const known = statSync(target, { throwIfNoEntry: false });
    if (known?.isDirectory() === true) throw Object.assign(new Error(), { code: 'EISDIR' });
    accessSync(known === undefined ? dirname(target) : target, constants.W_OK);
    interruption.await(path);
  } catch (error) {
    throw new UsageError(
      `${path}: cannot be written: ${reason(error, `there is no folder ${dirname(path)}`)}`,
    );
  }
}

/** Of the file that a link leads to, and of one that is yet to be made. */
function realPath(path: string): string {
  const target = resolve(path);
  return statSync(target, { throwIfNoEntry: false }) === undefined ? target : realpathSync(target);
}

/**
 * Refuses to write over a file that is being read.
 * @throws UsageError naming both
 */
function assertNotAnInput(out: string, inputs: readonly string[]): void {
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
  if (code === 'ENOSPC') return 'no space left on the disk';
  if (code === 'EROFS') return 'the file system is read-only';
  return error instanceof Error ? error.message : String(error);
}
