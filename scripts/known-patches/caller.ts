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

/** A library that is loaded somewhere: its functions are called by name. */
export class CalledLibrary {
  readonly #domain: ImageDomain;

  constructor(
    readonly kernel: Kernel,
    readonly image: LoadedImage,
  ) {
    this.#domain = image.domain;
  }

  get pointerSize(): 4 | 8 {
    return this.kernel.machine.architecture.pointerSize;
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

  /** Where functions begin, those that have a symbol. */
  entries(names: readonly string[]): bigint[] {
    return names.flatMap((name) => {
      try {
        return [this.image.symbol(name)];
      } catch {
        return [];
      }
    });
  }

  /** What is passed for an argument: text and bytes get memory of their own. */
  value(argument: Argument): bigint {
    return typeof argument === 'string' || argument instanceof Uint8Array
      ? this.put(argument)
      : BigInt(argument);
  }

  /** A thread that will call a function. */
  start(name: string, ...args: readonly Argument[]): Thread {
    const values = args.map((value) => this.value(value));
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
    this.kernel.destroyThread(thread);
    return BigInt.asUintN(this.pointerSize * 8, thread.returnValue ?? 0n);
  }

  /** All executable bytes of the library. */
  code(): Uint8Array {
    const parts = this.image.image.sections
      .filter(({ characteristics }) => (characteristics & 0x2000_0000) !== 0)
      .map(({ virtualAddress, virtualSize }) => this.read(this.image.address(virtualAddress), virtualSize));
    return Buffer.concat(parts);
  }
}

/** A process with a library in it, on a machine of its own whose heap checks its bounds. */
export class LibraryProcess extends CalledLibrary implements Disposable {
  readonly #engine: ModernEngine;
  #patch: ReturnType<ModernEngine['load']> | undefined;

  constructor(path: string) {
    const image = readImage(readFileSync(path), { file: path });
    const { architecture } = image;
    const kernel = Kernel.boot({ architecture, processors: 1, heap: 'checked', memorySize: 0x1400_0000 });
    const { domain: own } = kernel;
    const domain = own.kind === 'user' ? own : kernel.createProcess({ name: 'known.exe' }).domain;
    const engine = new ModernEngine(kernel);
    super(kernel, kernel.loadImage(image, { domain, name: basename(path), symbols: symbolsOf(image, path) }));
    this.#engine = engine;
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

  [Symbol.dispose](): void {
    this.kernel[Symbol.dispose]();
  }
}

export function symbolsOf(image: PeImage, path: string) {
  return findSymbols({ image, path }, {}).table;
}

/** What a story of calls tells, or what ended it. */
export function tell<L extends CalledLibrary>(library: L, story: (library: L) => string): string {
  try {
    return story(library);
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
