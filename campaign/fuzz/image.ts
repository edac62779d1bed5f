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
import { Random } from '../random.js';
import { type CaseResult, type Fuzzer, textOf } from './fuzzer.js';

/** A well-formed image to be broken. */
export interface ImageSeed {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** A description is text: a relocation of two bytes in the file becomes about a hundred characters. */
const RESULT_LIMIT = 400;

/**
 * Breaks an image, the headers and tables most of all, and does with it everything that can be done with an image: only an
 * ImageError may come of it, and no more than its file could hold.
 */
export class ImageFuzz implements Fuzzer {
  readonly #seeds: readonly { readonly seed: ImageSeed; readonly targets: readonly number[] }[];

  constructor(seeds: readonly ImageSeed[]) {
    this.#seeds = seeds.map((seed) => ({ seed, targets: interestingOffsets(seed.bytes) }));
  }

  run(number: number): CaseResult {
    const one = this.#seeds[number % this.#seeds.length];
    if (one === undefined) throw new RangeError('there is no image to break');
    const { seed, targets } = one;
    const bytes = breakImage(seed.bytes, targets, new Random(number));
    const input = { name: seed.name, bytes };
    try {
      const { result, problems } = useImage(bytes);
      const ratio = result / Math.max(bytes.length, 0x1000);
      const outcome = problems.length === 0 ? 'accepted' : 'refused in part';
      const rules = [...new Set(problems)];
      if (ratio <= RESULT_LIMIT) return { outcome, rules, input };
      const message = `the description is ${ratio.toFixed(0)} times the file`;
      return { outcome, rules, input, problem: { rule: 'image.large', message } };
    } catch (error) {
      if (error instanceof ImageError) return { outcome: 'refused', rules: [error.rule], input };
      return { outcome: 'threw', input, problem: { rule: 'image.threw', message: textOf(error) } };
    }
  }

  [Symbol.dispose](): void {}
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
export function interestingOffsets(bytes: Uint8Array): number[] {
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

/** The image with one to four changes, three of four of them at the offsets given. */
export function breakImage(original: Uint8Array, targets: readonly number[], random: Random): Uint8Array {
  let bytes = Uint8Array.from(original);
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
