import { hasHotp1Section, ImageError, type NtStatus, ntStatus, readImage } from '../../image/index.js';
import {
  KernelError,
  type LoadedImage,
  type OpenFile,
  type PlainEventKind,
  type Process,
} from '../../loader/index.js';
import { encodeHandles, encodeNames, FLG_HOTPATCH, SYSTEM_HOTPATCH_INFORMATION } from './code-information.js';
import { freeName, isSuperseded, namesBeside, type ReplacedFile, replaceFiles } from './replacement.js';
import { type Server2003, SYSTEM32, SYSWOW64 } from './server.js';

/** One file of a hotfix. */
export interface HotfixFile {
  /** What it replaces: `C:\WINDOWS\system32\shell.dll`. */
  readonly path: string;
  /** The fixed build: what is on the disk from now on (the coldpatch). */
  readonly replacement: Uint8Array;
  /** What makes the fix take effect where the old file runs; absent in a hotfix that is not hotpatch-enabled. */
  readonly hotpatch?: { readonly path: string; readonly bytes: Uint8Array };
}

/** A hotfix as it was published: `KB911897`. */
export interface Hotfix {
  /** As it is published: `KB911897`. */
  readonly name: string;
  /** What it replaces. */
  readonly files: readonly HotfixFile[];
}

/** What an installation of a hotfix has come to. */
export interface InstallReport {
  /** Did it change anything? Otherwise `reasons` say why not, and the system is as it was before. */
  readonly installed: boolean;
  /** Is something old still in use, so that the fix is not whole before the next boot? */
  readonly rebootRequired: boolean;
  /** Files whose new version is in force everywhere: in what runs, and in whatever starts from now on. */
  readonly hotpatched: readonly string[];
  /** Files that are replaced on the disk already. */
  readonly coldpatched: readonly string[];
  /** Files that the next boot replaces. */
  readonly pending: readonly string[];
  /** Files that are left alone, because something newer is installed already. */
  readonly superseded: readonly string[];
  /** Why a reboot is needed, or why something was not done. */
  readonly reasons: readonly string[];
}

const PRIVILEGES = ['SeDebugPrivilege', 'SeLoadDriverPrivilege', 'SeRestorePrivilege'];

/** Does a command line of a hotfix opt in? Without `/hotpatch:enable` hotpatching was not used (docs/fidelity.md#server-2003). */
export function optsIn(commandLine: string): boolean {
  return commandLine.split(/\s+/).some((argument) => argument.toLowerCase() === '/hotpatch:enable');
}

/**
 * The hotfix's own executable. Without the switch, files in use are replaced by the next boot, and the user is asked for
 * one. With it each file is coldpatched by an atomic swap (KB911897: the first calls), and then hotpatched where it runs
 * (the last ones); what cannot be hotpatched needs the reboot after all. What the disk refuses ends in the report; only a
 * power failure, which `FileSystem.onOperation` throws, ends the call.
 */
export function installHotfix(server: Server2003, hotfix: Hotfix, commandLine = ''): InstallReport {
  const updater = new Updater(server, `${hotfix.name}.exe`);
  try {
    tell(server, 'hotfix', `${hotfix.name}.exe ${commandLine}`.trim());
    const report = updater.install(hotfix, optsIn(commandLine));
    const reasons = report.reasons.join('; ');
    const end = report.rebootRequired
      ? `a reboot is required: ${reasons}`
      : `${report.installed ? '' : 'nothing was changed; '}no reboot is required${reasons === '' ? '' : `: ${reasons}`}`;
    tell(server, 'hotfixDone', `${hotfix.name}: ${end}`);
    return report;
  } finally {
    updater.exit();
  }
}

class Updater {
  readonly #process: Process;
  readonly #reasons: string[] = [];

  constructor(
    private readonly server: Server2003,
    name: string,
  ) {
    this.#process = server.startProcess(name);
    this.#process.enablePrivileges(...PRIVILEGES);
  }

  exit(): void {
    this.#process.terminate(0);
  }

  install({ files }: Hotfix, isEnabled: boolean): InstallReport {
    const { disk } = this.server;
    const nothing = { installed: false, rebootRequired: false, hotpatched: [], coldpatched: [], pending: [] };
    const twice = files.find(
      ({ path }, index) => files.findIndex((other) => isPath(other.path, path)) < index,
    );
    if (twice !== undefined)
      return { ...nothing, superseded: [], reasons: [`${twice.path}: the hotfix brings it twice`] };
    const superseded = files.filter((file) => isSuperseded(disk, replaced(file))).map(({ path }) => path);
    for (const path of superseded) this.#reasons.push(`${path}: a newer one is installed already`);
    const wanted = files.filter(({ path }) => !superseded.includes(path));
    const inPlace = wanted.length === 0 ? undefined : this.#replace(wanted, isEnabled);
    if (inPlace === undefined) return { ...nothing, superseded, reasons: this.#reasons };
    const outdated = new Set(wanted.filter((file) => !this.#isInForce(file, isEnabled)));
    const paths = (list: readonly HotfixFile[]) => list.map(({ path }) => path);
    const coldpatched = wanted.filter(({ path }) => inPlace.has(path));
    const pending = wanted.filter(({ path }) => !inPlace.has(path));
    return {
      installed: true,
      rebootRequired: pending.length > 0 || outdated.size > 0,
      hotpatched: isEnabled ? paths(coldpatched.filter((file) => !outdated.has(file))) : [],
      coldpatched: paths(coldpatched),
      pending: paths(pending),
      superseded,
      reasons: this.#reasons,
    };
  }

  /** The disk's part. @returns the files that are in place now; undefined when the disk refused all of it */
  #replace(files: readonly HotfixFile[], isEnabled: boolean): ReadonlySet<string> | undefined {
    const exchange = isEnabled ? (path: string, besides: string) => this.#swap(path, besides) : undefined;
    try {
      const { inPlace, refused } = replaceFiles(this.server.disk, files.map(replaced), exchange);
      for (const [path, status] of refused)
        this.#reasons.push(isEnabled ? `${path} could not be swapped (${status.name})` : `${path} is in use`);
      return inPlace;
    } catch (error) {
      this.#reasons.push(`the files could not be written (${statusOf(error).name})`);
      return undefined;
    }
  }

  /** Does everybody run the new file, or the old one with the hotpatch? */
  #isInForce(file: HotfixFile, isEnabled: boolean): boolean {
    const { path } = file;
    const status = this.#loadersGetIt(file);
    const applied = isEnabled ? this.#apply(file) : ntStatus('STATUS_NOT_SUPPORTED');
    const isDone = applied.name === 'STATUS_SUCCESS' || applied.name === 'STATUS_NOT_FOUND';
    const old = this.#outdated(file);
    if (status.name !== 'STATUS_SUCCESS')
      this.#reasons.push(`${path} is not what processes will load (${status.name})`);
    const needs = old.length > 0 || (!isDone && isEnabled && file.hotpatch !== undefined);
    if (needs && isEnabled && !isDone)
      this.#reasons.push(`${path} could not be hotpatched (${applied.name})`);
    else if (needs) {
      const places = [...new Set(old.map(({ domain }) => domain.name))].join(', ');
      const what = isEnabled ? 'a build that the hotpatch is not for' : 'the old one';
      if (!this.#reasons.includes(`${path} is in use`)) this.#reasons.push(`${path}: ${places} runs ${what}`);
    }
    return !needs && status.name === 'STATUS_SUCCESS';
  }

  /** Images of the file, as it was at any time, that are not the new one and that no hotpatch of this hotfix covers. */
  #outdated({ path, replacement, hotpatch }: HotfixFile): LoadedImage[] {
    const { engine } = this.server;
    const isCovered = (image: LoadedImage) =>
      hotpatch !== undefined &&
      engine
        .patchList(image)
        .some(({ active, patch }) => active && isSame(patch.image.bytes, hotpatch.bytes));
    return this.server
      .imagesOf(path)
      .filter((image) => !isSame(image.image.bytes, replacement) && !isCovered(image));
  }

  /** The kernel has sections of ntdll.dll of its own, which new processes map. */
  #loadersGetIt({ path, replacement }: HotfixFile): NtStatus {
    const { disk } = this.server;
    const isNtdll = [SYSTEM32, SYSWOW64].some(
      (folder) => `${folder}ntdll.dll`.toLowerCase() === path.toLowerCase(),
    );
    const inPlace = disk.read(path);
    if (!isNtdll || inPlace === undefined || !isSame(inPlace, replacement)) return ntStatus('STATUS_SUCCESS');
    return this.#call((pointerSize) => encodeHandles(FLG_HOTPATCH.RELOAD_NTDLL, [], { pointerSize }));
  }

  /** Exchanges the names of old and new file: NtSetSystemInformation with MAP_ATOMIC_SWAP. */
  #swap(path: string, beside: string): NtStatus {
    const { disk } = this.server;
    const opened: OpenFile[] = [];
    try {
      for (const name of [path, beside])
        opened.push(disk.open(name, { access: 'read', share: ['read', 'write', 'delete'] }));
      const handles = opened.map((file) => BigInt(this.#process.handles.open(file)));
      return this.#call((pointerSize) =>
        encodeHandles(FLG_HOTPATCH.MAP_ATOMIC_SWAP, [0n, ...handles], { pointerSize }),
      );
    } catch (error) {
      return statusOf(error);
    } finally {
      for (const file of opened) file.close();
    }
  }

  #apply({ hotpatch, path }: HotfixFile): NtStatus {
    if (hotpatch === undefined) return ntStatus('STATUS_NOT_SUPPORTED');
    try {
      const isDriver = readImage(hotpatch.bytes).optionalHeader.subsystem === 1;
      const names = { name: this.#writeHotpatch(hotpatch), targetName: path.replace(/^.*[\\/]/, '') };
      const common = FLG_HOTPATCH.NAME_INFO + FLG_HOTPATCH.ACTIVE;
      return this.#call((pointerSize) =>
        isDriver
          ? encodeNames(common + FLG_HOTPATCH.KERNEL, names, { pointerSize })
          : encodeNames(common + FLG_HOTPATCH.INJECT_THREAD, names, { pointerSize, targetProcess: 0n }),
      );
    } catch (error) {
      return statusOf(error);
    }
  }

  /**
   * The hotpatch of an earlier hotfix may be mapped under the name, or it is that of a file of another sort: then this one
   * gets another, once, however often it is installed. @throws KernelError
   */
  #writeHotpatch({ path, bytes }: NonNullable<HotfixFile['hotpatch']>): string {
    const { disk } = this.server;
    const holds = (name: string) => {
      const known = disk.read(name);
      return known !== undefined && isSame(known, bytes);
    };
    const known = disk.read(path);
    const isTaken = known !== undefined && (disk.isMapped(path) || !isHotpatch(known));
    const written = [path, ...namesBeside(disk, path, 'hp')].find(holds);
    if (written !== undefined) return written;
    const name = isTaken ? freeName(disk, path, 'hp') : path;
    disk.write(name, bytes);
    return name;
  }

  /** The system call, with the structure in the updater's own memory. */
  #call(encode: (pointerSize: 4 | 8) => Uint8Array): NtStatus {
    const { domain } = this.#process;
    const { pointerSize } = domain.architecture;
    const buffer = encode(pointerSize);
    const address = domain.allocateMemory('pool', buffer.length);
    domain.addressSpace.write(address, buffer);
    const caller = { process: this.#process, domain, pointerSize };
    const status = this.server.engine.setSystemInformation(
      caller,
      SYSTEM_HOTPATCH_INFORMATION,
      address,
      buffer.length,
    );
    const flags = new DataView(buffer.buffer).getUint32(0, true).toString(16).padStart(8, '0');
    tell(
      this.server,
      'systemCall',
      `${this.#process.name}: NtSetSystemInformation(SystemHotpatchInformation, Flags ${flags}): ${status.name}`,
    );
    return status;
  }
}

const replaced = ({ path, replacement: bytes }: HotfixFile): ReplacedFile => ({ path, bytes });

const isPath = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();

/** What was left of a hotpatch is no image at all. */
function isHotpatch(bytes: Uint8Array): boolean {
  try {
    return hasHotp1Section(readImage(bytes));
  } catch (error) {
    if (error instanceof ImageError) return true;
    throw error;
  }
}

const isSame = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0;

/** @throws whatever is not a refusal: the power's failure */
function statusOf(error: unknown): NtStatus {
  if (error instanceof ImageError) return ntStatus('STATUS_INVALID_IMAGE_FORMAT');
  if (error instanceof KernelError) return error.status;
  throw error;
}

function tell({ kernel }: Server2003, kind: PlainEventKind, text: string): void {
  kernel.events.tell(kind, text);
}
