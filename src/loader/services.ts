import { PAGE_SIZE, type Processor } from '../cpu/index.js';
import { KernelError } from './error.js';
import type { ImageDomain } from './image-domain.js';
import type { Kernel } from './kernel.js';
import type { Thread } from './thread.js';

/** What one argument of a simulated export is, and the TypeScript type that its handler receives. */
export interface ArgumentTypes {
  u32: number;
  i32: number;
  u64: bigint;
  /** SIZE_T and other pointer-sized integers. */
  size: bigint;
  pointer: bigint;
  /** NUL-terminated bytes, read from the guest. */
  cstring: string;
}
export type ArgumentType = keyof ArgumentTypes;

type Values<T extends readonly ArgumentType[]> = { [K in keyof T]: ArgumentTypes[T[K] & ArgumentType] };

/** A call from guest code into a simulated export, while it is being served. */
export interface ServiceCall {
  readonly kernel: Kernel;
  readonly domain: ImageDomain;
  readonly thread: Thread;
  readonly processor: Processor;
  /** Raw argument number `index` (0 is the first), also beyond the declared ones (variadic functions). */
  argument(index: number): bigint;
}

// biome-ignore lint/suspicious/noConfusingVoidType: a handler without a result is written as one without a return.
export type ServiceResult = bigint | number | undefined | void;

/** One export of a simulated module. */
export interface SimulatedExport {
  readonly name: string;
  readonly parameters: readonly ArgumentType[];
  /** `stdcall` and `cdecl` differ on x86 only: who removes the arguments from the stack. */
  readonly convention: 'stdcall' | 'cdecl';
  serve(call: ServiceCall): ServiceResult;
}

/** Declares a simulated export with typed arguments. Returning undefined means a function without a result. */
export function defineExport<const T extends readonly ArgumentType[]>(
  name: string,
  parameters: T,
  handler: (call: ServiceCall, ...values: Values<T>) => ServiceResult,
  convention: 'stdcall' | 'cdecl' = 'stdcall',
): SimulatedExport {
  return {
    name,
    parameters,
    convention,
    serve(call) {
      const values = readArguments(call, parameters) as unknown as Values<T>;
      return handler(call, ...values);
    },
  };
}

/** 32-bit stacks hold a 64-bit argument in two slots. */
function readArguments(call: ServiceCall, parameters: readonly ArgumentType[]): (number | bigint | string)[] {
  const { pointerSize } = call.processor.architecture;
  let slot = 0;
  return parameters.map((type) => {
    let raw = call.argument(slot++);
    if (type === 'u64' && pointerSize === 4) raw |= call.argument(slot++) << 32n;
    switch (type) {
      case 'u32':
        return Number(BigInt.asUintN(32, raw));
      case 'i32':
        return Number(BigInt.asIntN(32, raw));
      case 'cstring':
        return raw === 0n ? '' : call.thread.addressSpace.readCString(raw, 0x10000);
      case 'u64':
        return BigInt.asUintN(64, raw);
      default:
        return BigInt.asUintN(pointerSize * 8, raw);
    }
  });
}

/** Bytes of arguments that the callee removes from the stack: x86 stdcall functions only. */
export function calleePops(entry: SimulatedExport, pointerSize: 4 | 8): number {
  if (pointerSize === 8 || entry.convention === 'cdecl') return 0;
  return entry.parameters.reduce((sum, type) => sum + (type === 'u64' ? 8 : 4), 0);
}

/** A module that has no image, only exports implemented here: `ntoskrnl.exe`. */
export interface SimulatedModule {
  readonly name: string;
  readonly exports: readonly SimulatedExport[];
}

const SERVICE_SPACING = 16;

/** The addresses of one domain's simulated exports; fetching from one leaves the guest. */
export class ServiceTable {
  readonly #modules = new Map<string, Map<string, SimulatedExport>>();
  readonly #addresses = new Map<string, bigint>();
  readonly #services = new Map<bigint, { module: string; entry: SimulatedExport }>();
  #page = 0n;
  #used = PAGE_SIZE;

  constructor(private readonly domain: ImageDomain) {}

  /** Adds a module, or replaces exports of one that is there. Bound imports keep their address and get the new meaning. */
  define(module: SimulatedModule): void {
    const name = module.name.toLowerCase();
    const exports = this.#modules.get(name) ?? new Map<string, SimulatedExport>();
    this.#modules.set(name, exports);
    for (const entry of module.exports) {
      exports.set(entry.name, entry);
      const address = this.#addresses.get(`${name}!${entry.name}`);
      if (address !== undefined) this.#services.set(address, { module: module.name, entry });
    }
  }

  has(module: string): boolean {
    return this.#modules.has(module.toLowerCase());
  }

  /** Address to bind an import to; undefined when the module is simulated but lacks the function, or is not simulated. */
  resolve(module: string, name: string): bigint | undefined {
    const entry = this.#modules.get(module.toLowerCase())?.get(name);
    return entry === undefined ? undefined : this.#place(module, entry);
  }

  /** An address that, when it is called, ends the call with an error naming what is missing and who called it. */
  trap(module: string, name: string): bigint {
    return this.#place(module, {
      name,
      parameters: [],
      convention: 'cdecl',
      serve: ({ thread, processor }) => {
        const caller = thread.describe(processor.architecture.returnAddressAtEntry(processor));
        throw new KernelError({
          rule: 'importNotModelled',
          status: 'STATUS_ENTRYPOINT_NOT_FOUND',
          message: `${module}!${name} is not modelled; it was called from ${caller}`,
          hint: `load an image that exports it, or define it: kernel.services.define({ name: '${module}', exports: [defineExport('${name}', …)] })`,
        });
      },
    });
  }

  at(address: bigint): { module: string; entry: SimulatedExport } | undefined {
    return this.#services.get(address);
  }

  #place(module: string, entry: SimulatedExport): bigint {
    const key = `${module.toLowerCase()}!${entry.name}`;
    const known = this.#addresses.get(key);
    if (known !== undefined) return known;
    if (this.#used + SERVICE_SPACING > PAGE_SIZE) {
      this.#page = this.domain.allocate('services', PAGE_SIZE);
      this.domain.table.service(this.#page, 1);
      this.#used = 0;
    }
    const address = this.#page + BigInt(this.#used);
    this.#used += SERVICE_SPACING;
    this.#addresses.set(key, address);
    this.#services.set(address, { module, entry });
    return address;
  }
}
