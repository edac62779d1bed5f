import { createHash } from 'node:crypto';
import type { HotPatch, ModernEngine, Server2003Engine } from '../../engine/index.js';
import type { Lab } from '../../lab/index.js';
import type { Kernel, LoadedImage } from '../../loader/index.js';

/** Everything that programs, loader and engine can notice of a system, as two texts that can be compared. */
export interface SystemState {
  /** By page table and address: protection, and the start of the SHA-256 of the contents of every page. */
  readonly memory: ReadonlyMap<string, string>;
  /** Images and patches, and what loader and engine keep of them; without the mark of a failed patch. */
  readonly records: string;
  /** Some image of a process carries the mark that a patch of it failed (LDR_HOT_PATCH_STATE). */
  readonly failedToPatch: boolean;
}

export function systemState(lab: Lab): SystemState {
  const failedToPatch = lab.kernel.domains.some(({ images }) =>
    images.some(({ hotPatchState }) => hotPatchState === 'FailedToPatch'),
  );
  return { memory: pagesOf(lab), records: recordsOf(lab), failedToPatch };
}

export function sameState(a: SystemState, b: SystemState): boolean {
  return a.records === b.records && differences(a, b).length === 0;
}

/** What of `b` is not as in `a`: lines of the records, then pages of memory. */
export function differences(a: SystemState, b: SystemState): string[] {
  const lines = new Set(a.records.split('\n'));
  const records = b.records.split('\n').filter((line) => !lines.has(line));
  const pages = new Set([...a.memory.keys(), ...b.memory.keys()]);
  const changed = [...pages].filter((page) => a.memory.get(page) !== b.memory.get(page));
  return [
    ...records,
    ...changed.map(
      (page) => `${page}: ${a.memory.get(page) ?? 'absent'} -> ${b.memory.get(page) ?? 'absent'}`,
    ),
  ];
}

/** Offset of PEB.Ldr by pointer size (public winternl.h; x86 under WOW64). */
const PEB_LDR = { 8: 0x18n, 4: 0x0cn } as const;
const PAGE_MASK = ~0xfffn;

/**
 * Pages with the loader's lists of each process: they repeat the records, and keep what unlinked entries held.
 */
function loaderPages({ kernel }: Lab): Set<string> {
  const { system, loadedModules } = kernel;
  const pages = new Set([`${system.table.name} ${loadedModules.head & PAGE_MASK}`]);
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
function pagesOf(lab: Lab): Map<string, string> {
  const { machine } = lab.kernel;
  const skipped = loaderPages(lab);
  const pages = new Map<string, string>();
  for (const table of machine.pageTables) {
    for (const { address, protection, frame, guard, service } of table.entries()) {
      const key = `${table.name} ${address}`;
      const contents = frame === undefined || skipped.has(key) ? undefined : machine.memory.peek(frame);
      pages.set(
        `${table.name} 0x${address.toString(16)}`,
        `${protection}${guard ? ' guard' : ''}${service ? ' service' : ''} ${contents === undefined ? '' : digest(contents)}`,
      );
    }
  }
  return pages;
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}

function recordsOf({ kernel, engine }: Lab): string {
  const patches = [...engine.patches].map(({ name, state }: HotPatch) => `${name} is ${state}`);
  const lines = engine.name === 'modern' ? recordLines(kernel, engine) : applicationLines(engine);
  return [...lines, ...patches].join('\n');
}

function applicationLines({ applications }: Server2003Engine): string[] {
  return applications.map(({ patch, target, active, hooks }) =>
    [
      `${target.domain.name} ${target.baseDllName}`,
      `patch ${patch.name} active ${active}`,
      `hooks ${hooks.map(({ location, dataBefore, left }) => `${location}:${dataBefore?.join('.')}:${left}`).join()}`,
    ].join('; '),
  );
}

function recordLines(kernel: Kernel, engine: ModernEngine): string[] {
  return kernel.domains.flatMap((domain) =>
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
}

/** The state that an image had before the mark `FailedToPatch` took its place. */
function stateOf({ hotPatchState, activePatchImageBase }: LoadedImage): string {
  if (hotPatchState !== 'FailedToPatch') return hotPatchState;
  return activePatchImageBase === undefined ? 'BaseImage' : 'AppliedForward';
}
