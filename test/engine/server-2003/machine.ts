import {
  FileSystem,
  Lab,
  type OpenFile,
  type OpenOptions,
  type Process,
  Server2003,
  SYSTEM32,
  SYSWOW64,
} from 'hotpatch-lab';
import { encodeHandles } from 'hotpatch-lab/engine';
import { fixtureBytes } from '../../support.js';
import { setSystemInformation } from './support.js';

const PRIVILEGES = ['SeRestorePrivilege', 'SeLoadDriverPrivilege'];

/** Who calls: the processor of the system, that of the process, and the folder of its DLLs. */
export const CALLERS = [
  { caller: 'a 64-bit process', architecture: 'x64', images: 'x64', folder: SYSTEM32 },
  { caller: 'a WOW64 process', architecture: 'x64', images: 'x86', folder: SYSWOW64 },
  { caller: 'a process of an x86 system', architecture: 'x86', images: 'x86', folder: SYSTEM32 },
] as const;

export type Caller = (typeof CALLERS)[number];

export const SHARE_ALL: OpenOptions = { access: 'delete', share: ['read', 'write', 'delete'] };

/** A server with two builds of shell.dll and of ntdll.dll on its disk; the old shell.dll is mapped by the caller. */
export class Machine implements Disposable {
  readonly shell: string;
  readonly shellNew: string;
  readonly ntdll: string;
  readonly ntdllNew: string;
  readonly process: Process;

  private constructor(
    private readonly lab: Lab<'server-2003'>,
    readonly server: Server2003,
    private readonly caller: Caller,
    privileges: readonly string[],
  ) {
    const { folder } = caller;
    this.shell = `${folder}shell.dll`;
    this.shellNew = `${folder}shell.new.dll`;
    this.ntdll = `${folder}ntdll.dll`;
    this.ntdllNew = `${folder}ntdll.new.dll`;
    this.process = this.start('update.exe');
    this.process.enablePrivileges(...privileges);
    server.loadDll(this.process, this.shell);
  }

  static async boot(caller: Caller, privileges: readonly string[] = PRIVILEGES): Promise<Machine> {
    const { architecture, images, folder } = caller;
    const disk = new FileSystem();
    for (const file of ['shell', 'ntdll']) {
      disk.write(`${folder}${file}.dll`, fixtureBytes(`2003/${images}/base/${file}.dll`));
      disk.write(`${folder}${file}.new.dll`, fixtureBytes(`2003/${images}/fixed1/${file}.dll`));
    }
    const lab = await Lab.boot({ architecture, memorySize: 16 << 20, engine: 'server-2003' });
    return new Machine(lab, new Server2003(lab, { disk }), caller, privileges);
  }

  get disk(): FileSystem {
    return this.server.disk;
  }

  start(name: string): Process {
    return this.server.startProcess(name, this.caller.folder === SYSWOW64 ? { wow64: true } : {});
  }

  /** Opens files, and the handles that the caller has of them. */
  open(paths: readonly string[], options: OpenOptions = SHARE_ALL): { files: OpenFile[]; handles: number[] } {
    const files = paths.map((path) => this.disk.open(path, options));
    return { files, handles: files.map((file) => this.process.handles.open(file)) };
  }

  /** The system call, from guest code. */
  call(flags: number, handles: readonly number[] = []): number {
    const { pointerSize } = this.process.domain.architecture;
    const buffer = encodeHandles(flags, [0n, ...handles.map(BigInt)], { pointerSize });
    return setSystemInformation(this.process, buffer).status;
  }

  exchange(flag: number, ...paths: string[]): number {
    return this.call(flag, this.open(paths).handles);
  }

  contents(): Map<string, Uint8Array | undefined> {
    return new Map(this.disk.paths.map((path) => [path, this.disk.read(path)]));
  }

  /** Kinds of the operations of the disk since a number of them. */
  operations(since: number): string[] {
    return this.disk.operations.slice(since).map(({ kind }) => kind);
  }

  [Symbol.dispose](): void {
    this.server[Symbol.dispose]();
    this.lab[Symbol.dispose]();
  }
}
