import { createHash } from 'node:crypto';
import { type NtStatus, ntStatus } from '../../image/index.js';
import { type FileSystem, KernelError, type PendingRename } from '../../loader/index.js';

/** A file that a hotfix replaces. */
export interface ReplacedFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

interface Staged extends ReplacedFile {
  /** The new file, for the next boot to put in place. */
  readonly atBoot: string;
  /** The same once more, to change names with the old file; that is what it is then. */
  readonly besides: string | undefined;
}

/**
 * The new files of one hotfix on their way to their names. Whenever the power fails, the next boot has all of them or none
 * (modelled: that hotfixes used PendingFileRenameOperations and AtomicSwap is public, how they combined them is not):
 *
 * 1. `stage`: the new files are written under names that are free, and the registry has them deleted by the next boot.
 * 2. Then one change of the registry. From here on the next boot puts all of them in place, instead of what earlier
 *    hotfixes wanted there.
 * 3. `putInPlace`: while the system runs, where that is possible: by an exchange of names, or by a rename
 *    over a file that nobody has open.
 * 4. `finish`: the next boot has no more to do for those, but to delete what is still in use.
 */
class Replacement {
  readonly #staged: readonly Staged[];
  readonly #done = new Set<string>();

  constructor(
    private readonly disk: FileSystem,
    files: readonly ReplacedFile[],
    /** Are names to be exchanged, so that a second copy of each file is needed? */
    exchanges: boolean,
  ) {
    const taken = new Set(disk.pendingRenames.map(({ from }) => from.toLowerCase()));
    this.#staged = files.map((file) => ({
      ...file,
      atBoot: freeName(disk, file.path, 'boot', taken),
      besides: exchanges ? freeName(disk, file.path, 'new', taken) : undefined,
    }));
  }

  /** @throws KernelError when the disk refuses a file; nothing is left of it then */
  stage(): void {
    if (this.#staged.length === 0) return;
    try {
      this.#setPending([...this.disk.pendingRenames, ...this.#names.map((from) => ({ from }))]);
      for (const { atBoot, besides, bytes } of this.#staged)
        for (const name of [atBoot, besides]) if (name !== undefined) this.disk.write(name, bytes);
      this.#commit();
    } catch (error) {
      // When the power has failed nobody is there to do so.
      if (error instanceof KernelError) attempt(() => this.#dispose());
      throw error;
    }
  }

  /** Puts one file in place while the system runs. @returns why not, where that is refused */
  putInPlace(path: string, exchange?: (path: string, besides: string) => NtStatus): NtStatus {
    const staged = this.#staged.find((file) => file.path === path);
    if (staged === undefined) return ntStatus('STATUS_OBJECT_NAME_NOT_FOUND');
    const { atBoot, besides } = staged;
    try {
      let status = ntStatus('STATUS_SUCCESS');
      if (exchange !== undefined && besides !== undefined && this.disk.exists(path))
        status = exchange(path, besides);
      else this.disk.replace(atBoot, path);
      if (status.name === 'STATUS_SUCCESS') this.#done.add(path);
      return status;
    } catch (error) {
      if (error instanceof KernelError) return error.status;
      throw error;
    }
  }

  /** The next boot has no more to do for the files that are in place, but to delete what is still in use. */
  finish(): void {
    if (this.#staged.length > 0) attempt(() => this.#dispose());
  }

  #commit(): void {
    const paths = this.#staged.map(({ path }) => path.toLowerCase());
    const atBoot = this.#staged.map(({ atBoot: from }) => from);
    const earlier = this.disk.pendingRenames
      .filter(({ from }) => !atBoot.includes(from))
      .map(
        (one): PendingRename =>
          one.to !== undefined && paths.includes(one.to.toLowerCase()) ? { from: one.from } : one,
      );
    const renames = this.#staged.map(({ atBoot: from, path: to }) => ({ from, to }));
    this.disk.setRegistry({ pendingRenames: [...earlier, ...renames], versions: this.#versions() });
  }

  #versions(): ReadonlyMap<string, readonly string[]> {
    const versions = new Map(this.disk.registry.versions);
    for (const { path, bytes } of this.#staged) {
      const known = versions.get(path.toLowerCase()) ?? [];
      const current = awaited(this.disk, path);
      const list = [...known];
      for (const one of [current, bytes])
        if (one !== undefined && !list.includes(digest(one))) list.push(digest(one));
      versions.set(path.toLowerCase(), list);
    }
    return versions;
  }

  /** Deletes what nobody needs nor uses any more; of the entries for the next boot those stay that have something to do. */
  #dispose(): void {
    const { disk } = this;
    const waits = (name: string) =>
      this.#staged.some(({ atBoot, path }) => atBoot === name && !this.#done.has(path)) &&
      disk.pendingRenames.some(({ from, to }) => from === name && to !== undefined);
    const earlier = disk.pendingRenames.flatMap(({ from, to }) => (to === undefined ? [from] : []));
    for (const name of new Set([...this.#names, ...earlier]))
      if (disk.exists(name) && !waits(name)) attempt(() => disk.delete(name));
    const before = disk.pendingRenames;
    const left = before
      .filter(({ from }) => disk.exists(from))
      .map((one) => (this.#names.includes(one.from) && !waits(one.from) ? { from: one.from } : one));
    if (left.length !== before.length || left.some((one, index) => one.to !== before[index]?.to))
      this.#setPending(left);
  }

  get #names(): string[] {
    return this.#staged.flatMap(({ atBoot, besides }) =>
      besides === undefined ? [atBoot] : [atBoot, besides],
    );
  }

  #setPending(pendingRenames: readonly PendingRename[]): void {
    this.disk.setRegistry({ pendingRenames });
  }
}

/** What came of the files of a hotfix: those that are in place, and why others wait for the next boot. */
export interface Replaced {
  readonly inPlace: ReadonlySet<string>;
  readonly refused: ReadonlyMap<string, NtStatus>;
}

/**
 * Replaces files of a running system, now where that is possible, else by the next boot.
 * @param exchange makes two files change names; without it only files that nobody uses are replaced now
 * @throws KernelError when the disk refuses the new files; nothing is changed then
 */
export function replaceFiles(
  disk: FileSystem,
  files: readonly ReplacedFile[],
  exchange?: (path: string, besides: string) => NtStatus,
): Replaced {
  const isThere = ({ path, bytes }: ReplacedFile) =>
    [disk.read(path), awaited(disk, path)].every((known) => known !== undefined && isSame(known, bytes));
  const inPlace = new Set(files.filter(isThere).map(({ path }) => path));
  const missing = files.filter(({ path }) => !inPlace.has(path));
  const replacement = new Replacement(disk, missing, exchange !== undefined);
  replacement.stage();
  const refused = new Map<string, NtStatus>();
  for (const { path } of missing) {
    const status = replacement.putInPlace(path, exchange);
    if (status.name === 'STATUS_SUCCESS') inPlace.add(path);
    else refused.set(path, status);
  }
  replacement.finish();
  return { inPlace, refused };
}

const isSame = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0;

/** What a file will be after the next boot, as things are now. */
export function awaited(disk: FileSystem, path: string): Uint8Array | undefined {
  const last = disk.pendingRenames.findLast(({ to }) => to?.toLowerCase() === path.toLowerCase());
  return (last === undefined ? undefined : disk.read(last.from)) ?? disk.read(path);
}

/** Was the file replaced by something newer already? Known of what hotfixes did on this disk. */
export function isSuperseded(disk: FileSystem, { path, bytes }: ReplacedFile): boolean {
  const versions = disk.registry.versions.get(path.toLowerCase()) ?? [];
  const current = awaited(disk, path);
  if (current === undefined) return false;
  const [mine, theirs] = [versions.indexOf(digest(bytes)), versions.indexOf(digest(current))];
  return mine >= 0 && mine < theirs;
}

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** A name in the same folder that nobody has, nor wants to have deleted: `shell.hp.dll`, `shell.hp2.dll` … */
export function freeName(
  disk: FileSystem,
  path: string,
  kind: string,
  taken: Set<string> = new Set(),
): string {
  for (let number = 1; ; number++) {
    const name = nameBeside(path, kind, number);
    if (disk.exists(name) || taken.has(name.toLowerCase())) continue;
    taken.add(name.toLowerCase());
    return name;
  }
}

/** The names that {@link freeName} has given, as far as they follow each other. */
export function namesBeside(disk: FileSystem, path: string, kind: string): string[] {
  const names: string[] = [];
  for (let number = 1; disk.exists(nameBeside(path, kind, number)); number++)
    names.push(nameBeside(path, kind, number));
  return names;
}

function nameBeside(path: string, kind: string, number: number): string {
  const suffix = `.${kind}${number === 1 ? '' : number}`;
  return path.replace(/(\.[^.\\]*)?$/, (extension) => `${suffix}${extension}`);
}

/** What the disk refuses is left for the next boot; other failures are the power's. */
function attempt(action: () => void, otherwise: () => void = () => undefined): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    otherwise();
  }
}
