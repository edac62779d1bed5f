import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { deserialize, serialize } from 'node:v8';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Exploration } from '../proof/index.js';
import { fileReason, UsageError } from './errors.js';
import type { ExploreFlags } from './explore-run.js';
import type { Explored } from './explore-threads.js';
import { readInput, writeOutput } from './files.js';
import { packageVersion } from './version.js';

const FORMAT = 'hotpatch-lab exploration';

interface CheckpointFile {
  readonly format: typeof FORMAT;
  /** What the exploration is of: option or file, and what it was. */
  readonly identity: readonly (readonly [what: string, value: string])[];
  /** By the operation's index: complete, or with a checkpoint in it. */
  readonly explorations: ReadonlyMap<number, Exploration>;
}

/** What `--checkpoint FILE` keeps: explorations that have ended before they were complete, and those that are. */
export class Checkpoint {
  readonly #identity: CheckpointFile['identity'];
  readonly #known: ReadonlyMap<number, Exploration>;
  readonly #isThere: boolean;

  /** @throws UsageError when the file is none, or of another exploration */
  constructor(
    private readonly path: string,
    file: string | undefined,
    flags: ExploreFlags,
  ) {
    if (!flags.reduction) throw new UsageError('--checkpoint: with --no-reduction nothing is kept');
    this.#identity = identityOf(file, flags);
    this.#isThere = existsSync(path);
    this.#known = this.#isThere ? this.#read() : new Map();
  }

  /** What is known of an operation. */
  of(index: number): Exploration | undefined {
    return this.#known.get(index);
  }

  /** Writes what is known, or takes the file away when there is nothing left to go on with. */
  keep(results: readonly Explored[]): void {
    if (results.every(({ exploration }) => exploration.complete)) {
      if (this.#isThere) rmSync(this.path, { force: true });
      return;
    }
    const explorations = new Map(results.map(({ operation, exploration }) => [operation.index, exploration]));
    const contents: CheckpointFile = { format: FORMAT, identity: this.#identity, explorations };
    writeOutput(this.path, gzipSync(serialize(contents), { level: 1 }));
  }

  #read(): ReadonlyMap<number, Exploration> {
    const contents = this.#contents();
    const own = new Map(this.#identity);
    for (const [what, value] of contents.identity) {
      const now = own.get(what);
      own.delete(what);
      if (now !== value) throw this.#isOfAnother(what, value, now);
    }
    for (const [what, value] of own) throw this.#isOfAnother(what, undefined, value);
    return contents.explorations;
  }

  #isOfAnother(what: string, then: string | undefined, now: string | undefined): UsageError {
    const isFile = [then, now].some((value) => value !== undefined && /^sha256 /.test(value));
    const difference =
      isFile && then !== undefined && now !== undefined
        ? `${what} has changed since`
        : `${what} was ${then ?? 'not given'} and is ${now ?? 'not given'}`;
    return new UsageError(
      `${this.path}: is the checkpoint of another exploration: ${difference}; name another file, or go on with what it was`,
    );
  }

  #contents(): CheckpointFile {
    const bytes = readOwn(this.path);
    try {
      const contents: unknown = deserialize(gunzipSync(bytes));
      if (isCheckpoint(contents)) return contents;
    } catch {
      // No gzip file, or not whole: said below.
    }
    throw new UsageError(`${this.path}: is no checkpoint of hotpatch explore`);
  }
}

/** Unlike other input it is written again. */
function readOwn(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UsageError(`${path}: ${fileReason(error, 'there is no such file')}`);
  }
}

function isCheckpoint(contents: unknown): contents is CheckpointFile {
  return (
    typeof contents === 'object' &&
    contents !== null &&
    'format' in contents &&
    contents.format === FORMAT &&
    'identity' in contents &&
    Array.isArray(contents.identity) &&
    'explorations' in contents &&
    contents.explorations instanceof Map
  );
}

/** Everything that decides what is found; not what ends the search. */
function identityOf(file: string | undefined, flags: ExploreFlags): CheckpointFile['identity'] {
  const { image, patch, with: others, symbols } = flags;
  const files = [
    ...(file === undefined ? [] : [['the scenario', file] as const]),
    ...(image === undefined ? [] : [['--image', image] as const]),
    ...patch.map((path, index) => [numbered('--patch', index, patch), path] as const),
    ...others.map((path, index) => [numbered('--with', index, others), path] as const),
    ...(symbols === undefined ? [] : [['--symbols', symbols] as const]),
  ];
  const lists = (['call', 'before'] as const).flatMap((name) =>
    flags[name].map((text, index) => [numbered(`--${name}`, index, flags[name]), `'${text}'`] as const),
  );
  const { cpus, protocol, fetch, mixture, hotPatchTableSize, calls, operation, processes } = flags;
  const options = { cpus, protocol, fetch, mixture, hotPatchTableSize, calls, operation, processes };
  return [
    ['the version', packageVersion()],
    ...files.map(([what, path]) => [what, `sha256 ${hashOf(path)}`] as const),
    ...lists,
    ...Object.entries(options).flatMap(([name, value]) =>
      value === undefined
        ? []
        : [[`--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`, `${value}`] as const],
    ),
  ];
}

const numbered = (name: string, index: number, all: readonly string[]): string =>
  all.length === 1 ? name : `${name} (number ${index + 1})`;

const hashOf = (path: string): string => createHash('sha256').update(readInput(path)).digest('hex');
