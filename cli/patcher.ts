import { basename } from 'node:path';
import { HotPatch2003Engine, HotPatchEngine, type Patch, type Patch2003 } from '../engine/index.js';
import { findSymbols, hasHotp1Section, type PeImage, readImage } from '../image/index.js';
import type { BootOptions, Kernel } from '../loader/index.js';
import { UsageError } from './errors.js';
import { readInput } from './files.js';

/** Which of Windows' two hotpatch engines an image is for. */
export type HotPatchGeneration = 'modern' | '2003';

/** What became of one `--patch`. */
export interface PatchReport {
  readonly generation: HotPatchGeneration;
  readonly image: string;
  /** 0 in the 2003 generation, which has none. */
  readonly sequenceNumber: number;
  readonly state: string;
  readonly status: string;
  readonly functions: number;
  /** What the modern generation knows its base by. */
  readonly originalCheckSum?: string;
  readonly originalTimeDateStamp?: string;
  /** What the 2003 generation knows its target by. */
  readonly targetName?: string;
}

/** Applies hotpatches of one generation, and takes them back. */
export interface Patcher {
  apply(path: string): void;
  /** Takes everything back that is in force, the newest first. */
  unapply(): void;
  reports(): PatchReport[];
}

/** A modern hotpatch has a table, one of 2003 a section of its own. */
export function generationOf(image: PeImage): HotPatchGeneration {
  return hasHotp1Section(image) ? '2003' : 'modern';
}

/** @throws UsageError when the files are not all of one generation: no system ever had both engines */
export function commonGeneration(paths: readonly string[]): HotPatchGeneration {
  const found = paths.map((path) => generationOf(readImage(readInput(path), { file: path })));
  const [first = 'modern'] = found;
  const other = found.findIndex((generation) => generation !== first);
  if (other < 0) return first;
  throw new UsageError(
    `--patch ${paths[other]}: is a hotpatch of the ${found[other]} generation, ${paths[0]} of the ${first} one`,
  );
}

/** What the system of a generation is booted with: Server 2003 had neither an HPAT nor a Secure Kernel. */
export function bootFor(
  generation: HotPatchGeneration,
  hotPatchTableSize: number,
): Pick<BootOptions, 'hotPatchTableSize' | 'vbs'> {
  return generation === '2003' ? { hotPatchTableSize: 0, vbs: false } : { hotPatchTableSize };
}

export function createPatcher(generation: HotPatchGeneration, kernel: Kernel): Patcher {
  return generation === '2003' ? patcher2003(kernel) : modernPatcher(kernel);
}

function opened(path: string) {
  const image = readImage(readInput(path), { file: path });
  return { image, options: { name: basename(path), symbols: findSymbols({ image, path }).table } };
}

function modernPatcher(kernel: Kernel): Patcher {
  const engine = new HotPatchEngine(kernel);
  const patches: Patch[] = [];
  return {
    apply(path) {
      const { image, options } = opened(path);
      patches.push(engine.loadPatch(image, options));
    },
    unapply() {
      for (const patch of [...patches].reverse()) if (patch.state === 'applied') engine.unloadPatch(patch);
    },
    reports: () =>
      patches.map((patch) => ({
        generation: 'modern',
        image: patch.name,
        sequenceNumber: patch.sequenceNumber,
        state: patch.state,
        status: patch.status.name,
        functions: patch.functions,
        originalCheckSum: `0x${patch.originalCheckSum.toString(16)}`,
        originalTimeDateStamp: `0x${patch.originalTimeDateStamp.toString(16)}`,
      })),
  };
}

function patcher2003(kernel: Kernel): Patcher {
  const engine = new HotPatch2003Engine(kernel);
  const patches: Patch2003[] = [];
  return {
    apply(path) {
      const { image, options } = opened(path);
      patches.push(engine.loadPatch(image, options));
    },
    unapply() {
      for (const patch of [...patches].reverse()) if (patch.state === 'applied') engine.disable(patch);
    },
    reports: () =>
      patches.map((patch) => ({
        generation: '2003',
        image: patch.name,
        sequenceNumber: 0,
        state: patch.state,
        status: patch.status.name,
        functions: patch.functions,
        targetName: patch.hotp1.targetName,
      })),
  };
}
