/** Why the volume refuses, as winerror.h has it. */
export const FILE_ERROR = {
  fileNotFound: 2,
  pathNotFound: 3,
  accessDenied: 5,
  fileExists: 80,
  invalidName: 123,
  directoryNotEmpty: 145,
  alreadyExists: 183,
  directory: 267,
} as const;
export type FileErrorCode = (typeof FILE_ERROR)[keyof typeof FILE_ERROR];

export class VolumeError extends Error {
  constructor(
    readonly code: FileErrorCode,
    path: string,
  ) {
    super(`${path}: Windows error ${code}`);
  }
}

/** FILE_ATTRIBUTE_* of winnt.h. */
export const ATTRIBUTE = { readOnly: 1, hidden: 2, directory: 0x10, archive: 0x20, normal: 0x80 } as const;

export interface NodeState {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly size: number;
  readonly attributes: number;
  readonly created: bigint;
  readonly modified: bigint;
}

/** A file or a directory. It outlives its name while it is open. */
export class FileNode {
  #bytes = new Uint8Array();
  #size = 0;
  /** Somebody else may look at the bytes: they are copied before they change. */
  #shared = false;
  attributes: number;
  /** 100 ns units since 1601. */
  created: bigint;
  modified: bigint;

  constructor(
    readonly id: number,
    public path: string,
    isDirectory: boolean,
    now: bigint,
  ) {
    this.attributes = isDirectory ? ATTRIBUTE.directory : ATTRIBUTE.archive;
    this.created = now;
    this.modified = now;
  }

  get isDirectory(): boolean {
    return (this.attributes & ATTRIBUTE.directory) !== 0;
  }

  get size(): number {
    return this.#size;
  }

  read(offset: number, length: number): Uint8Array {
    return this.#bytes.slice(Math.min(offset, this.#size), Math.min(offset + length, this.#size));
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#reserve(Math.max(this.#size, offset + bytes.length));
    this.#bytes.set(bytes, offset);
    this.#size = Math.max(this.#size, offset + bytes.length);
  }

  resize(size: number): void {
    this.#reserve(size);
    if (size < this.#size) this.#bytes.fill(0, size, this.#size);
    this.#size = size;
  }

  #reserve(size: number): void {
    if (!this.#shared && size <= this.#bytes.length) return;
    const next = new Uint8Array(size <= this.#bytes.length ? this.#bytes.length : Math.max(256, size * 2));
    next.set(this.#bytes.subarray(0, this.#size));
    this.#bytes = next;
    this.#shared = false;
  }

  save(): NodeState {
    this.#shared = true;
    const { path, attributes, created, modified } = this;
    return { path, bytes: this.#bytes, size: this.#size, attributes, created, modified };
  }

  load(state: NodeState): void {
    this.path = state.path;
    this.#bytes = state.bytes as Uint8Array<ArrayBuffer>;
    this.#size = state.size;
    this.#shared = true;
    this.attributes = state.attributes;
    this.created = state.created;
    this.modified = state.modified;
  }
}

export interface VolumeState {
  readonly names: ReadonlyMap<string, FileNode>;
  readonly nodes: ReadonlyMap<FileNode, NodeState>;
}

const keyOf = (path: string): string => path.toLowerCase();
const parentOf = (path: string): string => {
  const parent = path.replace(/\\[^\\]*$/, '');
  return /^[A-Za-z]:$/.test(parent) ? `${parent}\\` : parent;
};

/** `C:\a\..\b` and what programs make of it: absolute, with backslashes, without `.` and `..`. */
export function fullPath(path: string, currentDirectory: string): string {
  const plain = path.replaceAll('/', '\\').replace(/^\\\\\?\\(?:UNC\\)?/, '');
  const drive = /^[A-Za-z]:/.exec(plain)?.[0] ?? currentDirectory.slice(0, 2);
  const rest = /^[A-Za-z]:/.test(plain) ? plain.slice(2) : plain;
  const from = rest.startsWith('\\') ? '' : currentDirectory.slice(2);
  const parts: string[] = [];
  for (const part of `${from}\\${rest}`.split('\\')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `${drive.toUpperCase()}\\${parts.join('\\')}`;
}

/** Does a name fit a pattern with `*` and `?`? `*.*` is every name. */
export function matchesPattern(name: string, pattern: string): boolean {
  const wanted = pattern === '*.*' ? '*' : pattern;
  const source = wanted
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 'i').test(name);
}

/**
 * The disk that programs see: drive C: of a machine, empty but for a few directories. It is part of the machine's state:
 * snapshots hold it. What the host puts there, and looks at afterwards, goes through `write` and `read`.
 */
export class Volume {
  readonly name = 'disk';
  #names = new Map<string, FileNode>();
  #nodes = new Set<FileNode>();
  #nextId = 1;

  constructor(private readonly now: () => bigint) {
    for (const path of ['C:\\', 'C:\\Windows', 'C:\\Windows\\System32', 'C:\\Temp']) this.#add(path, true);
  }

  /** Paths of all files in the order of their names. */
  get paths(): readonly string[] {
    return [...this.#names.values()]
      .filter((node) => !node.isDirectory)
      .map(({ path }) => path)
      .sort();
  }

  /** Puts a whole file there, with the directories that it needs. */
  write(path: string, bytes: Uint8Array): void {
    const full = fullPath(path, 'C:\\');
    this.#ensureDirectory(parentOf(full));
    const node = this.find(full) ?? this.#add(full, false);
    node.resize(0);
    node.write(0, bytes);
    node.modified = this.now();
  }

  /** A whole file; undefined when there is none. */
  read(path: string): Uint8Array | undefined {
    const node = this.find(fullPath(path, 'C:\\'));
    return node === undefined || node.isDirectory ? undefined : node.read(0, node.size);
  }

  find(path: string): FileNode | undefined {
    return this.#names.get(keyOf(path));
  }

  /** @throws VolumeError */
  get(path: string): FileNode {
    const node = this.find(path);
    if (node !== undefined) return node;
    throw new VolumeError(
      this.#names.has(keyOf(parentOf(path))) ? FILE_ERROR.fileNotFound : FILE_ERROR.pathNotFound,
      path,
    );
  }

  /** @throws VolumeError when the directory is not there, or something of that name is */
  create(path: string, isDirectory: boolean): FileNode {
    if (/[<>"|?*]/.test(path.slice(2)) || path.slice(2).includes(':'))
      throw new VolumeError(FILE_ERROR.invalidName, path);
    if (this.find(path) !== undefined)
      throw new VolumeError(isDirectory ? FILE_ERROR.alreadyExists : FILE_ERROR.fileExists, path);
    if (this.find(parentOf(path))?.isDirectory !== true) throw new VolumeError(FILE_ERROR.pathNotFound, path);
    return this.#add(path, isDirectory);
  }

  /** @throws VolumeError */
  remove(path: string, isDirectory: boolean): void {
    const node = this.get(path);
    if (node.isDirectory !== isDirectory)
      throw new VolumeError(isDirectory ? FILE_ERROR.directory : FILE_ERROR.accessDenied, path);
    if (isDirectory && this.list(path).length > 0) throw new VolumeError(FILE_ERROR.directoryNotEmpty, path);
    if ((node.attributes & ATTRIBUTE.readOnly) !== 0) throw new VolumeError(FILE_ERROR.accessDenied, path);
    this.#names.delete(keyOf(path));
  }

  /** @throws VolumeError */
  rename(from: string, to: string, replace: boolean): void {
    const node = this.get(from);
    const target = this.find(to);
    if (target !== undefined && target !== node) {
      if (!replace || target.isDirectory) throw new VolumeError(FILE_ERROR.alreadyExists, to);
      this.#names.delete(keyOf(to));
    }
    if (this.find(parentOf(to))?.isDirectory !== true) throw new VolumeError(FILE_ERROR.pathNotFound, to);
    const prefix = `${keyOf(from)}\\`;
    for (const [key, inner] of [...this.#names])
      if (key.startsWith(prefix)) {
        this.#names.delete(key);
        inner.path = to + inner.path.slice(from.length);
        this.#names.set(keyOf(inner.path), inner);
      }
    this.#names.delete(keyOf(from));
    node.path = to;
    this.#names.set(keyOf(to), node);
  }

  /** What a directory holds, by name. */
  list(directory: string): FileNode[] {
    const base = keyOf(directory).replace(/\\$/, '');
    return [...this.#names]
      .filter(([key]) => parentOf(key).replace(/\\$/, '') === base && key !== keyOf(directory))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, node]) => node);
  }

  save(): VolumeState {
    return {
      names: new Map(this.#names),
      nodes: new Map([...this.#nodes].map((node) => [node, node.save()])),
    };
  }

  load(state: unknown): void {
    const { names, nodes } = state as VolumeState;
    this.#names = new Map(names);
    this.#nodes = new Set(nodes.keys());
    for (const [node, saved] of nodes) node.load(saved);
  }

  /** Everything of a saved state that a program can notice. */
  describe(state: unknown): string {
    const { names, nodes } = state as VolumeState;
    return [...names]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, node]) => {
        const saved = nodes.get(node);
        if (saved === undefined) return '';
        const { path, attributes, created, modified, size, bytes } = saved;
        const contents = Buffer.from(bytes.buffer, bytes.byteOffset, size).toString('base64');
        return `${path} ${attributes} ${created} ${modified} ${contents}`;
      })
      .join('\n');
  }

  #add(path: string, isDirectory: boolean): FileNode {
    const node = new FileNode(this.#nextId++, path, isDirectory, this.now());
    this.#names.set(keyOf(path), node);
    this.#nodes.add(node);
    return node;
  }

  #ensureDirectory(path: string): void {
    if (this.find(path) !== undefined) return;
    if (parentOf(path) === path) throw new VolumeError(FILE_ERROR.pathNotFound, path);
    this.#ensureDirectory(parentOf(path));
    this.#add(path, true);
  }
}

/** A file that a handle leads to. */
export class VolumeFile {
  /** Where the next byte is read or written. */
  position = 0;

  constructor(
    readonly volume: Volume,
    readonly node: FileNode,
    readonly access: { readonly read: boolean; readonly write: boolean; readonly append: boolean },
    readonly deleteOnClose: boolean,
    /** Its type, for GetFileType. */
    readonly kind: 'disk' = 'disk',
  ) {}

  saveState(): unknown {
    return this.position;
  }

  loadState(state: unknown): void {
    this.position = state as number;
  }

  close(): void {
    if (this.deleteOnClose && this.volume.find(this.node.path) === this.node)
      this.volume.remove(this.node.path, false);
  }
}

/** The console: what is written to it is told in the transcript. */
export class ConsoleFile {
  constructor(readonly stream: 'input' | 'output' | 'error') {}
}

/** What FindFirstFile has found and FindNextFile has not given yet. */
export class FindFile {
  #next = 0;

  constructor(private readonly found: readonly FileNode[]) {}

  next(): FileNode | undefined {
    return this.found[this.#next++];
  }

  saveState(): unknown {
    return this.#next;
  }

  loadState(state: unknown): void {
    this.#next = state as number;
  }
}
