import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { readImage } from '../../image/index.js';
import type { Lab } from '../../lab/index.js';
import type { LoadedImage } from '../../loader/index.js';
import {
  type Exploration,
  explore,
  type ImageOperation,
  type ImageSubjectOptions,
  imageOperations,
  type NamedImage,
  PROTOCOLS,
  type WriteProtocol,
  windows,
} from '../../proof/index.js';
import { type Argument, CalledLibrary, LibraryProcess, symbolsOf, tell } from './caller.js';
import { CASES, type KnownCase } from './cases.js';
import type { Evaluated, Made } from './evaluate.js';

const PROCESSORS = 2;
const FOR_EVER = 0xffff_ffffn;
/** Instructions, of which the call of Sleep needs one. */
const FEW = 100;
const FETCH = ['coherent', 'weak'] as const;
/** Ways that are wrong: each must be caught. */
const CONTROLS = PROTOCOLS.filter(({ kind }) => kind === 'control');

/** What one operation came to with one kind of instruction fetch. */
export interface ExploredCell {
  readonly operation: string;
  readonly fetch: string;
  readonly states: number;
  readonly seconds: number;
  /** Why the search is not complete. */
  readonly bound?: string;
  readonly violations: readonly string[];
}

/** A fix whose hotpatch was explored while two processors make the call that first reaches what it changes. */
export interface Explored {
  readonly package: string;
  readonly file: string;
  readonly architecture: string;
  /** Undefined: no call could be explored, and `why` says so. */
  readonly call?: string;
  readonly why?: string;
  /** Instructions and simulated exports of the call. */
  readonly steps?: number;
  readonly cells: readonly ExploredCell[];
  /** Rules that wrong ways break, by their names. */
  readonly controls: Readonly<Record<string, readonly string[]>>;
}

/** Ends a story at the call that is to be explored. */
class Reached extends Error {
  override readonly name = 'Reached';

  constructor(readonly args: readonly bigint[]) {
    super('the call that is to be explored');
  }
}

/** Makes the calls of a story up to the one with a number. */
class StoppingLibrary extends CalledLibrary {
  #made = 0;

  constructor(
    lab: Lab,
    image: LoadedImage,
    private readonly wanted: number,
  ) {
    super(lab.kernel, image);
  }

  override call(name: string, ...args: readonly Argument[]): bigint {
    if (this.#made++ === this.wanted) throw new Reached(args.map((value) => this.value(value)));
    return super.call(name, ...args);
  }
}

/** Notes which call of a story is the first to enter one of some functions. */
class NotingLibrary extends LibraryProcess {
  first: { readonly index: number; readonly name: string } | undefined;
  #made = 0;

  constructor(
    path: string,
    private readonly functions: readonly string[],
  ) {
    super(path);
  }

  override call(name: string, ...args: readonly Argument[]): bigint {
    const index = this.#made++;
    if (this.first !== undefined) return super.call(name, ...args);
    const thread = this.start(name, ...args);
    const entries = this.entries(this.functions);
    const until = [...entries.map((address) => thread.reaches(address)), thread.returns()];
    const isEntry = entries.includes(this.image.symbol(name));
    if (!isEntry) this.kernel.run({ until });
    const isEntered = isEntry || !thread.finished;
    if (isEntered) this.first = { index, name };
    return this.finish(thread);
  }
}

/** Explores the hotpatch of a fix for one architecture. */
export async function exploreCase(
  { package: name, patch }: Evaluated,
  made: Made,
  { mostSeconds = 120 }: { readonly mostSeconds?: number } = {},
): Promise<Explored> {
  const row = { package: name, file: patch.file, architecture: made.architecture, cells: [], controls: {} };
  const known = CASES[name]?.[patch.file];
  if (made.base === undefined || made.hotPatch === undefined) return { ...row, why: 'no hotpatch' };
  if (known === undefined) return { ...row, why: 'no input' };
  const story = known.ordinary ?? known.crafted;
  const first = firstReached(made.base, story, made.functions);
  if (first === undefined) return { ...row, why: 'the input reaches no changed function' };
  const operations = imageOperations(optionsFor(made.base, made.hotPatch, story, first));
  const cells: ExploredCell[] = [];
  let steps = 0;
  for (const fetch of FETCH)
    for (const { kind, source } of operations) {
      const result = await exploreOne(source, { fetch, mostSeconds });
      if (typeof result !== 'string') steps = Math.max(steps, result.reduction?.instructions ?? 0);
      cells.push(cellOf(kind, fetch, result));
    }
  const controls: Record<string, string[]> = {};
  for (const protocol of CONTROLS) {
    const caught = await caughtRules(operations, protocol, mostSeconds);
    if (caught !== undefined) controls[protocol.name] = caught;
  }
  return { ...row, call: first.name, steps, cells, controls };
}

/** Rules that a wrong way breaks, with coherent fetch or else with weak; undefined: it means nothing for this hotpatch. */
async function caughtRules(
  operations: readonly ImageOperation[],
  protocol: WriteProtocol,
  mostSeconds: number,
): Promise<string[] | undefined> {
  let isTried = false;
  for (const fetch of FETCH)
    for (const { kind, source } of operations.filter((one) => protocol.operations.includes(one.kind))) {
      const result = await exploreOne(source, { fetch, mostSeconds, protocol });
      if (result === NOT_DONE) continue;
      isTried = true;
      const rules = typeof result === 'string' ? [] : result.violations.map(({ rule }) => rule);
      if (rules.length > 0) return rules.map((rule) => `${kind}, ${fetch}: ${rule}`);
    }
  return isTried ? [] : undefined;
}

const NOT_DONE = 'the protocol does not do this';

function cellOf(operation: string, fetch: string, result: Exploration | string): ExploredCell {
  if (typeof result === 'string')
    return { operation, fetch, states: 0, seconds: 0, bound: result, violations: [] };
  const { states, seconds, bound, violations } = result;
  return {
    operation,
    fetch,
    states,
    seconds: Number(seconds.toFixed(2)),
    ...(bound === undefined ? {} : { bound }),
    violations: violations.map(
      ({ rule, text, inSequence }) =>
        `${rule}: ${text}${inSequence === true ? ' (by a call before the hotpatch and one after it)' : ''}`,
    ),
  };
}

type ExploreOptions = Parameters<typeof explore>[1];

async function exploreOne(
  source: ImageOperation['source'],
  options: Partial<ExploreOptions>,
): Promise<Exploration | string> {
  try {
    const result = await explore(source, { protocol: windows, processors: PROCESSORS, ...options });
    return result ?? NOT_DONE;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return error.message.replace(/\s+/g, ' ').slice(0, 200);
  }
}

function firstReached(base: string, story: KnownCase['crafted'], functions: readonly string[]) {
  using library = new NotingLibrary(base, functions);
  tell(library, story);
  return library.first;
}

function optionsFor(
  base: string,
  hotPatch: string,
  story: KnownCase['crafted'],
  first: { readonly index: number; readonly name: string },
): ImageSubjectOptions {
  const call = {
    target: (image: LoadedImage) => image.symbol(first.name),
    arguments: (image: LoadedImage, lab: Lab): readonly bigint[] => {
      // Once through it before: what the library makes when it is first asked is there, and no processor hands it over.
      story(new CalledLibrary(lab.kernel, image));
      try {
        story(new StoppingLibrary(lab, image, first.index));
      } catch (error) {
        if (!(error instanceof Reached)) throw error;
        // Keeps the part of the heap that this story has used: the other processor's comes from another one.
        const sleep = image.domain.services.resolve('kernel32.dll', 'Sleep');
        if (sleep === undefined) throw new Error('every process has Sleep');
        const sleeper = lab.kernel.createThread(sleep, [FOR_EVER], { domain: image.domain });
        lab.kernel.scheduler.run([sleeper.returns()], FEW);
        return error.args;
      }
      throw new Error(`the story makes no call of ${first.name} any more`);
    },
  };
  const own = Array.from({ length: PROCESSORS - 1 }, () => call);
  return {
    base: named(base),
    patches: [named(hotPatch)],
    calls: [call, ...own],
    memorySize: 0x800_0000,
    hotPatchTableSize: 0x4000,
  };
}

function named(path: string): NamedImage {
  const image = readImage(readFileSync(path), { file: path });
  const symbols = symbolsOf(image, path);
  return { name: basename(path), image, ...(symbols === undefined ? {} : { symbols }) };
}
