import { type NtStatus, ntStatus, readImage } from '../../image/index.js';
import { KernelError, type OpenFile, type PlainEventKind, type Process } from '../../loader/index.js';
import { encodeHandles, encodeNames, FLG_HOTPATCH, SYSTEM_HOTPATCH_INFORMATION } from './code-information.js';
import type { Server2003 } from './server.js';

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
  readonly name: string;
  readonly files: readonly HotfixFile[];
}

export interface InstallReport {
  readonly rebootRequired: boolean;
  /** Files whose new version is in force everywhere. */
  readonly hotpatched: readonly string[];
  /** Files that are replaced on the disk already. */
  readonly coldpatched: readonly string[];
  /** Files that the next boot replaces. */
  readonly pending: readonly string[];
  /** Why a reboot is needed. */
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
 * (the last ones); what cannot be hotpatched needs the reboot after all.
 */
export function installHotfix(server: Server2003, hotfix: Hotfix, commandLine = ''): InstallReport {
  const updater = new Updater(server, `${hotfix.name}.exe`);
  try {
    tell(server, 'hotfix', `${hotfix.name}.exe ${commandLine}`.trim());
    const report = optsIn(commandLine) ? updater.hotpatch(hotfix) : updater.replaceLater(hotfix);
    const end = report.rebootRequired
      ? `a reboot is required: ${report.reasons.join('; ')}`
      : 'no reboot is required';
    tell(server, 'hotfixDone', `${hotfix.name}: ${end}`);
    return report;
  } finally {
    updater.exit();
  }
}

class Updater {
  readonly #process: Process;

  constructor(
    private readonly server: Server2003,
    name: string,
  ) {
    this.#process = server.startProcess(name);
    for (const privilege of PRIVILEGES) this.#process.privileges.add(privilege);
  }

  exit(): void {
    this.#process.terminate(0);
  }

  replaceLater({ files }: Hotfix): InstallReport {
    const { disk } = this.server;
    const coldpatched: string[] = [];
    const pending: string[] = [];
    for (const { path, replacement } of files) {
      if (!disk.isMapped(path)) {
        disk.write(path, replacement);
        coldpatched.push(path);
        continue;
      }
      disk.replaceAtBoot(this.#writeBeside(path, replacement), path);
      pending.push(path);
    }
    const reasons = pending.map((path) => `${path} is in use`);
    return { rebootRequired: pending.length > 0, hotpatched: [], coldpatched, pending, reasons };
  }

  hotpatch(hotfix: Hotfix): InstallReport {
    const hotpatched: string[] = [];
    const coldpatched: string[] = [];
    const pending: string[] = [];
    const reasons: string[] = [];
    for (const { path, replacement } of hotfix.files) {
      const beside = this.#writeBeside(path, replacement);
      const status = this.#swap(path, beside);
      if (status.name === 'STATUS_SUCCESS') coldpatched.push(path);
      else {
        this.server.disk.replaceAtBoot(beside, path);
        pending.push(path);
        reasons.push(`${path} could not be swapped (${status.name})`);
      }
    }
    for (const file of hotfix.files) {
      const status = this.#apply(file);
      // Nobody runs the old file: whoever loads it gets the new one.
      if (status.name === 'STATUS_SUCCESS' || status.name === 'STATUS_NOT_FOUND') hotpatched.push(file.path);
      else reasons.push(`${file.path} could not be hotpatched (${status.name})`);
    }
    return { rebootRequired: reasons.length > 0, hotpatched, coldpatched, pending, reasons };
  }

  /** Puts the new file beside the old one, under a name that is free: an older build may still run under the last one. */
  #writeBeside(path: string, replacement: Uint8Array): string {
    const { disk } = this.server;
    for (let number = 1; ; number++) {
      const name = temporaryName(path, number);
      if (disk.exists(name)) continue;
      disk.write(name, replacement);
      return name;
    }
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
      if (error instanceof KernelError) return error.status;
      throw error;
    } finally {
      for (const file of opened) file.close();
    }
  }

  #apply({ hotpatch, path }: HotfixFile): NtStatus {
    if (hotpatch === undefined) return ntStatus('STATUS_NOT_SUPPORTED');
    const { disk } = this.server;
    disk.write(hotpatch.path, hotpatch.bytes);
    const names = { name: hotpatch.path, targetName: path.replace(/^.*[\\/]/, '') };
    const isDriver = readImage(hotpatch.bytes).optionalHeader.subsystem === 1;
    const common = FLG_HOTPATCH.NAME_INFO + FLG_HOTPATCH.ACTIVE;
    return this.#call((pointerSize) =>
      isDriver
        ? encodeNames(common + FLG_HOTPATCH.KERNEL, names, { pointerSize })
        : encodeNames(common + FLG_HOTPATCH.INJECT_THREAD, names, { pointerSize, targetProcess: 0n }),
    );
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

/** A name in the same folder for the file that waits to take its place. */
function temporaryName(path: string, number: number): string {
  return path.replace(/(\.[^.\\]*)?$/, (extension) => `.new${number === 1 ? '' : number}${extension}`);
}

function tell({ kernel }: Server2003, kind: PlainEventKind, text: string): void {
  kernel.events.tell(kind, text);
}
