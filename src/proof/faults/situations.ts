import type { ArchitectureName } from '../../cpu/index.js';
import type { EngineStep, Patch } from '../../engine/index.js';
import type { PeImage } from '../../image/index.js';
import { Lab } from '../../lab.js';
import type { ImageDomain, LoadedImage } from '../../loader/index.js';
import { firstInstruction } from '../shapes/first-instructions.js';
import { buildBase, buildPatch } from '../shapes/program.js';
import type { Generation } from '../subject.js';

/** Where the base image is: once in the kernel, in two sessions, in two processes. */
export type ImagePlace = 'driver' | 'sessionDriver' | 'dll';

/**
 * `deferred`: the base is loaded when its patch waits for it. `processStart`: a DLL is loaded into one more process when
 * its patch is in force in others.
 */
export type FaultyOperation = 'apply' | 'repatch' | 'revert' | 'deferred' | 'processStart';

export interface SituationKind {
  readonly architecture: ArchitectureName;
  readonly place: ImagePlace;
  readonly operation: FaultyOperation;
  readonly generation?: Generation;
}

/** A system right before an operation that may fail. */
export interface Situation extends Disposable {
  readonly lab: Lab;
  /** The operation; steps of the engine are yielded where it can be stopped between two of them. */
  perform(): Generator<EngineStep, void>;
  /** What the function returns now in every place that has the base. */
  results(): number[];
}

/** What the function returns unpatched, with the first patch, with the second. */
export const RESULTS = firstInstruction('x64', 5).results;

interface Images {
  readonly base: PeImage;
  readonly call: number;
  readonly older: PeImage;
  readonly newer: PeImage;
}

const builds = new Map<string, Promise<Images>>();

function imagesFor({ architecture, place }: SituationKind): Promise<Images> {
  const form = place === 'dll' ? 'dll' : 'driver';
  const key = `${architecture} ${form}`;
  const known = builds.get(key);
  if (known !== undefined) return known;
  const built = build(architecture, form);
  builds.set(key, built);
  return built;
}

async function build(architecture: ArchitectureName, form: 'driver' | 'dll'): Promise<Images> {
  const shape = firstInstruction(architecture, 4);
  const base = await buildBase(architecture, shape.base, form);
  const [older, newer] = shape.patches;
  return {
    base: base.image,
    call: base.rva(shape.call),
    older: await buildPatch(architecture, base, older, 1, form),
    newer: await buildPatch(architecture, base, newer, 2, form),
  };
}

export async function createSituation(kind: SituationKind): Promise<Situation> {
  const { architecture, operation, generation = {} } = kind;
  const images = await imagesFor(kind);
  const lab = await Lab.boot({ architecture, memorySize: 16 * 1024 * 1024, ...generation });
  try {
    const { engine } = lab;
    const domains = domainsOf(lab, kind);
    const loaded: LoadedImage[] = [];
    const load = (domain: ImageDomain) =>
      void loaded.push(lab.kernel.loadImage(images.base, { domain, initialize: false }));
    const last = domains.at(-1);
    if (last === undefined) throw new RangeError('a situation has a domain');
    let patch: Patch | undefined;
    if (operation === 'deferred') patch = engine.loadPatch(images.older);
    else for (const domain of operation === 'processStart' ? domains.slice(0, -1) : domains) load(domain);
    if (operation === 'repatch' || operation === 'revert' || operation === 'processStart')
      patch = engine.loadPatch(images.older);
    return {
      lab,
      *perform() {
        if (operation === 'apply') yield* engine.loadPatchSteps(images.older);
        else if (operation === 'repatch') yield* engine.loadPatchSteps(images.newer);
        else if (operation === 'revert' && patch !== undefined) yield* engine.unloadPatchSteps(patch);
        else load(last);
      },
      results: () =>
        loaded.map((image) =>
          Number(lab.kernel.call(image.address(images.call), [], { domain: image.domain }) & 0xffff_ffffn),
        ),
      [Symbol.dispose]: () => lab[Symbol.dispose](),
    };
  } catch (error) {
    lab[Symbol.dispose]();
    throw error;
  }
}

function domainsOf(lab: Lab, { place, operation }: SituationKind): ImageDomain[] {
  const count = operation === 'deferred' ? 1 : operation === 'processStart' ? 3 : 2;
  const each = <T>(make: (index: number) => T): T[] =>
    Array.from({ length: count }, (_, index) => make(index));
  if (place === 'driver') return [lab.kernel.domain];
  if (place === 'sessionDriver') return each(() => lab.createSession().domain);
  return each((index) => lab.createProcess(`process${index}.exe`).domain);
}
