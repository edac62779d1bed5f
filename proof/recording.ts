import { type ArchitectureName, instructionFacts, isExecutable, PAGE_SIZE } from '../cpu/index.js';
import type { EngineStep, StoreStep, StoreTarget } from '../engine/index.js';
import type { Lab } from '../lab/index.js';
import type { ImageDomain, LoadedImage } from '../loader/index.js';
import { type OperationKind, placeNamed, placeOf, type Subject } from './subject.js';

export interface Range {
  readonly start: bigint;
  /** First address behind it. */
  readonly end: bigint;
}

/** Where something is in memory: at the same address there is something else in each process and in each session. */
export interface PlacedRange extends Range {
  /** Name of the domain. */
  readonly place: string;
}

export interface StoreProtocolStep {
  readonly kind: 'store';
  readonly target: StoreTarget | 'breakpoint';
  /** Name of the domain that is stored into: `system`, `session 1`, `mail.exe (12)`. */
  readonly place: string;
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly text: string;
  /** The function that it belongs to. */
  readonly symbol?: string;
  /** The store is left out when a processor stands in one of these ranges of the place at that moment. */
  readonly unlessOccupied?: readonly Range[];
}

/** One step of a way to change code while processors run. Steps are done in order; a step is indivisible. */
export type ProtocolStep =
  | StoreProtocolStep
  | { readonly kind: 'rendezvous'; readonly phase: 'begin' | 'end'; readonly text: string }
  /** Left out with `ifRestored` when every store before it was left out. */
  | { readonly kind: 'serialise'; readonly text: string; readonly ifRestored?: true }
  | { readonly kind: 'unmap'; readonly range: PlacedRange; readonly text: string }
  /** Bookkeeping that no processor can notice. */
  | { readonly kind: 'note'; readonly text: string };

/** One function that the operation leads elsewhere, as seen from its stores. */
export interface Redirection {
  readonly place: string;
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
  /** The byte before the first step, at an address that the steps store to. */
  readonly before: (place: string, address: bigint) => number;
  /** Pages that got memory of their own by the first store: whoever runs there fetches anew, as after a TLB shootdown. */
  readonly isCopiedOnWrite: (place: string, page: bigint) => boolean;
  /** The patch images that functions led into before a revert, or lead into after an apply or repatch. */
  readonly patchImages: readonly PlacedRange[];
  /**
   * The byte of an image as it was loaded, at an address of a base that no patch is in force on after the operation;
   * undefined elsewhere.
   */
  readonly original: (place: string, address: bigint) => number | undefined;
}

/** Runs the operation through and keeps what it stored, in order. The machine is afterwards as the operation leaves it. */
export function record(subject: Subject): Recording {
  const { lab, operation } = subject;
  const steps: ProtocolStep[] = [];
  const before = new Map<string, number>();
  const redirections = new Map<string, Redirection>();
  const targets = new Map<string, bigint>();
  const { name: architecture } = placeOf(lab, subject.calls[0]).architecture;
  const patchedBefore = patchImagesOf(subject);
  const copiedOnWrite = copyOnWritePages(lab);
  for (const step of subject.steps()) {
    if (step.kind === 'store') {
      const { place } = step;
      for (const [index, byte] of step.before.entries()) {
        const key = keyOf(place, step.address + BigInt(index));
        if (!before.has(key)) before.set(key, byte);
      }
      if (step.target === 'entry') {
        const key = keyOf(place, step.address);
        const { address: entry, bytes: after, symbol } = step;
        const old = redirections.get(key)?.before ?? step.before;
        redirections.set(key, { place, entry, before: old, after, symbol, target: undefined });
      }
      const target = targetIn(architecture, step);
      const key = `${place} ${step.symbol}`;
      if (target !== undefined && !(step.target === 'padding' && targets.has(key))) targets.set(key, target);
    }
    steps.push(protocolStep(step));
  }
  return {
    architecture,
    operation,
    steps,
    before: (place, address) =>
      before.get(keyOf(place, address)) ?? placeNamed(lab, place).addressSpace.readU8(address),
    isCopiedOnWrite: (place, page) => copiedOnWrite.has(keyOf(place, page)),
    redirections: [...redirections.values()].map((redirection) => ({
      ...redirection,
      target: operation === 'revert' ? undefined : targets.get(`${redirection.place} ${redirection.symbol}`),
    })),
    patchImages: operation === 'revert' ? patchedBefore : patchImagesOf(subject),
    original: (place, address) => originalByte(subject, placeNamed(lab, place), address),
  };
}

const keyOf = (place: string, address: bigint): string => `${place} ${address}`;

function protocolStep(step: EngineStep): ProtocolStep {
  const { text } = step;
  switch (step.kind) {
    case 'store': {
      const { target, place, address, bytes, unlessOccupied, symbol } = step;
      const store = { kind: 'store', target, place, address, bytes, text, symbol } as const;
      return unlessOccupied === undefined ? store : { ...store, unlessOccupied };
    }
    case 'rendezvous':
      return { kind: 'rendezvous', phase: step.phase, text };
    case 'serialised':
      return { kind: 'serialise', text, ...(step.ifRestored === undefined ? {} : { ifRestored: true }) };
    default:
      return { kind: 'note', text };
  }
}

function copyOnWritePages({ kernel }: Lab): Set<string> {
  const pages = new Set<string>();
  for (const { images, addressSpace, name } of kernel.domains)
    for (const image of images)
      for (let offset = 0; offset < image.sizeOfImage; offset += PAGE_SIZE) {
        const page = image.dllBase + BigInt(offset);
        if (addressSpace.query(page).copyOnWrite) pages.add(keyOf(name, page));
      }
  return pages;
}

/** The patch images that functions lead into at this moment. */
function patchImagesOf(subject: Subject): PlacedRange[] {
  return subject.lab.kernel.domains.flatMap(({ images, name: place }) =>
    images
      .filter(({ loadReason }) => loadReason !== 'PatchImage')
      .flatMap((base) => subject.lab.engine.patchOf(base) ?? [])
      .map(({ dllBase, sizeOfImage }) => ({ place, start: dllBase, end: dllBase + BigInt(sizeOfImage) })),
  );
}

function originalByte(subject: Subject, domain: ImageDomain, address: bigint): number | undefined {
  const image = domain.images.find((candidate) => candidate.contains(address));
  if (image === undefined || image.loadReason === 'PatchImage') return undefined;
  return subject.lab.engine.patchOf(image) === undefined ? codeByte(image, address) : undefined;
}

function codeByte(image: LoadedImage, address: bigint): number | undefined {
  const rva = image.rva(address);
  let at = 0;
  for (const { virtualAddress, virtualSize } of image.executableSections) {
    if (rva >= virtualAddress && rva < virtualAddress + virtualSize)
      return image.codeBytesBeforePatch[at + rva - virtualAddress];
    at += virtualSize;
  }
  return undefined;
}

/** Where the function of a store goes: the pointer that a trampoline reads, or a jump that leads there by itself. */
function targetIn(architecture: ArchitectureName, { target, bytes, address }: StoreStep): bigint | undefined {
  if (target === 'dataSlot' || target === 'pointer')
    return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
  return target === 'padding' ? instructionFacts(architecture, bytes, address).target : undefined;
}

/** Whether code can be fetched from `address` in the machine of the subject. */
export function isCode({ lab }: Subject, place: string, address: bigint): boolean {
  const { protection } = placeNamed(lab, place).addressSpace.query(address);
  return protection !== undefined && isExecutable(protection);
}
