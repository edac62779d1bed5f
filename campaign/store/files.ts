import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { CampaignError } from '../error.js';
import type { FileIntake } from '../kinds/index.js';
import { type FileReference, sha256 } from '../unit.js';

/** Files in a folder, each under the SHA-256 of its contents. */
export class FileFolder {
  constructor(readonly folder: string) {}

  path({ sha256: name }: Pick<FileReference, 'sha256'>): string {
    return join(this.folder, name);
  }

  has(file: FileReference): boolean {
    return existsSync(this.path(file));
  }

  /** @throws CampaignError `file.missing` when it is not there, or is another one */
  read(file: FileReference): Uint8Array {
    if (!this.has(file))
      throw new CampaignError('file.missing', `${file.name} (${file.sha256.slice(0, 12)}…) is not there`, {
        place: this.folder,
      });
    const bytes = readFileSync(this.path(file));
    if (sha256(bytes) !== file.sha256)
      throw new CampaignError('file.missing', `${file.name} is another file by now`, {
        place: this.path(file),
      });
    return bytes;
  }

  /** Whole or not at all. */
  put(bytes: Uint8Array): string {
    const name = sha256(bytes);
    const path = join(this.folder, name);
    if (existsSync(path)) return name;
    mkdirSync(dirname(path), { recursive: true });
    const temporary = `${path}.${process.pid}`;
    writeFileSync(temporary, bytes);
    renameSync(temporary, path);
    return name;
  }

  copyFrom(other: FileFolder, file: FileReference): void {
    if (this.has(file)) return;
    mkdirSync(this.folder, { recursive: true });
    const temporary = `${this.path(file)}.${process.pid}`;
    copyFileSync(other.path(file), temporary);
    renameSync(temporary, this.path(file));
  }
}

/** Takes the files that a plan names into a folder; paths are relative to the plan's own. */
export class PlanFiles implements FileIntake {
  readonly #taken = new Map<string, FileReference>();

  constructor(
    private readonly planFolder: string,
    private readonly folder: FileFolder,
  ) {}

  has(path: string): boolean {
    return existsSync(resolve(this.planFolder, path));
  }

  add(path: string): FileReference {
    const full = resolve(this.planFolder, path);
    const known = this.#taken.get(full);
    if (known !== undefined) return known;
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(full);
    } catch {
      throw new CampaignError('plan.file', 'there is no such file', { place: path });
    }
    const file = { name: basename(path), sha256: this.folder.put(bytes), size: bytes.length };
    this.#taken.set(full, file);
    return file;
  }
}
