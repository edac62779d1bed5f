import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageArchitecture } from '../../image/index.js';
import type { Toolchain } from './toolchain.js';

/** The environment variable that tells the wrappers where the session file is. */
export const SESSION_VARIABLE = 'HOTPATCH_SESSION';

/** What the wrappers of one build need to know; a JSON file. */
export interface Session {
  readonly architecture: ImageArchitecture;
  readonly toolchain: Toolchain;
  /** Root of the tree that is built, absolute and real. */
  readonly tree: string;
  /** Where each call leaves a record. */
  readonly records: string;
  /** Objects by the hash of their contents, and what they were made from. */
  readonly store: string;
  /** The runtime's archive and the import libraries. */
  readonly libraries: string;
  readonly isDriver: boolean;
  /** More flags for every compilation. */
  readonly flags: readonly string[];
}

/** One object file that was compiled. */
export interface CompileRecord {
  readonly kind: 'compile';
  /** All paths are relative to the tree where they lie in it. */
  readonly cwd: string;
  readonly source: string;
  readonly output: string;
  /** The source as the compiler was given it, and the program's own flags; the tree is written as `$TREE`. */
  readonly given: string;
  readonly flags: readonly string[];
  /** Files of the tree that it was made from. */
  readonly dependencies: readonly string[];
  /** SHA-256 of the object, which the store has. */
  readonly object: string;
  readonly wasStored: boolean;
}

/** One image that was linked. */
export interface LinkRecord {
  readonly kind: 'link';
  readonly cwd: string;
  readonly output: string;
  readonly isDll: boolean;
  /** Objects, archives, definition files and `-lNAME`, in order; relative to the tree where they lie in it. */
  readonly inputs: readonly string[];
  readonly flags: readonly string[];
}

export type BuildRecord = CompileRecord | LinkRecord;

export function writeSession(path: string, session: Session): void {
  writeFileSync(path, JSON.stringify(session));
}

/** The session that a wrapper belongs to; undefined when it was called outside of a build. */
export function readSession(environment: NodeJS.ProcessEnv = process.env): Session | undefined {
  const path = environment[SESSION_VARIABLE];
  return path === undefined || path === '' ? undefined : (JSON.parse(readFileSync(path, 'utf8')) as Session);
}

let written = 0;

/** Adds a record; the name keeps the order in which calls ended. */
export function addRecord(session: Session, record: BuildRecord): void {
  mkdirSync(session.records, { recursive: true });
  const [seconds, nanoseconds] = [Date.now(), process.hrtime.bigint()];
  const name = `${seconds}-${String(nanoseconds).padStart(20, '0')}-${process.pid}-${written++}.json`;
  writeFileSync(join(session.records, name), JSON.stringify(record));
}

export function readRecords(folder: string): BuildRecord[] {
  let names: string[];
  try {
    names = readdirSync(folder).sort();
  } catch {
    return [];
  }
  return names.map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as BuildRecord);
}

/** Writes a path of the tree as one of any tree, and back. */
export function portable(text: string, tree: string): string {
  return text.split(tree).join('$TREE');
}

export function local(text: string, tree: string): string {
  return text.split('$TREE').join(tree);
}
