import {
  appendHotPatchTable,
  applyArm64xFixups,
  applyRelocations,
  checkImage,
  describeImage,
  encodeHotPatchTable,
  ImageError,
  type InstructionDecoder,
  type PeImage,
  readImage,
  symbolsFromExports,
  validateHotPatch,
} from '../../image/index.js';

export interface FuzzSeed {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface FuzzReport {
  readonly runs: number;
  /** How often each rule was broken; `accepted` counts the images of which everything could be read. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Characters of the largest description for each byte of its file. */
  readonly largestResult: number;
  readonly slowest: { readonly milliseconds: number; readonly run: string };
}

/** A description is text: a relocation of two bytes in the file becomes about a hundred characters. */
const RESULT_LIMIT = 400;

/**
 * Breaks the seeds in `count` ways, does with each everything that can be done with an image, and throws at the first
 * that throws anything but an ImageError or gives back more than its file could hold. One `seed` makes the same runs.
 */
export function fuzzImages(
  seeds: readonly FuzzSeed[],
  count: number,
  seed: number,
  progress?: (run: number) => void,
): FuzzReport {
  const outcomes: Record<string, number> = {};
  let largestResult = 0;
  let slowest = { milliseconds: 0, run: '' };
  const targets = seeds.map(({ bytes }) => interestingOffsets(bytes));
  for (let run = 0; run < count; run++) {
    progress?.(run);
    const index = run % seeds.length;
    const original = seeds[index];
    if (original === undefined) break;
    const name = `${original.name}, seed ${seed}, run ${run}`;
    const bytes = broken(original.bytes, targets[index] ?? [], new Random(seed * 0x10001 + run));
    const started = performance.now();
    let rules: string[];
    try {
      const { result, problems } = useImage(bytes);
      rules = problems.length === 0 ? ['accepted'] : problems;
      const ratio = result / Math.max(bytes.length, 0x1000);
      largestResult = Math.max(largestResult, ratio);
      if (ratio > RESULT_LIMIT) throw new Error(`the description is ${ratio.toFixed(0)} times the file`);
    } catch (error) {
      if (!(error instanceof ImageError)) throw new Error(`fuzz: ${name}`, { cause: error });
      rules = [error.rule];
    }
    for (const rule of rules) outcomes[rule] = (outcomes[rule] ?? 0) + 1;
    const milliseconds = performance.now() - started;
    if (milliseconds > slowest.milliseconds) slowest = { milliseconds, run: name };
  }
  return { runs: count, outcomes, largestResult, slowest };
}

function useImage(bytes: Uint8Array): { result: number; problems: string[] } {
  const image = readImage(bytes, { file: 'broken' });
  const description = describeImage(image, { all: true });
  const text = JSON.stringify(description, (_, value: unknown) =>
    typeof value === 'bigint' ? value.toString() : value,
  );
  const problems = description.problems.map(({ rule }) => rule);
  const attempt = (use: () => void) => {
    try {
      use();
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      problems.push(error.rule);
    }
  };
  attempt(() => applyRelocations(image.layOut(), image.relocations, 0x1_0000_0000n));
  attempt(() => applyArm64xFixups(image));
  attempt(() => validateHotPatch(image, image));
  attempt(() => check(image));
  attempt(() => appendHotPatchTable(image, TABLE));
  return { result: text.length, problems };
}

const TABLE = encodeHotPatchTable({ sequenceNumber: 1, bases: [] });

/** Every byte is an instruction: enough to walk through all code. */
const decoder: InstructionDecoder = { facts: () => ({ length: 4, flow: 'next' }), text: () => '' };

function check(image: PeImage): void {
  checkImage(image, { table: symbolsFromExports(image), origin: { kind: 'exports' } }, decoder);
}

/** Offsets of headers, section table and directories, where a change means more than one among code bytes. */
function interestingOffsets(bytes: Uint8Array): number[] {
  const image = readImage(bytes);
  const offsets: number[] = [];
  const range = (start: number, length: number) => {
    for (let i = 0; i < length && start + i < bytes.length; i++) offsets.push(start + i);
  };
  range(image.headers.peOffset, image.headers.sectionTableOffset - image.headers.peOffset);
  range(image.headers.sectionTableOffset, 40 * image.sections.length);
  for (const { virtualAddress, size } of image.headers.dataDirectories) {
    const offset = virtualAddress === 0 ? undefined : image.rvaToOffset(virtualAddress);
    if (offset !== undefined) range(offset, Math.min(size, 0x400));
  }
  const table = image.loadConfig?.hotPatchTableOffset ?? 0;
  const offset = table === 0 ? undefined : image.rvaToOffset(table);
  if (offset !== undefined) range(offset, image.hotPatch?.size ?? 0);
  return offsets;
}

const WILD = [0, 1, 0x7f, 0xff, 0xfff, 0x1000, 0xffff, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff];

function broken(original: Uint8Array, targets: readonly number[], random: Random): Uint8Array {
  let bytes = original.slice();
  const view = new DataView(bytes.buffer);
  const place = (width: number) => {
    const anywhere = random.below(4) === 0;
    const offset = anywhere ? random.below(bytes.length) : (targets[random.below(targets.length)] ?? 0);
    return Math.max(0, Math.min(offset - (offset % width), bytes.length - width));
  };
  for (let changes = 1 + random.below(4); changes > 0; changes--) {
    switch (random.below(6)) {
      case 0: {
        const at = place(1);
        bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
        break;
      }
      case 1:
        view.setUint32(place(4), WILD[random.below(WILD.length)] ?? 0, true);
        break;
      case 2:
        view.setUint32(place(4), random.next(), true);
        break;
      case 3: {
        const at = place(4);
        view.setUint32(at, view.getUint32(at, true) + random.below(65) - 32, true);
        break;
      }
      case 4:
        view.setUint16(place(2), random.below(0x10000), true);
        break;
      default: {
        const at = place(4);
        bytes.copyWithin(at, place(4), place(4) + 16);
      }
    }
  }
  if (random.below(8) === 0) bytes = bytes.slice(0, random.below(bytes.length));
  return bytes;
}

/** xorshift32 (Marsaglia 2003): the same numbers everywhere. */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = Math.imul(seed, 0x9e3779b1) >>> 0 || 1;
  }

  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state;
  }

  below(limit: number): number {
    return limit === 0 ? 0 : this.next() % limit;
  }
}
