import {
  ImageError,
  readArchive,
  readMapFile,
  readObject,
  readPdb,
  type SymbolTable,
} from '../../image/index.js';
import { Random } from '../random.js';
import { type CaseResult, type Fuzzer, textOf } from './fuzzer.js';
import { streamsOf, writeMsf } from './msf-writer.js';

/** A well-formed file to be broken, and what to read it with. */
export interface SymbolSeed {
  readonly name: string;
  readonly kind: 'pdb' | 'obj' | 'lib' | 'map';
  readonly bytes: Uint8Array;
}

/** What a run may give back for each byte of its file: names in characters, records as 16 each. */
const RESULT_LIMIT = 64;

/**
 * Breaks a PDB, object file, library or map and reads everything there is to read of it: only an ImageError may come of
 * it, and no more than a small multiple of the file.
 */
export class SymbolFuzz implements Fuzzer {
  readonly #breakers: readonly Breaker[];

  constructor(seeds: readonly SymbolSeed[]) {
    this.#breakers = seeds.map((seed) => new Breaker(seed));
  }

  run(number: number): CaseResult {
    const breaker = this.#breakers[number % this.#breakers.length];
    if (breaker === undefined) throw new RangeError('there is no file to break');
    const bytes = breaker.broken(new Random(number));
    const input = { name: breaker.seed.name, bytes };
    try {
      const ratio = readEverything(breaker.seed.kind, bytes) / Math.max(bytes.length, 4096);
      if (ratio <= RESULT_LIMIT) return { outcome: 'accepted', input };
      const message = `the result is ${ratio.toFixed(0)} times the file`;
      return { outcome: 'accepted', input, problem: { rule: 'symbols.large', message } };
    } catch (error) {
      if (error instanceof ImageError) return { outcome: 'refused', rules: [error.rule], input };
      return { outcome: 'threw', input, problem: { rule: 'symbols.threw', message: textOf(error) } };
    }
  }

  [Symbol.dispose](): void {}
}

/** Asks for every part; the size of what came back. A part that is refused does not keep the others from being asked for. */
function readEverything(kind: SymbolSeed['kind'], bytes: Uint8Array): number {
  let size = 0;
  let refused: unknown;
  const count = (records: Iterable<object>) => {
    for (const record of records) size += 16 + ('name' in record ? String(record.name).length : 0);
  };
  const part = (ask: () => void) => {
    try {
      ask();
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      refused ??= error;
    }
  };
  if (kind === 'map') {
    const map = readMapFile(new TextDecoder().decode(bytes));
    count(map.sections);
    useTable(map.symbols, count);
  } else if (kind === 'lib') {
    count(readArchive(bytes));
  } else if (kind === 'obj') {
    const object = readObject(bytes);
    count(object.symbols);
    count(object.sections);
    for (const section of object.sections) part(() => count(section.relocations));
    for (const symbol of object.symbols) object.sectionDefinition(symbol);
    part(() => count(object.codeView));
    part(() => count(object.hotPatchFunctions));
  } else {
    const pdb = readPdb(bytes);
    size += pdb.info.namedStreams.size * 16;
    part(() => count(pdb.sectionContributions));
    part(() => count(pdb.sections));
    part(() => count(pdb.publics));
    part(() => count(pdb.globals));
    part(() => {
      for (const module of pdb.modules) {
        part(() => count(module.symbols));
        part(() => count(module.scopes));
        part(() => {
          for (const { entries } of module.lines.contributions) count(entries);
        });
      }
    });
    part(() => pdb.functionName(0x1005));
    part(() => {
      count(pdb.lines.files);
      pdb.lines.framesAt(0x1069);
    });
    part(() => pdb.hotPatchFunctions);
    part(() => useTable(pdb.symbols, count));
  }
  if (refused) throw refused;
  return size;
}

function useTable(table: SymbolTable, count: (records: Iterable<object>) => void): void {
  count(table.all);
  for (const { name, rva } of table.all.slice(0, 100)) {
    table.byName(name);
    table.byAddress(rva + 1);
  }
}

/** Breaks one file: its bytes anywhere, or those of one stream behind an intact PDB directory. */
class Breaker {
  readonly seed: SymbolSeed;
  readonly #streams: readonly Uint8Array[];

  constructor(seed: SymbolSeed) {
    this.seed = seed;
    this.#streams = seed.kind === 'pdb' ? streamsOf(seed.bytes) : [];
  }

  broken(random: Random): Uint8Array {
    if (this.#streams.length === 0 || random.below(4) === 0) return mutate(this.seed.bytes, random);
    // Types (streams 2 and 4) and the old directory (0) are most of the bytes and least of the code.
    const wanted = this.#streams.map((_, i) => i).filter((i) => i !== 0 && i !== 2);
    const broken = [...this.#streams];
    for (let i = 0; i <= random.below(2); i++) {
      const at = wanted[random.below(wanted.length)] ?? 3;
      broken[at] = mutate(broken[at] ?? new Uint8Array(0), random);
    }
    return writeMsf(broken, random.pick([512, 1024, 4096]), random.below(8) === 0);
  }
}

const wildNumbers: readonly [number, ...number[]] = [
  0, 1, 2, 3, 0x7f, 0xff, 0x100, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff,
];

function mutate(original: Uint8Array, random: Random): Uint8Array {
  let bytes = new Uint8Array(original);
  const changes = 1 + random.below(random.pick([1, 4, 32]));
  for (let i = 0; i < changes; i++) {
    // Headers are at the start and are small: half of the changes go there.
    const at = random.below(random.below(2) ? bytes.length : Math.min(bytes.length, 0x100));
    const view = new DataView(bytes.buffer);
    switch (random.below(8)) {
      case 0:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
        break;
      case 1:
        bytes[at] = random.below(256);
        break;
      case 2:
        if (at + 2 <= bytes.length) view.setUint16(at, random.pick(wildNumbers) & 0xffff, true);
        break;
      case 3:
      case 4:
        if (at + 4 <= bytes.length) view.setUint32(at & ~3, random.pick(wildNumbers), true);
        break;
      case 5:
        if (at + 4 <= bytes.length) view.setUint32(at & ~3, random.below(bytes.length * 2), true);
        break;
      case 6:
        bytes.copyWithin(at, random.below(bytes.length), random.below(bytes.length));
        break;
      case 7:
        if (random.below(4) === 0) bytes = bytes.slice(0, at);
        else bytes.fill(random.pick([0, 0x20, 0x41, 0xff]), at, at + random.below(64));
    }
    if (bytes.length === 0) break;
  }
  return bytes;
}
