import { type AddressSpace, type Architecture, CpuError, formatAddress } from '../cpu/index.js';
import type { ImageRecord } from '../engine/index.js';
import type { Lab } from '../lab/index.js';
import type { Kernel, LoadedImage, StackFrame, Thread } from '../loader/index.js';
import { DebugError } from './error.js';
import { patchedFunctionBehind } from './hops.js';

/** A machine as one of its threads sees it. */
export class ThreadView {
  constructor(
    readonly lab: Lab,
    /** Whose registers and address space are meant. */
    readonly thread: Thread,
  ) {}

  get kernel(): Kernel {
    return this.lab.kernel;
  }

  /** What the modern engine keeps of an image; the engine of Server 2003 has neither HPAT nor undo table. */
  recordOf(image: LoadedImage): ImageRecord | undefined {
    const { engine } = this.lab;
    return engine.name === 'modern' ? engine.record(image) : undefined;
  }

  get architecture(): Architecture {
    return this.thread.architecture;
  }

  get pointerSize(): 4 | 8 {
    return this.architecture.pointerSize;
  }

  get space(): AddressSpace {
    return this.thread.addressSpace;
  }

  get pc(): bigint {
    return this.thread.pc;
  }

  /** Images that the thread's code can see: those of its process or session, then the kernel's. */
  get images(): readonly LoadedImage[] {
    const { domain } = this.thread;
    const parent = domain.parent ?? (domain.kind === 'user' ? this.kernel.system : undefined);
    return [...domain.images, ...(parent?.images ?? [])];
  }

  imageAt(address: bigint): LoadedImage | undefined {
    return this.images.find((image) => image.contains(address));
  }

  /** By module name or file name, in any case. */
  image(name: string): LoadedImage {
    const wanted = name.toLowerCase();
    const image = this.images.find(
      ({ moduleName, baseDllName }) =>
        moduleName.toLowerCase() === wanted || baseDllName.toLowerCase() === wanted,
    );
    if (image === undefined)
      throw new DebugError(`there is no module '${name}'; lm lists those that are loaded`);
    return image;
  }

  /** `demo!dispatch+0x9`, `demo!dispatch-0x5` in the padding of a patched function, or undefined where no image is. */
  nameOf(address: bigint): string | undefined {
    const service = this.thread.domain.services.at(address);
    if (service !== undefined) return `${service.module.replace(/\.[^.]*$/, '')}!${service.entry.name}`;
    const image = this.imageAt(address);
    if (image === undefined) return undefined;
    const padded = patchedFunctionBehind(this, image, address);
    return padded === undefined
      ? image.describe(address)
      : `${image.describe(padded)}-0x${(padded - address).toString(16)}`;
  }

  describe(address: bigint): string {
    return this.nameOf(address) ?? this.format(address);
  }

  /** `fffff800``10001234`; 8 digits in 32-bit code. */
  format(address: bigint): string {
    return formatAddress(this.architecture.name, address);
  }

  read(address: bigint, length: number): Uint8Array {
    try {
      return this.space.read(address, length);
    } catch (error) {
      if (error instanceof CpuError) throw new DebugError(`there is no memory at ${this.format(address)}`);
      throw error;
    }
  }

  /** As many of `length` bytes as there are. */
  readUpTo(address: bigint, length: number): Uint8Array {
    const parts: Uint8Array[] = [];
    for (let at = address; at < address + BigInt(length); ) {
      const count = Math.min(0x1000 - Number(at & 0xfffn), Number(address - at) + length);
      if (this.space.query(at).state !== 'committed') break;
      parts.push(this.space.read(at, count));
      at += BigInt(count);
    }
    return new Uint8Array(Buffer.concat(parts));
  }

  readPointer(address: bigint): bigint {
    return littleEndian(this.read(address, this.pointerSize));
  }

  /** A general register, `pc`, `sp`, or `$ip` and `$ra`; undefined when there is none of that name. */
  register(name: string): bigint | undefined {
    const { programCounter, stackPointer, registers, registerFile } = this.architecture;
    const wanted = ALIASES[name] ?? name;
    if (wanted === 'pc' || wanted === programCounter) return this.thread.pc;
    if (wanted === 'sp' || wanted === stackPointer) return this.thread.sp;
    if (wanted === '$ra') return this.stack()[1]?.pc ?? this.architecture.returnAddress;
    const [, half] = /^w(\d+)$/.exec(wanted) ?? [];
    const whole = half === undefined ? undefined : `x${half}`;
    if (whole !== undefined && registers.includes(whole))
      return BigInt.asUintN(32, this.thread.register(whole));
    if (!registers.includes(wanted) && !registerFile.has(wanted)) return undefined;
    return this.thread.register(wanted);
  }

  stack(): readonly StackFrame[] {
    return this.thread.stackWalk();
  }
}

const ALIASES: Readonly<Record<string, string>> = { $ip: 'pc', $csp: 'sp', ip: 'pc', lr: 'x30', fp: 'x29' };

export function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of [...bytes].reverse()) value = (value << 8n) | BigInt(byte);
  return value;
}
