import * as v from 'valibot';
import type { ArchitectureName } from '../../cpu/index.js';
import { CampaignError } from '../error.js';
import { type CaseResult, type Fuzzer, textOf } from '../fuzz/fuzzer.js';
import { GuestBench, snippet } from '../fuzz/guest.js';
import { breakImage, ImageFuzz, interestingOffsets } from '../fuzz/image.js';
import { lifeBase, lifePatch, liveThrough } from '../fuzz/life.js';
import { richImage } from '../fuzz/rich-image.js';
import { SymbolFuzz, type SymbolSeed } from '../fuzz/symbols.js';
import { Random } from '../random.js';
import { type FileReference, type FindingInput, Tally } from '../unit.js';
import { defineKind, type UnitContext } from './kind.js';
import {
  architecture,
  architecturesOfWork,
  cutRange,
  fileReference,
  halves,
  numbersOf,
  rangeOfUnit,
  rangeOfWork,
} from './range.js';

/**
 * What is broken, or made at random: `guest`, snippets of machine code; `hotpatch-image`, whole hotpatch images, and
 * `table`, their hotpatch tables alone, each loaded, applied, called and taken back; `image`, everything that an image is
 * read for; `pdb`, files of symbols.
 */
const TARGETS = ['guest', 'hotpatch-image', 'table', 'image', 'pdb'] as const;
type Target = (typeof TARGETS)[number];

/** Cases that take a few seconds. */
const CASES_OF_UNIT: Readonly<Record<Target, number>> = {
  guest: 5000,
  'hotpatch-image': 500,
  table: 500,
  image: 2000,
  pdb: 2000,
};

const work = v.strictObject({
  kind: v.literal('fuzz'),
  target: v.picklist(TARGETS),
  architectures: architecturesOfWork,
  /** Files to break instead of those that are built in. */
  seeds: v.optional(v.array(v.string())),
  ...rangeOfWork,
});

const unit = v.strictObject({
  kind: v.literal('fuzz'),
  target: v.picklist(TARGETS),
  architecture,
  seeds: v.optional(v.array(fileReference)),
  ...rangeOfUnit,
});

type FuzzUnit = v.InferOutput<typeof unit>;

export const fuzz = defineKind({
  work,
  unit,
  *cut({ kind, target, architectures, seeds, unit: size = CASES_OF_UNIT[target], ...range }, files) {
    if (target === 'pdb' && seeds === undefined)
      throw new CampaignError('plan.value', 'a fuzz of symbols needs files to break', {
        hint: '"seeds": ["demo.pdb", "demo.map"]',
      });
    const given = seeds?.map((path) => files.add(path));
    for (const name of architectures)
      for (const part of cutRange(range, size))
        yield { kind, target, architecture: name, ...(given === undefined ? {} : { seeds: given }), ...part };
  },
  perform(of, context) {
    using fuzzer = fuzzerOf(of, context);
    const tally = new Tally();
    for (const number of numbersOf(of)) {
      const { outcome, rules = [], problem, input } = attempt(fuzzer, number);
      tally.count(outcome);
      for (const rule of rules) tally.note(`rule ${rule}`);
      if (problem !== undefined)
        tally.find(problem.rule, problem.message, { ...of, first: number, count: 1 }, [input]);
    }
    return tally.outcome;
  },
  split: halves,
  files: ({ seeds = [] }) => seeds,
  cell: ({ target, architecture: column }) => ({ row: `fuzz ${target}`, column }),
});

function attempt(fuzzer: Fuzzer, number: number): CaseResult {
  try {
    return fuzzer.run(number);
  } catch (error) {
    const input: FindingInput = { name: 'nothing', bytes: new Uint8Array(0) };
    return { outcome: 'threw', input, problem: { rule: 'fuzz.threw', message: textOf(error) } };
  }
}

function fuzzerOf({ target, architecture: name, seeds }: FuzzUnit, context: UnitContext): Fuzzer {
  const given = seeds?.map((file) => ({ name: file.name, bytes: context.read(file) }));
  const fuzzers: Readonly<Record<Target, () => Fuzzer>> = {
    guest: () => new GuestFuzz(name),
    'hotpatch-image': () => new LifeFuzz(name, 'image', given?.[0]?.bytes),
    table: () => new LifeFuzz(name, 'table', given?.[0]?.bytes),
    image: () => new ImageFuzz(given ?? builtInImages(name)),
    pdb: () => new SymbolFuzz((given ?? []).map((file) => ({ ...file, kind: kindOf(file) }))),
  };
  return fuzzers[target]();
}

function builtInImages(name: ArchitectureName) {
  const base = lifeBase(name);
  return [
    { name: 'rich.sys', bytes: richImage(name).bytes },
    { name: 'base.sys', bytes: base.bytes },
    { name: 'patch.sys', bytes: lifePatch(name, base).bytes },
  ];
}

const KIND_OF_EXTENSION: Readonly<Record<string, SymbolSeed['kind']>> = {
  pdb: 'pdb',
  obj: 'obj',
  lib: 'lib',
  map: 'map',
};

const kindOf = ({ name }: Pick<FileReference, 'name'>): SymbolSeed['kind'] =>
  KIND_OF_EXTENSION[name.split('.').at(-1)?.toLowerCase() ?? ''] ?? 'pdb';

class GuestFuzz implements Fuzzer {
  readonly #bench: GuestBench;

  constructor(name: ArchitectureName) {
    this.#bench = new GuestBench(name);
  }

  run(number: number): CaseResult {
    const random = new Random(number);
    const bytes = snippet(this.#bench.architecture, random);
    return { ...this.#bench.run(bytes, random), input: { name: 'snippet.bin', bytes } };
  }

  [Symbol.dispose](): void {
    this.#bench[Symbol.dispose]();
  }
}

/** Breaks a hotpatch for the built-in base, and lives through it. */
class LifeFuzz implements Fuzzer {
  readonly #base: ReturnType<typeof lifeBase>;
  readonly #patch: Uint8Array;
  readonly #targets: readonly number[];

  constructor(name: ArchitectureName, what: 'image' | 'table', patch: Uint8Array | undefined) {
    this.#base = lifeBase(name);
    const built = lifePatch(name, this.#base);
    this.#patch = patch ?? built.bytes;
    this.#targets = what === 'image' ? interestingOffsets(this.#patch) : tableOffsets(built);
  }

  run(number: number): CaseResult {
    const bytes = breakImage(this.#patch, this.#targets, new Random(number));
    return { ...liveThrough(this.#base, bytes), input: { name: 'patch.sys', bytes } };
  }

  [Symbol.dispose](): void {}
}

/** File offsets of the bytes of the hotpatch table. */
function tableOffsets({ image }: ReturnType<typeof lifePatch>): number[] {
  const start = image.rvaToOffset(image.loadConfig?.hotPatchTableOffset ?? 0);
  if (start === undefined) throw new RangeError('the hotpatch has a table');
  return Array.from({ length: image.hotPatch?.size ?? 0 }, (_, index) => start + index);
}
