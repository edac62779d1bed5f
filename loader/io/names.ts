import { isSuccess, STATUS } from './constants.js';
import { addressData, addressOf, type GuestRecord, RECORD_KIND } from './records.js';
import type { IoWorld } from './world.js';

/** Names of one and the same directory: where links for programs are. */
const DOS_DEVICES = /^\\(\?\?|DosDevices|GLOBAL\?\?|DosDevices\\Global|\?\?\\Global)(?=\\)/i;
const DIRECTORY = '\\GLOBAL??';
const DEEPEST = 16;

/** A name of the object directory as it is kept: every name of the directory of DOS devices is one. */
export function canonical(name: string): string {
  return name.replace(DOS_DEVICES, () => DIRECTORY);
}

/** What a path leads to: a device, and what is left of the path behind its name. */
export interface ResolvedDevice {
  readonly device: bigint;
  readonly rest: string;
}

/** The object directory, as far as devices and symbolic links need one. */
export class ObjectNames {
  constructor(private readonly world: IoWorld) {}

  /** STATUS of naming a device: `\Device\Name`. */
  addDevice(name: string, device: bigint): number {
    const status = this.#creatable(name);
    if (isSuccess(status)) this.world.records.add(RECORD_KIND.device, canonical(name), addressData(device));
    return status;
  }

  removeDevice(device: bigint): void {
    const record = this.#deviceRecord(device);
    if (record !== undefined) this.world.records.remove(record);
  }

  nameOf(device: bigint): string | undefined {
    return this.#deviceRecord(device)?.name;
  }

  addLink(name: string, target: string): number {
    const status = this.#creatable(name);
    if (isSuccess(status))
      this.world.records.add(RECORD_KIND.symbolicLink, canonical(name), Buffer.from(target, 'utf16le'));
    return status;
  }

  /** What programs can open, without the directory: `Notes`. */
  links(): string[] {
    const prefix = `${DIRECTORY}\\`;
    return this.world.records
      .list(RECORD_KIND.symbolicLink)
      .filter(({ name }) => name.startsWith(prefix))
      .map(({ name }) => name.slice(prefix.length));
  }

  removeLink(name: string): number {
    const record = this.world.records.find(RECORD_KIND.symbolicLink, canonical(name));
    if (record === undefined) return STATUS.OBJECT_NAME_NOT_FOUND;
    this.world.records.remove(record);
    return STATUS.SUCCESS;
  }

  /** Follows symbolic links. @returns the status why there is none */
  resolve(path: string): ResolvedDevice | number {
    if (!path.startsWith('\\')) return STATUS.OBJECT_PATH_SYNTAX_BAD;
    let name = canonical(path);
    for (let depth = 0; depth < DEEPEST; depth++) {
      const device = this.#longest(RECORD_KIND.device, name);
      if (device !== undefined) return { device: addressOf(device), rest: name.slice(device.name.length) };
      const link = this.#longest(RECORD_KIND.symbolicLink, name);
      if (link === undefined) return STATUS.OBJECT_NAME_NOT_FOUND;
      name = canonical(`${Buffer.from(link.data).toString('utf16le')}${name.slice(link.name.length)}`);
    }
    return STATUS.OBJECT_NAME_INVALID;
  }

  #creatable(name: string): number {
    if (!name.startsWith('\\')) return STATUS.OBJECT_PATH_SYNTAX_BAD;
    if (!/^\\(Device|GLOBAL\?\?)\\./i.test(canonical(name))) return STATUS.OBJECT_PATH_NOT_FOUND;
    const { records } = this.world;
    const known =
      records.find(RECORD_KIND.device, canonical(name)) ??
      records.find(RECORD_KIND.symbolicLink, canonical(name));
    return known === undefined ? STATUS.SUCCESS : STATUS.OBJECT_NAME_COLLISION;
  }

  /** The record whose name is the path, or its beginning up to a backslash. */
  #longest(kind: GuestRecord['kind'], path: string): GuestRecord | undefined {
    const wanted = path.toUpperCase();
    return this.world.records
      .list(kind)
      .filter(({ name }) => {
        const prefix = name.toUpperCase();
        return wanted === prefix || wanted.startsWith(`${prefix}\\`);
      })
      .sort((a, b) => b.name.length - a.name.length)[0];
  }

  #deviceRecord(device: bigint): GuestRecord | undefined {
    return this.world.records.list(RECORD_KIND.device).find((record) => addressOf(record) === device);
  }
}
