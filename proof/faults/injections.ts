import { CpuError } from '../../cpu/index.js';
import type { Lab } from '../../lab/index.js';
import { KernelError, type LoadedImage } from '../../loader/index.js';

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

/** Replaces what can fail by something that does when `isDue`, until it is disposed of. */
export function inject({ kernel }: Lab, kind: FaultKind, isDue: () => boolean): Disposable {
  const undo: (() => void)[] = [];
  const replaced = new Set<unknown>();
  /** Puts another method in the place of one of the object. */
  function replace<T extends object, K extends keyof T>(object: T, name: K, make: (own: T[K]) => T[K]): void {
    const method = object[name];
    if (typeof method !== 'function') throw new TypeError(`${String(name)} is no method`);
    const own: T[K] = method.bind(object);
    object[name] = make(own);
    undo.push(() => {
      object[name] = own;
    });
  }
  const failing = <F>(own: F): F => {
    const call = own as (...of: readonly unknown[]) => unknown;
    const replacement = (...of: readonly unknown[]) => {
      if (isDue()) throw failure(kind);
      return call(...of);
    };
    return replacement as F;
  };
  let depth = 0;
  /** Of every object of the class: those of processes, too, that do not exist yet. */
  function replaceForAll(object: object, name: string): void {
    const owner = ownerOf(object, name);
    const own = owner[name];
    if (typeof own !== 'function' || replaced.has(own)) return;
    const replacement = function (this: unknown, ...of: readonly unknown[]): unknown {
      // A method that calls the one it overrides is one thing that can fail, not two.
      if (depth === 0 && isDue()) throw failure(kind);
      depth += 1;
      try {
        return own.apply(this, of);
      } finally {
        depth -= 1;
      }
    };
    replaced.add(replacement);
    owner[name] = replacement;
    undo.push(() => {
      owner[name] = own;
    });
  }
  switch (kind) {
    case 'codeStore':
      for (const { writer } of kernel.domains) replaceForAll(writer, 'writeCode');
      break;
    case 'dataStore':
      for (const { writer } of kernel.domains) replaceForAll(writer, 'writeData');
      break;
    case 'page':
      replace(kernel.machine.memory, 'allocate', failing);
      break;
    case 'addressSpace':
      for (const { pool, stacks, imageRegion } of kernel.domains)
        for (const area of [pool, stacks, imageRegion]) replaceForAll(area, 'allocate');
      break;
    case 'attach':
      replace(kernel, 'attachSession', failing);
      break;
    case 'gather':
      replace(kernel, 'gatherProcessors', failing);
      break;
    case 'calloutFails':
    case 'calloutCrashes':
      replace(kernel, 'call64', (call) => (target, parameters, options) => {
        const image = options?.domain?.imageAt(target);
        if (image === undefined || !isCallout(image, target) || !isDue())
          return call(target, parameters, options);
        if (kind === 'calloutCrashes') return call(0n, parameters, options);
        call(target, parameters, options);
        return STATUS_UNSUCCESSFUL;
      });
      break;
    case 'step':
    case 'abandoned':
      break;
  }
  return {
    [Symbol.dispose]: () => {
      for (const one of undo.reverse()) one();
    },
  };
}

function isCallout(image: LoadedImage, target: bigint): boolean {
  const rva = image.exportRva(PATCH_MAIN_CALLOUT);
  return rva !== undefined && image.address(rva) === target;
}

/** The class that defines a method. */
function ownerOf(object: object, name: string): Record<string, unknown> {
  let owner: object | null = object;
  while (owner !== null && !Object.hasOwn(owner, name)) owner = Object.getPrototypeOf(owner);
  if (owner === null) throw new TypeError(`there is no method ${name}`);
  return owner as Record<string, unknown>;
}
