import {
  accessSync,
  constants,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileReason, UsageError } from './errors.js';
import { interruption } from './interruption.js';

/** What the command has read, and what it is going to write: nothing may be both, and nothing be written twice. */
const inputs = new Set<string>();
const outputs = new Set<string>();

/** A new command: it has read nothing yet. */
export function beginFiles(): void {
  inputs.clear();
  outputs.clear();
}

/**
 * A file that the command reads by itself, such as the symbols beside an image.
 * @throws UsageError when it is going to be written over
 */
export function noteInput(path: string | undefined): void {
  if (path === undefined) return;
  for (const out of outputs) assertNotAnInput(out, [path]);
  inputs.add(path);
}

/**
 * Everything in a file that the user named.
 * @throws UsageError when it is not there, is a folder, or may not be read
 */
export function readInput(path: string): Uint8Array {
  noteInput(path);
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UsageError(`${path}: ${fileReason(error, 'there is no such file')}`);
  }
}

/**
 * Writes a file that the user named: whole or not at all, under another name first. What is no regular file (a pipe,
 * /dev/null) is written as it is.
 * @throws UsageError when that is impossible, or when the command has read the file; a file that was there is as it was
 */
export function writeOutput(path: string, contents: Uint8Array | string): void {
  assertNotAnInput(path, [...inputs]);
  try {
    const target = realPath(path);
    const known = statusOf(target);
    if (known !== undefined && !known.isFile()) {
      writeFileSync(target, contents);
      interruption.keep(path);
      return;
    }
    if (known !== undefined) accessSync(target, constants.W_OK);
    const temporary = temporaryName(target);
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
    throw cannotBeWritten(path, error);
  }
}

/**
 * Long work should not find out at its end that its result cannot be written, or would be written over what it has read.
 * @throws UsageError
 */
export function assertOutput(out: string, inputs: readonly (string | undefined)[]): void {
  assertNotAnInput(out, inputs);
  const other = [...outputs].find((path) => isSameFile(path, out));
  if (other !== undefined) throw new UsageError(`${out}: is written by two options`);
  assertWritable(out);
  outputs.add(out);
}

function assertWritable(path: string): void {
  try {
    const target = realPath(path);
    const known = statusOf(target);
    if (known?.isDirectory() === true) throw Object.assign(new Error(), { code: 'EISDIR' });
    if (known === undefined || known.isFile()) tryFolder(target);
    if (known !== undefined) accessSync(target, constants.W_OK);
    interruption.await(path);
  } catch (error) {
    throw cannotBeWritten(path, error);
  }
}

const temporaryName = (path: string): string => join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);

/** Permissions do not say whether a file can be made: root has them all. */
function tryFolder(path: string): void {
  const temporary = temporaryName(path);
  writeFileSync(temporary, '', { flag: 'wx' });
  rmSync(temporary);
}

function cannotBeWritten(path: string, error: unknown): UsageError {
  const folder = dirname(path);
  const absent = statusOf(folder)?.isDirectory()
    ? `no file can be made in ${folder}`
    : `there is no folder ${folder}`;
  return new UsageError(`${path}: cannot be written: ${fileReason(error, absent)}`);
}

/**
 * Makes the folder that a command writes several files into.
 * @throws UsageError
 */
export function makeOutputFolder(path: string): void {
  try {
    makeFolders(resolve(path));
    accessSync(path, constants.W_OK);
  } catch (error) {
    const isFile = statusOf(path)?.isFile() === true;
    throw isFile
      ? new UsageError(`${path}: cannot be written: is a file, not a folder`)
      : cannotBeWritten(path, error);
  }
}

/** One by one: Node's own `recursive` never ends where no folder can be made, as in /proc. */
function makeFolders(path: string): void {
  if (statusOf(path)?.isDirectory()) return;
  if (dirname(path) !== path && statusOf(dirname(path)) === undefined) makeFolders(dirname(path));
  mkdirSync(path);
}

/** Undefined for what is not there, whichever part of the path is missing. */
function statusOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/** Of the file that a link leads to, and of one that is yet to be made. */
function realPath(path: string): string {
  const target = resolve(path);
  return statusOf(target) === undefined ? target : realpathSync(target);
}

/**
 * Refuses to write over a file that is being read.
 * @throws UsageError naming both
 */
function assertNotAnInput(out: string, read: readonly (string | undefined)[]): void {
  const input = read.find((path) => path !== undefined && isSameFile(path, out));
  if (input !== undefined) throw new UsageError(`${out}: would be written over ${input}, which is an input`);
}

function isSameFile(a: string, b: string): boolean {
  if (resolve(a) === resolve(b)) return true;
  const [left, right] = [a, b].map(statusOf);
  return left !== undefined && right !== undefined && left.dev === right.dev && left.ino === right.ino;
}
