import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { ModernEngine } from '../../engine/index.js';
import { findSymbols, type PeImage, readImage } from '../../image/index.js';
import {
  GuestCrash,
  type ImageDomain,
  Kernel,
  KernelError,
  type LoadedImage,
  type Thread,
} from '../../loader/index.js';

export type Argument = bigint | number | string | Uint8Array;

/** How a call of guest code ended. */
export type Outcome = { readonly value: bigint } | { readonly ended: string };

/** A process with a library in it, on a machine whose heap checks its bounds: functions are called by name. */
export class LibraryProcess implements Disposable {
  readonly kernel: Kernel;
  readonly image: LoadedImage;
  readonly #domain: ImageDomain;
  readonly #engine: ModernEngine;
  #patch: ReturnType<ModernEngine['load']> | undefined;

  constructor(path: string) {
    const image = readImage(readFileSync(path), { file: path });
    const { architecture } = image;
    this.kernel = Kernel.boot({ architecture, processors: 1, heap: 'checked', memorySize: 0x1400_0000 });
    this.#engine = new ModernEngine(this.kernel);
    this.#domain =
      architecture === 'x86' ? this.kernel.domain : this.kernel.createProcess({ name: 'known.exe' }).domain;
    this.image = this.kernel.loadImage(image, {
      domain: this.#domain,
      name: basename(path),
      symbols: symbolsOf(image, path),
    });
  }

  get pointerSize(): 4 | 8 {
    return this.kernel.machine.architecture.pointerSize;
  }

  /** Applies a hotpatch; returns the host's microseconds that it took. */
  patch(path: string): number {
    const image = readImage(readFileSync(path), { file: path });
    const start = performance.now();
    this.#patch = this.#engine.load(image, { name: basename(path), symbols: symbolsOf(image, path) });
    return (performance.now() - start) * 1000;
  }

  unpatch(): void {
    if (this.#patch !== undefined) this.#engine.unload(this.#patch);
    this.#patch = undefined;
  }

  /** Bytes that lie in memory of their own, a NUL behind a string. */
  put(data: string | Uint8Array): bigint {
    const bytes = typeof data === 'string' ? Buffer.from(`${data}\0`, 'latin1') : data;
    const address = this.#domain.allocateMemory('pool', Math.max(16, bytes.length));
    this.#domain.addressSpace.write(address, bytes);
    return address;
  }

  /** So many zero bytes. */
  space(size: number): bigint {
    return this.put(new Uint8Array(size));
  }

  read(address: bigint, size: number): Uint8Array {
    return this.#domain.addressSpace.read(address, size);
  }

  pointer(address: bigint): bigint {
    const bytes = Buffer.from(this.read(address, this.pointerSize));
    return this.pointerSize === 8 ? bytes.readBigUInt64LE() : BigInt(bytes.readUInt32LE());
  }

  write(address: bigint, bytes: Uint8Array): void {
    this.#domain.addressSpace.write(address, bytes);
  }

  /** How many bytes from an address on can be read, up to a limit: a checked heap's block ends where its memory does. */
  readable(address: bigint, limit: number): number {
    let size = 0;
    try {
      while (size < limit) {
        this.read(address + BigInt(size), 1);
        size++;
      }
    } catch (error) {
      if (!(error instanceof Error)) throw error;
    }
    return size;
  }

  text(address: bigint): string {
    return address === 0n ? '(null)' : this.#domain.addressSpace.readCString(address, 0x10000);
  }

  /** A thread that will call a function. */
  start(name: string, ...args: readonly Argument[]): Thread {
    const values = args.map((value) =>
      typeof value === 'string' || value instanceof Uint8Array ? this.put(value) : value,
    );
    return this.kernel.createThread(this.image.symbol(name), values, { domain: this.#domain, name: 'call' });
  }

  /** Calls a function and returns its whole result register. */
  call(name: string, ...args: readonly Argument[]): bigint {
    return this.finish(this.start(name, ...args));
  }

  /** The same as a C `int`. */
  int(name: string, ...args: readonly Argument[]): number {
    return Number(BigInt.asIntN(32, this.call(name, ...args)));
  }

  finish(thread: Thread): bigint {
    this.kernel.run({ until: thread.returns() });
    return BigInt.asUintN(this.pointerSize * 8, thread.returnValue ?? 0n);
  }

  /** All executable bytes of the library. */
  code(): Uint8Array {
    const parts = this.image.image.sections
      .filter(({ characteristics }) => (characteristics & 0x2000_0000) !== 0)
      .map(({ virtualAddress, virtualSize }) => this.read(this.image.address(virtualAddress), virtualSize));
    return Buffer.concat(parts);
  }

  [Symbol.dispose](): void {
    this.kernel[Symbol.dispose]();
  }
}

function symbolsOf(image: PeImage, path: string) {
  return findSymbols({ image, path }, {}).table;
}

/** What a story of calls tells, or what ended it. */
export function tell(process: LibraryProcess, story: (process: LibraryProcess) => string): string {
  try {
    return story(process);
  } catch (error) {
    if (error instanceof GuestCrash) return `fault: ${plainFault(error.message)}`;
    if (error instanceof KernelError) return `stopped (${error.rule}): ${plainFault(error.reason)}`;
    throw error;
  }
}

/** Without addresses, which differ from image to image. */
function plainFault(text: string): string {
  return text
    .replace(/[0-9a-f]{8}`[0-9a-f]{8}|0x[0-9a-f]{6,}/gi, '…')
    .replace(/\s+/g, ' ')
    .slice(0, 160);
}
