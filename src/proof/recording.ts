import { type ArchitectureName, isExecutable, PAGE_SIZE } from '../cpu/index.js';
import type { EngineStep, StoreTarget } from '../engine/index.js';
import type { OperationKind, Subject } from './subject.js';

export interface Range {
  readonly start: bigint;
  /** First address behind it. */
  readonly end: bigint;
}

export interface StoreProtocolStep {
  readonly kind: 'store';
  readonly target: StoreTarget | 'breakpoint';
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly text: string;
  /** The store is left out when a processor stands in this range at that moment. */
  readonly unlessOccupied?: Range;
}

/** One step of a way to change code while processors run. Steps are done in order; a step is indivisible. */
export type ProtocolStep =
  | StoreProtocolStep
  | { readonly kind: 'rendezvous'; readonly phase: 'begin' | 'end'; readonly text: string }
  /** Left out with `ifRestored` when every store before it was left out. */
  | { readonly kind: 'serialise'; readonly text: string; readonly ifRestored?: true }
  | { readonly kind: 'unmap'; readonly range: Range; readonly text: string }
  /** Bookkeeping that no processor can notice. */
  | { readonly kind: 'note'; readonly text: string };

/** One function that the operation leads elsewhere, as seen from its stores. */
export interface Redirection {
  readonly entry: bigint;
  /** The bytes at the entry before and after. */
  readonly before: Uint8Array;
  readonly after: Uint8Array;
  /** Where the function's calls go after the operation; undefined when its original code runs again. */
  readonly target: bigint | undefined;
  readonly symbol: string;
}

/** What the real engine did for one operation on a machine whose processors stood still. */
export interface Recording {
  readonly architecture: ArchitectureName;
  readonly operation: OperationKind;
  readonly steps: readonly ProtocolStep[];
  readonly redirections: readonly Redirection[];
  /** Bytes before the first step, at every address that the steps store to. */
  readonly before: ReadonlyMap<bigint, number>;
  /** Pages that got memory of their own by the first store: whoever runs there fetches anew, as after a TLB shootdown. */
  readonly copiedOnWrite: ReadonlySet<bigint>;
  /** The patch image whose functions ran before a revert, or run after an apply. */
  readonly patchImage: Range | undefined;
}

/** Runs the operation through and keeps what it stored, in order. The machine is afterwards as the operation leaves it. */
export function record(subject: Subject): Recording {
  const { lab, operation } = subject;
  const { machine } = lab.kernel;
  const steps: ProtocolStep[] = [];
  const before = new Map<bigint, number>();
  const entries = new Map<bigint, { before: Uint8Array; after: Uint8Array; symbol: string }>();
  const dataSlots = new Map<string, bigint>();
  const copiedOnWrite = copyOnWritePages(subject);
  let restores = false;
  for (const step of subject.steps()) {
    if (step.kind === 'store') {
      for (const [index, byte] of step.before.entries()) {
        const address = step.address + BigInt(index);
        if (!before.has(address)) before.set(address, byte);
      }
      if (step.target === 'entry') {
        const first = entries.get(step.address);
        entries.set(step.address, {
          before: first?.before ?? step.before,
          after: step.bytes,
          symbol: step.symbol,
        });
      }
      if (step.target === 'dataSlot') dataSlots.set(step.symbol, readPointer(step.bytes));
    }
    const isRestoring = step.kind === 'store' && step.target === 'padding' && operation === 'revert';
    steps.push(protocolStep(step, isRestoring, restores));
    restores ||= isRestoring;
  }
  const { images } = lab.kernel.domain;
  const newest = images.findLast((image) => image.loadReason === 'PatchImage');
  return {
    architecture: machine.architecture.name,
    operation,
    steps,
    before,
    copiedOnWrite,
    redirections: [...entries].map(([entry, { before: old, after, symbol }]) => ({
      entry,
      before: old,
      after,
      symbol,
      target: operation === 'revert' ? undefined : dataSlots.get(symbol),
    })),
    patchImage: newest && { start: newest.dllBase, end: newest.dllBase + BigInt(newest.sizeOfImage) },
  };
}

function protocolStep(step: EngineStep, isRestoring: boolean, restores: boolean): ProtocolStep {
  const { text } = step;
  switch (step.kind) {
    case 'store': {
      const { target, address, bytes } = step;
      const store = { kind: 'store', target, address, bytes, text } as const;
      const range = { start: address, end: address + BigInt(bytes.length) };
      return isRestoring ? { ...store, unlessOccupied: range } : store;
    }
    case 'rendezvous':
      return { kind: 'rendezvous', phase: step.phase, text };
    case 'serialised':
      return restores ? { kind: 'serialise', text, ifRestored: true } : { kind: 'serialise', text };
    default:
      return { kind: 'note', text };
  }
}

function copyOnWritePages({ lab }: Subject): Set<bigint> {
  const { addressSpace, images } = lab.kernel.domain;
  const pages = new Set<bigint>();
  for (const image of images)
    for (let offset = 0; offset < image.sizeOfImage; offset += PAGE_SIZE) {
      const page = image.dllBase + BigInt(offset);
      if (addressSpace.query(page).copyOnWrite) pages.add(page);
    }
  return pages;
}

function readPointer(bytes: Uint8Array): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(0, true);
}

/** Whether code can be fetched from `address` in the machine of the subject. */
export function isCode(subject: Subject, address: bigint): boolean {
  const { protection } = subject.lab.kernel.domain.addressSpace.query(address);
  return protection !== undefined && isExecutable(protection);
}
