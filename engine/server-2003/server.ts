import type { PeImage, SymbolTable } from '../../image/index.js';
import {
  type FileSection,
  FileSystem,
  type Kernel,
  KernelError,
  type LoadedImage,
  type Process,
} from '../../loader/index.js';
import type { Server2003Engine } from './engine.js';

interface KnownDll {
  readonly path: string;
  readonly image: PeImage;
  readonly section: FileSection;
}

/** What a {@link Server2003} starts with. */
export interface Server2003Options {
  /** The disk, which may be that of a server that ran before. Default: an empty one. */
  readonly disk?: FileSystem;
}

/** `C:\WINDOWS\system32\shell.dll` */
export const SYSTEM32 = 'C:\\WINDOWS\\system32\\';
/** Where a 64-bit system has its 32-bit DLLs. */
export const SYSWOW64 = 'C:\\WINDOWS\\SysWOW64\\';

/**
 * A running Windows Server 2003: a kernel, its hotpatch engine, and a disk that its modules come from. Each image that is
 * mapped from the disk locks its file. A reboot is a new one with the same disk.
 */
export class Server2003 implements Disposable {
  /** The kernel of the machine that it was made of. */
  readonly kernel: Kernel;
  /** Its hotpatch engine. */
  readonly engine: Server2003Engine;
  /** The disk that its modules come from. */
  readonly disk: FileSystem;
  /** The file that each mapped image keeps locked, and the name that it was loaded by. */
  readonly #sections = new Map<LoadedImage, { readonly path: string; readonly section: Disposable }>();
  /** The sections of ntdll that the kernel made at boot, by folder: every process gets one of them (KnownDLLs). */
  readonly #ntdlls = new Map<string, KnownDll>();

  /** @param machine a lab that was booted with the engine `server-2003` */
  constructor(
    machine: { readonly kernel: Kernel; readonly engine: Server2003Engine },
    { disk = new FileSystem() }: Server2003Options = {},
  ) {
    this.kernel = machine.kernel;
    this.engine = machine.engine;
    this.disk = disk;
    disk.startBoot();
    this.engine.serve({
      disk,
      reloadNtdll: () => this.reloadNtdll(),
      mapped: (path, image) => this.#lockHotpatch(path, image),
    });
    this.#mapNtdll();
    this.kernel.onImageUnload((image) => this.#release(image));
  }

  /** Loads a driver from the disk into kernel space. */
  loadDriver(path: string, symbols?: SymbolTable): LoadedImage {
    return this.#locked(path, (image, name) => this.kernel.loadImage(image, { name, symbols }));
  }

  /** A process starts: it maps ntdll, from the section of the kernel and not from the disk. */
  startProcess(name: string, options: { readonly wow64?: boolean } = {}): Process {
    // All processes of a 32-bit system are what a 64-bit one runs under WOW64.
    const is32BitSystem = this.kernel.boot.runsWow64;
    const process = this.kernel.createProcess({ name, ...(is32BitSystem ? { wow64: true } : options) });
    const ntdll = this.#ntdlls.get(process.wow64 && !is32BitSystem ? SYSWOW64 : SYSTEM32);
    if (ntdll?.image.architecture === process.domain.architecture.name) {
      const loaded = process.loadImage(ntdll.image, { name: 'ntdll.dll', initialize: false });
      this.#sections.set(loaded, { path: ntdll.path, section: ntdll.section.mapAgain() });
    }
    return process;
  }

  /** Loads a DLL into a process, from what the disk has under that name now. */
  loadDll(process: Process, path: string, symbols?: SymbolTable): LoadedImage {
    return this.#locked(path, (image, name) => process.loadImage(image, { name, symbols }));
  }

  /** Images that were loaded by a file's name, whatever the file was at that time. */
  imagesOf(path: string): LoadedImage[] {
    const isOf = ([, known]: readonly [LoadedImage, { readonly path: string }]) =>
      known.path.toLowerCase() === path.toLowerCase();
    return [...this.#sections].filter(isOf).map(([image]) => image);
  }

  /** RELOAD_NTDLL. */
  reloadNtdll(): void {
    this.#mapNtdll();
    this.kernel.events.emit({
      kind: 'ntdllReloaded',
      text: 'RELOAD_NTDLL: processes that start from now on map the ntdll.dll that is on disk',
    });
  }

  /** The system is switched off: every file is free again. */
  [Symbol.dispose](): void {
    for (const { section } of this.#sections.values()) section[Symbol.dispose]();
    for (const { section } of this.#ntdlls.values()) section[Symbol.dispose]();
  }

  #mapNtdll(): void {
    for (const folder of [SYSTEM32, SYSWOW64]) {
      const path = `${folder}ntdll.dll`;
      const image = this.disk.readImage(path);
      this.#ntdlls.get(folder)?.section[Symbol.dispose]();
      this.#ntdlls.delete(folder);
      if (image !== undefined) this.#ntdlls.set(folder, { path, image, section: this.disk.mapImage(path) });
    }
  }

  #locked(path: string, load: (image: PeImage, name: string) => LoadedImage): LoadedImage {
    const image = this.disk.readImage(path);
    if (image === undefined)
      throw new KernelError({
        rule: 'file.notFound',
        status: 'STATUS_OBJECT_NAME_NOT_FOUND',
        image: path,
        message: 'there is no such file on the disk',
        hint: 'put it there: server.disk.write(path, bytes)',
      });
    const section = this.disk.mapImage(path);
    try {
      const loaded = load(image, path.replace(/^.*[\\/]/, ''));
      if (this.#sections.has(loaded)) section[Symbol.dispose]();
      else this.#sections.set(loaded, { path, section });
      return loaded;
    } catch (error) {
      section[Symbol.dispose]();
      throw error;
    }
  }

  /** A hotpatch image locks its file too, where that is what was loaded. */
  #lockHotpatch(path: string, image: LoadedImage): void {
    const bytes = this.disk.read(path);
    if (bytes === undefined || Buffer.compare(bytes, image.image.bytes) !== 0) return;
    this.#sections.set(image, { path, section: this.disk.mapImage(path) });
  }

  #release(image: LoadedImage): void {
    this.#sections.get(image)?.section[Symbol.dispose]();
    this.#sections.delete(image);
  }
}
