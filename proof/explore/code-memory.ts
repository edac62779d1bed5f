import { sees } from '../../engine/index.js';
import type { Lab } from '../../lab/index.js';
import type { ImageDomain } from '../../loader/index.js';
import { placeNamed } from '../subject.js';
import type { EngineGraph, EngineNode } from './engine-graph.js';
import type { FetchView } from './executor.js';

const UNKNOWN = -1;

/** The bytes that the protocol changes, in the machine on which single instructions are executed. */
export class CodeMemory {
  /** By page: number of the contents that are in memory. */
  readonly #contents: number[];
  readonly #places: readonly ImageDomain[];

  constructor(
    private readonly lab: Lab,
    private readonly graph: EngineGraph,
  ) {
    this.#contents = graph.pages.map(() => UNKNOWN);
    this.#places = graph.pages.map(({ place }) => placeNamed(lab, place));
  }

  /** Pages that code of this domain sees: other processes and sessions have others at the same address. */
  seenFrom(viewer: ImageDomain): readonly boolean[] {
    return this.graph.pages.map(({ base }, page) => {
      const place = this.#places[page];
      return place !== undefined && sees(viewer, place, base);
    });
  }

  /** Something else was stored over the pages. */
  forget(): void {
    this.#contents.fill(UNKNOWN);
  }

  /** By page: number of the contents that are in memory; to be given to {@link restored} when memory is as now again. */
  get contents(): readonly number[] {
    return [...this.#contents];
  }

  /** Memory was put back. */
  restored(contents: readonly number[]): void {
    this.#contents.splice(0, this.#contents.length, ...contents);
  }

  /** Makes memory what a processor sees: old contents of the pages that it has a view of, current ones elsewhere. */
  load(view: FetchView, node: EngineNode, seen: readonly boolean[]): void {
    const { machine } = this.lab.kernel;
    for (const [page, { addresses }] of this.graph.pages.entries()) {
      if (seen[page] !== true) continue;
      const wanted = (view[page] ?? 0) || (node.memory[page] ?? 0);
      const place = this.#places[page];
      if (this.#contents[page] === wanted || place === undefined) continue;
      this.#contents[page] = wanted;
      for (const { start, bytes } of runs(addresses, this.graph.contents(page, wanted)))
        machine.writeCode(place.addressSpace, start, bytes);
      // In a machine with weak instruction fetch: what is seen is decided here, by the view.
      machine.serialise();
    }
  }
}

/** Neighbouring addresses together. */
function* runs(addresses: readonly bigint[], contents: Uint8Array) {
  let first = 0;
  for (let index = 1; index <= addresses.length; index++) {
    const previous = addresses[index - 1] ?? 0n;
    if (index < addresses.length && addresses[index] === previous + 1n) continue;
    yield { start: addresses[first] ?? 0n, bytes: contents.subarray(first, index) };
    first = index;
  }
}
