import { basename } from 'node:path';
import { type EngineName, type HotPatch, type HotPatchEngine, Patch, Patch2003 } from '../engine/index.js';
import { findSymbols, hasHotp1Section, type PeImage, readImage } from '../image/index.js';
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

/** The engine that applies hotpatches of a generation. */
export const ENGINE_OF: Readonly<Record<HotPatchGeneration, EngineName>> = {
  modern: 'modern',
  '2003': 'server-2003',
};

/** Which generation an engine is of. */
export const GENERATION_OF: Readonly<Record<EngineName, HotPatchGeneration>> = {
  modern: 'modern',
  'server-2003': '2003',
};

export function createPatcher(engine: HotPatchEngine): Patcher {
  const patches: HotPatch[] = [];
  return {
    apply(path) {
      const image = readImage(readInput(path), { file: path });
      const { table: symbols } = findSymbols({ image, path });
      patches.push(
        engine.load(image, { name: basename(path), ...(symbols === undefined ? {} : { symbols }) }),
      );
    },
    unapply() {
      for (const patch of [...patches].reverse()) if (patch.state === 'applied') engine.unload(patch);
    },
    reports: () => patches.map(reportOf),
  };
}

function reportOf(patch: HotPatch): PatchReport {
  const { name: image, state, status, functions } = patch;
  const common = { image, state, status: status.name, functions };
  if (patch instanceof Patch2003)
    return { generation: '2003', sequenceNumber: 0, ...common, targetName: patch.hotp1.targetName };
  if (!(patch instanceof Patch)) throw new TypeError(`${image} is a hotpatch of neither engine`);
  const { sequenceNumber, originalCheckSum, originalTimeDateStamp } = patch;
  return {
    generation: 'modern',
    sequenceNumber,
    ...common,
    originalCheckSum: `0x${originalCheckSum.toString(16)}`,
    originalTimeDateStamp: `0x${originalTimeDateStamp.toString(16)}`,
  };
}
