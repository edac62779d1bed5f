import { type NtStatusName, type PeImage, readImage } from '../../image/index.js';
import { KernelError, type KernelRule } from '../common/index.js';
import { makePendingRenames, type PendingRename } from './pending.js';

/** How a file is opened: FILE_SHARE_* of the first opener decides what the others may ask for. */
export interface OpenOptions {
  /** What the opener wants to do with the file. */
  readonly access: 'read' | 'write' | 'delete';
  /** What others may still do with the file. Default: read. */
  readonly share?: readonly ('read' | 'write' | 'delete')[];
}

/** A change of the disk: what a power failure can come between. */
export interface DiskOperation {
  readonly kind: 'write' | 'rename' | 'delete' | 'swap' | 'registry';
  readonly text: string;
}

/** What the registry of the system on this disk holds of files that are replaced. */
export interface Registry {
  /** PendingFileRenameOperations: what the next boot will do before anything is mapped. */
  readonly pendingRenames: readonly PendingRename[];
  /** Digests of what each file was replaced by, oldest first; by path in lower case. */
  readonly versions: ReadonlyMap<string, readonly string[]>;
}

/** A file: what a directory entry leads to. It outlives its name for as long as a handle or a section refers to it. */
class FileRecord {
  /** Image sections of running systems: as long as there is one the file may not be written or deleted. */
  sections = 0;
  readonly handles = new Set<OpenFile>();
  image: PeImage | undefined;

  constructor(public bytes: Uint8Array) {}
}

/** An open file; its handle stays good when the file is renamed. */
export class OpenFile {
  constructor(
    private readonly disk: FileSystem,
    /** Which file it is, whatever its name; opaque. */
    readonly record: object,
    /** How it was opened. */
    readonly options: OpenOptions,
  ) {}

  /** Its name now; `(no name)` when the directory does not have it any more. */
  get path(): string {
    return this.disk.pathOf(this) ?? '(no name)';
  }

  /** Is the handle open? */
  get isOpen(): boolean {
    return recordOf(this).handles.has(this);
  }

  /** Closes the handle. */
  close(): void {
    this.disk.close(this);
  }
}

/** An image section of a file: it locks the file, whatever its name becomes, until it is disposed of. */
export class FileSection implements Disposable {
  #open = true;

  constructor(private readonly record: FileRecord) {
    record.sections += 1;
  }

  /** The same file, mapped once more: the lock ends with the last of them. */
  mapAgain(): FileSection {
    return new FileSection(this.record);
  }

  /** Ends the lock. */
  [Symbol.dispose](): void {
    if (this.#open) this.record.sections -= 1;
    this.#open = false;
  }
}

/**
 * A disk with one volume, as far as replacing files in use needs one: directory entries, share modes, image sections that
 * keep a file from being written or deleted but not from being renamed, and an exchange of two names that is one
 * operation. It is no part of the machine: whatever is on it survives a reboot.
 */
export class FileSystem {
  readonly #entries = new Map<string, { path: string; record: FileRecord }>();
  #registry: Registry = { pendingRenames: [], versions: new Map() };
  readonly #operations: DiskOperation[] = [];
  readonly #listeners = new Set<(operation: DiskOperation) => void>();

  /** Called before each operation until it is disposed of; what it throws is a power failure: the operation is not done. */
  onOperation(listener: (operation: DiskOperation) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Every change so far. */
  get operations(): readonly DiskOperation[] {
    return this.#operations;
  }

  /** Paths in the order of their names. */
  get paths(): readonly string[] {
    return [...this.#entries.values()].map(({ path }) => path).sort();
  }

  /** Is there a file of this name, in any case? */
  exists(path: string): boolean {
    return this.#entries.has(keyOf(path));
  }

  /** Contents of the file; undefined when there is none. */
  read(path: string): Uint8Array | undefined {
    return this.#entries.get(keyOf(path))?.record.bytes;
  }

  /** The file as an image; undefined when there is no such file. */
  readImage(path: string): PeImage | undefined {
    const entry = this.#entries.get(keyOf(path));
    if (entry === undefined) return undefined;
    const file = path.replace(/^.*[\\/]/, '');
    entry.record.image ??= readImage(entry.record.bytes, { file });
    return entry.record.image;
  }

  /**
   * Writes a whole file, or makes a new one.
   * @throws KernelError `file.mapped` STATUS_USER_MAPPED_FILE, `file.sharing` STATUS_SHARING_VIOLATION
   */
  write(path: string, bytes: Uint8Array): void {
    const known = this.#entries.get(keyOf(path))?.record;
    if (known !== undefined) {
      refuseMapped(known, path, 'STATUS_USER_MAPPED_FILE', 'written');
      refuseSharing(known, path, 'write');
    }
    this.#do('write', `${path}: ${bytes.length} bytes`, () => {
      const record = known ?? new FileRecord(bytes);
      record.bytes = Uint8Array.from(bytes);
      record.image = undefined;
      this.#entries.set(keyOf(path), { path, record });
    });
  }

  /**
   * What is asked for must be shared by whoever has the file open, and what those may do must be shared by the opener.
   * @throws KernelError STATUS_OBJECT_NAME_NOT_FOUND, STATUS_SHARING_VIOLATION
   */
  open(path: string, options: OpenOptions): OpenFile {
    const record = this.#find(path);
    refuseSharing(record, path, options.access);
    const denied = [...record.handles].find((other) => !sharedBy(options).includes(other.options.access));
    if (denied !== undefined)
      throw refuse(
        'file.sharing',
        'STATUS_SHARING_VIOLATION',
        path,
        `somebody has it open for ${denied.options.access}, which must be shared`,
      );
    if (options.access === 'write')
      refuseMapped(record, path, 'STATUS_SHARING_VIOLATION', 'opened for writing');
    const file = new OpenFile(this, record, options);
    record.handles.add(file);
    return file;
  }

  /** Closes what {@link open} has opened. */
  close(file: OpenFile): void {
    recordOf(file).handles.delete(file);
  }

  /** The name that leads to an open file now. */
  pathOf(file: OpenFile): string | undefined {
    return [...this.#entries.values()].find(({ record }) => record === file.record)?.path;
  }

  /** A running system maps the file as an image; what it returns ends that. */
  mapImage(path: string): FileSection {
    return new FileSection(this.#find(path));
  }

  /** Has a running system mapped the file as an image? */
  isMapped(path: string): boolean {
    return (this.#entries.get(keyOf(path))?.record.sections ?? 0) > 0;
  }

  /** @throws KernelError STATUS_CANNOT_DELETE for a mapped image, STATUS_SHARING_VIOLATION */
  delete(path: string): void {
    const record = this.#find(path);
    refuseMapped(record, path, 'STATUS_CANNOT_DELETE', 'deleted');
    refuseSharing(record, path, 'delete');
    this.#do('delete', path, () => this.#entries.delete(keyOf(path)));
  }

  /**
   * Gives an open file another name, also while it is mapped (FileRenameInformation, which needs DELETE access).
   * @throws KernelError STATUS_OBJECT_NAME_COLLISION when the name is taken, STATUS_ACCESS_DENIED when the file was opened
   * for something else, STATUS_INVALID_HANDLE when it was closed
   */
  rename(file: OpenFile, to: string): void {
    const from = this.#nameOf(file);
    if (file.options.access !== 'delete')
      throw refuse('file.access', 'STATUS_ACCESS_DENIED', from, `it is open for ${file.options.access}`);
    if (this.exists(to)) throw refuse('file.exists', 'STATUS_OBJECT_NAME_COLLISION', to, 'the name is taken');
    this.#do('rename', `${from} -> ${to}`, () => {
      this.#entries.delete(keyOf(from));
      this.#entries.set(keyOf(to), { path: to, record: recordOf(file) });
    });
  }

  /**
   * Exchanges the names of two open files: one operation, done or not done, also while they are mapped. Modelled: that
   * whoever else has one of them open must share `delete`.
   * @throws KernelError STATUS_SHARING_VIOLATION, STATUS_INVALID_HANDLE when one was closed
   */
  swap(first: OpenFile, second: OpenFile): void {
    const [a, b] = [this.#nameOf(first), this.#nameOf(second)];
    refuseSharing(recordOf(first), a, 'delete', first);
    refuseSharing(recordOf(second), b, 'delete', second);
    this.#do('swap', `${a} <-> ${b}`, () => {
      this.#entries.set(keyOf(a), { path: a, record: recordOf(second) });
      this.#entries.set(keyOf(b), { path: b, record: recordOf(first) });
    });
  }

  /**
   * Gives a closed file the name of another one, which is gone then: one operation (MoveFileEx with
   * MOVEFILE_REPLACE_EXISTING).
   * @throws KernelError STATUS_ACCESS_DENIED when the other is mapped, STATUS_SHARING_VIOLATION
   */
  replace(from: string, to: string): void {
    const record = this.#find(from);
    const other = this.#entries.get(keyOf(to))?.record;
    refuseSharing(record, from, 'delete');
    if (other !== undefined) {
      refuseMapped(other, to, 'STATUS_ACCESS_DENIED', 'replaced');
      refuseSharing(other, to, 'delete');
    }
    this.#move(from, to, '');
  }

  /** What the registry holds of files that are replaced. */
  get registry(): Registry {
    return this.#registry;
  }

  /** PendingFileRenameOperations: what the next boot will do before anything is mapped. */
  get pendingRenames(): readonly PendingRename[] {
    return this.#registry.pendingRenames;
  }

  /** Changes values of the registry: one operation, whatever it changes. */
  setRegistry(changes: Partial<Registry>): void {
    const text = Object.keys(changes).join(', ');
    this.#do('registry', text, () => {
      this.#registry = { ...this.#registry, ...changes };
    });
  }

  /** MoveFileEx with MOVEFILE_DELAY_UNTIL_REBOOT: adds to the pending renames. */
  replaceAtBoot(from: string, to: string): void {
    this.setRegistry({ pendingRenames: [...this.pendingRenames, { from, to }] });
  }

  /** A boot: whatever the system before held open or mapped is gone, and pending replacements are made. */
  startBoot(): void {
    for (const { record } of this.#entries.values()) {
      record.sections = 0;
      record.handles.clear();
    }
    makePendingRenames(this.pendingRenames, {
      exists: (path) => this.exists(path),
      rename: (from, to) => this.#move(from, to, ' (at boot)'),
      delete: (path) => this.delete(path),
      clear: () => this.setRegistry({ pendingRenames: [] }),
    });
  }

  #move(from: string, to: string, when: string): void {
    const record = this.#find(from);
    this.#do('rename', `${from} -> ${to}${when}`, () => {
      this.#entries.delete(keyOf(from));
      this.#entries.set(keyOf(to), { path: to, record });
    });
  }

  #nameOf(file: OpenFile): string {
    const path = this.pathOf(file);
    if (!file.isOpen)
      throw refuse('file.closed', 'STATUS_INVALID_HANDLE', path ?? '(no name)', 'the handle was closed');
    if (path !== undefined) return path;
    throw refuse(
      'file.noName',
      'STATUS_OBJECT_NAME_NOT_FOUND',
      '(no name)',
      'no directory has the file any more',
    );
  }

  #find(path: string): FileRecord {
    const entry = this.#entries.get(keyOf(path));
    if (entry !== undefined) return entry.record;
    throw refuse('file.notFound', 'STATUS_OBJECT_NAME_NOT_FOUND', path, 'there is no such file');
  }

  #do(kind: DiskOperation['kind'], text: string, perform: () => void): void {
    const operation = { kind, text };
    for (const listener of this.#listeners) listener(operation);
    perform();
    this.#operations.push(operation);
  }
}

const keyOf = (path: string): string => path.toLowerCase();

function recordOf({ record }: OpenFile): FileRecord {
  if (record instanceof FileRecord) return record;
  throw new RangeError('an open file has a record');
}

function refuseMapped(record: FileRecord, path: string, status: NtStatusName, doing: string): void {
  if (record.sections === 0) return;
  throw refuse('file.mapped', status, path, `it is mapped as an image and cannot be ${doing}`);
}

function sharedBy({ share = ['read'] }: OpenOptions): readonly OpenOptions['access'][] {
  return share;
}

/** `by`: the handle that asks, whose own share mode binds others only. */
function refuseSharing(record: FileRecord, path: string, access: OpenOptions['access'], by?: OpenFile): void {
  const denied = [...record.handles].some(
    (other) => other !== by && !sharedBy(other.options).includes(access),
  );
  if (denied)
    throw refuse(
      'file.sharing',
      'STATUS_SHARING_VIOLATION',
      path,
      `somebody has it open and does not share ${access}`,
    );
}

function refuse(rule: KernelRule, status: NtStatusName, path: string, message: string): KernelError {
  return new KernelError({ rule, status, image: path, message });
}
