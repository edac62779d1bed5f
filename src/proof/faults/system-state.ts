import { createHash } from 'node:crypto';
import type { Lab } from '../../lab.js';
import type { LoadedImage } from '../../loader/index.js';

/** Everything that programs, loader and engine can notice of a system, as two texts that can be compared. */
export interface SystemState {
  /** SHA-256 over the contents and protections of every page of every page table. */
  readonly memory: string;
  /** Images and patches, and what loader and engine keep of them; without the mark of a failed patch. */
  readonly records: string;
  /** Some image of a process carries the mark that a patch of it failed (LDR_HOT_PATCH_STATE). */
  readonly failedToPatch: boolean;
}

export function systemState(lab: Lab): SystemState {
  const failedToPatch = lab.kernel.domains.some(({ images }) =>
    images.some(({ hotPatchState }) => hotPatchState === 'FailedToPatch'),
  );
  return { memory: memoryHash(lab), records: recordsOf(lab), failedToPatch };
}

export function sameState(a: SystemState, b: SystemState): boolean {
  return a.memory === b.memory && a.records === b.records;
}

/** Offset of PEB.Ldr by pointer size (public winternl.h; x86 under WOW64). */
const PEB_LDR = { 8: 0x18n, 4: 0x0cn } as const;
const PAGE_MASK = ~0xfffn;

/**
 * Pages with the loader's lists of each process: they repeat the records, and keep what unlinked entries held.
 */
function loaderPages({ kernel }: Lab): Set<string> {
  const pages = new Set<string>();
  for (const { domain, environment } of kernel.processes) {
    if (environment?.ldr === undefined) continue;
    const { pointerSize } = domain.architecture;
    const bytes = domain.addressSpace.read(environment.peb + PEB_LDR[pointerSize], pointerSize);
    const ldr = bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
    pages.add(`${domain.table.name} ${ldr & PAGE_MASK}`);
  }
  return pages;
}

/** Frame numbers do not count, nor whether a page with the same contents is shared. */
function memoryHash(lab: Lab): string {
  const { machine } = lab.kernel;
  const skipped = loaderPages(lab);
  const hash = createHash('sha256');
  for (const table of machine.pageTables) {
    hash.update(`table ${table.name}\n`);
    for (const { address, protection, frame, guard, service } of table.entries()) {
      hash.update(`${address} ${protection} ${guard} ${service}\n`);
      if (frame !== undefined && !skipped.has(`${table.name} ${address}`))
        hash.update(machine.memory.peek(frame));
    }
  }
  return hash.digest('hex');
}

function recordsOf({ kernel, engine }: Lab): string {
  const lines = kernel.domains.flatMap((domain) =>
    domain.images.map((image) => {
      const { usedSlots, undo, applications, vadState } = engine.record(image);
      return [
        `${domain.name} ${image.baseDllName}`,
        `state ${stateOf(image)} active ${image.activePatchImageBase ?? '-'} vad ${vadState}`,
        `HPAT ${image.hpat?.committed} slots ${usedSlots}`,
        `undo ${[...undo].map(([index, { rva, entryBytes }]) => `${index}:${rva}:${[...entryBytes].join('.')}`).join()}`,
        `patches ${applications.map(({ patch }) => patch.name).join()}`,
      ].join('; ');
    }),
  );
  const patches = engine.patches.map(({ name, state }) => `${name} is ${state}`);
  return [...lines, ...patches].join('\n');
}

/** The state that an image had before the mark `FailedToPatch` took its place. */
function stateOf({ hotPatchState, activePatchImageBase }: LoadedImage): string {
  if (hotPatchState !== 'FailedToPatch') return hotPatchState;
  return activePatchImageBase === undefined ? 'BaseImage' : 'AppliedForward';
}
