import { CpuError } from '../../cpu/index.js';
import {
  type BootSeams,
  type GuestFunctionCall,
  type ImageWriter,
  KernelError,
  type KernelRequest,
  type LoadedImage,
} from '../../loader/index.js';

/** Things that can fail, each at the n-th time that it is done. */
export const FAULTS = {
  codeStore: 'a store into code',
  dataStore: 'a store into data',
  page: 'a page of memory is asked for',
  addressSpace: 'a stretch of an address space is asked for',
  step: 'the engine is stopped by an error after a step',
  abandoned: 'the engine is given up after a step',
  calloutFails: 'the callout returns an error',
  calloutCrashes: 'the callout jumps to address 0',
  attach: 'the HotPatch process attaches to a session',
  gather: 'the processors are gathered',
} as const;

export type FaultKind = keyof typeof FAULTS;

/** The status that an operation must end with when this fails; undefined: see the place and phase that it happens in. */
export const STATUS_OF_FAULT: Readonly<Record<FaultKind, string | undefined>> = {
  codeStore: 'STATUS_ACCESS_VIOLATION',
  dataStore: 'STATUS_ACCESS_VIOLATION',
  page: 'STATUS_NO_MEMORY',
  addressSpace: 'STATUS_NO_MEMORY',
  step: 'STATUS_INTERNAL_ERROR',
  abandoned: undefined,
  calloutFails: 'STATUS_UNSUCCESSFUL',
  calloutCrashes: undefined,
  attach: 'STATUS_INSUFFICIENT_RESOURCES',
  gather: 'STATUS_IO_TIMEOUT',
};

export function failure(kind: FaultKind): Error {
  const message = `injected: ${FAULTS[kind]}`;
  if (kind === 'page' || kind === 'addressSpace')
    return new CpuError('noMemory', message, { status: 'STATUS_NO_MEMORY' });
  const status = STATUS_OF_FAULT[kind] ?? 'STATUS_INTERNAL_ERROR';
  return new KernelError({
    rule: 'injected',
    status: status as ConstructorParameters<typeof KernelError>[0]['status'],
    message,
  });
}

const PATCH_MAIN_CALLOUT = '__PatchMainCallout__';
const STATUS_UNSUCCESSFUL = 0xc000_0001n;

const OF_REQUEST: Readonly<Record<KernelRequest['kind'], FaultKind>> = {
  page: 'page',
  addressSpace: 'addressSpace',
  attachSession: 'attach',
  gatherProcessors: 'gather',
};

/** Makes a system fail: it is booted with the injector's {@link seams}, and what can fail does when it is due. */
export class FaultInjector {
  #current: { readonly kind: FaultKind; readonly isDue: () => boolean } | undefined;

  readonly seams: BootSeams = {
    writer: (own) => this.#watched(own),
    before: ({ kind }) => this.#check(OF_REQUEST[kind]),
    call: (call, perform) => this.#call(call, perform),
  };

  /** What can fail in this way does so when `isDue`, until it is disposed of. */
  inject(kind: FaultKind, isDue: () => boolean): Disposable {
    this.#current = { kind, isDue };
    return {
      [Symbol.dispose]: () => {
        this.#current = undefined;
      },
    };
  }

  #isDue(kind: FaultKind): boolean {
    return this.#current?.kind === kind && this.#current.isDue();
  }

  #check(kind: FaultKind): void {
    if (this.#isDue(kind)) throw failure(kind);
  }

  #watched(own: ImageWriter): ImageWriter {
    own.beforeStore(({ into }) => this.#check(into === 'code' ? 'codeStore' : 'dataStore'));
    return own;
  }

  #call({ target, domain }: GuestFunctionCall, perform: (target: bigint) => bigint): bigint {
    const image = domain.imageAt(target);
    if (image === undefined || !isCallout(image, target)) return perform(target);
    if (this.#isDue('calloutCrashes')) return perform(0n);
    const result = perform(target);
    return this.#isDue('calloutFails') ? STATUS_UNSUCCESSFUL : result;
  }
}

function isCallout(image: LoadedImage, target: bigint): boolean {
  const rva = image.exportRva(PATCH_MAIN_CALLOUT);
  return rva !== undefined && image.address(rva) === target;
}
