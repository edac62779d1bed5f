import type { ArchitectureName } from '../../cpu/index.js';
import type { EngineStep, Patch } from '../../engine/index.js';
import { ImageBuilder, type PeImage } from '../../image/index.js';
import { Lab } from '../../lab/index.js';
import type { ImageDomain, LoadedImage } from '../../loader/index.js';
import { firstInstruction } from '../shapes/first-instructions.js';

import { buildBase, buildPatch, type FunctionSource, type ImageForm } from '../shapes/program.js';
import type { HpatForm } from '../subject.js';
import { FaultInjector } from './injections.js';

/** Where the base image is: in the kernel, in two sessions, in two processes, in VTL1; or it is the EXE of two processes. */
export type ImagePlace = 'driver' | 'sessionDriver' | 'dll' | 'exe' | 'secureModule';

/**
 * `deferred`: the base is loaded when its patch waits for it. `processStart`: a DLL is loaded into one more process when
 * its patch is in force in others. `processCreation`: a process begins whose EXE imports the patched DLL, or is patched
 * itself.
 */
export type FaultyOperation =
  | 'apply'
  | 'repatch'
  | 'revert'
  | 'deferred'
  | 'processStart'
  | 'processCreation';

export interface SituationKind {
  readonly architecture: ArchitectureName;
  readonly place: ImagePlace;
  readonly operation: FaultyOperation;
  readonly hpatForm?: HpatForm;
}

/** A system right before an operation that may fail. */
export interface Situation extends Disposable {
  readonly lab: Lab;
  readonly faults: FaultInjector;
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
  /** Imports from the base, when that is a DLL. */
  readonly program: PeImage;
}

/** The name under which the base is found by what imports from it. */
const BASE_NAME = 'base.dll';
const PATCH_MAIN_CALLOUT = '__PatchMainCallout__';

const builds = new Map<string, Promise<Images>>();

const FORM: Readonly<Record<ImagePlace, ImageForm>> = {
  driver: 'driver',
  sessionDriver: 'driver',
  secureModule: 'driver',
  dll: 'dll',
  exe: 'exe',
};

function imagesFor({ architecture, place }: SituationKind): Promise<Images> {
  const key = `${architecture} ${FORM[place]}`;
  const known = builds.get(key);
  if (known !== undefined) return known;
  const built = build(architecture, FORM[place]);
  builds.set(key, built);
  return built;
}

/** `NTSTATUS __PatchMainCallout__(ctx*, 12)` that has nothing against it. */
const RETURN: Readonly<Record<ArchitectureName, readonly number[]>> = {
  x64: [0xc3],
  x86: [0xc3],
  arm64: [0xc0, 0x03, 0x5f, 0xd6],
};

const CALLOUT: Readonly<Record<ArchitectureName, FunctionSource>> = {
  x64: { name: PATCH_MAIN_CALLOUT, code: ['xor eax, eax; ret'] },
  x86: { name: PATCH_MAIN_CALLOUT, code: ['xor eax, eax; ret 8'] },
  arm64: { name: PATCH_MAIN_CALLOUT, code: ['mov w0, #0; ret'] },
};

async function build(architecture: ArchitectureName, form: ImageForm): Promise<Images> {
  const shape = firstInstruction(architecture, 4);
  const base = await buildBase(architecture, shape.base, form);
  const patchForm = form === 'exe' ? 'dll' : form;
  const [older, newer] = shape.patches.map(({ functions, forward }) => ({
    functions: [...functions, CALLOUT[architecture]],
    forward,
  }));
  if (older === undefined || newer === undefined) throw new RangeError('a shape has two patches');
  const program = new ImageBuilder(architecture, {
    name: 'program.exe',
    subsystem: 'WINDOWS_CUI',
    dll: false,
  })
    .code('main', RETURN[architecture])
    .loadConfig();
  if (form === 'dll') program.import(BASE_NAME, ['caller']);
  return {
    base: base.image,
    call: base.rva(shape.call),
    older: await buildPatch(architecture, base, older, 1, patchForm),
    newer: await buildPatch(architecture, base, newer, 2, patchForm),
    program: program.build().image,
  };
}

export async function createSituation(kind: SituationKind): Promise<Situation> {
  const { architecture, place, operation, hpatForm = {} } = kind;
  const images = await imagesFor(kind);
  const faults = new FaultInjector();
  const { seams } = faults;
  const lab = await Lab.boot({ architecture, memorySize: 16 * 1024 * 1024, seams, ...hpatForm });
  try {
    const { engine, kernel } = lab;
    const begin = (name: string) =>
      lab.createProcess({ name, image: place === 'exe' ? images.base : images.program });
    const load = (domain: ImageDomain) =>
      place === 'exe'
        ? begin(`${domain.name} again`)
        : kernel.loadImage(images.base, { domain, name: BASE_NAME, initialize: false });
    const isCreation = operation === 'processCreation';
    if (isCreation) kernel.files.add(BASE_NAME, images.base);
    const domains = domainsOf(lab, kind);
    const [last] = domains.slice(-1);
    let patch: Patch | undefined;
    if (operation === 'deferred' || isCreation) patch = engine.load(images.older);
    if (operation !== 'deferred' && place === 'exe') for (const name of ['a.exe', 'b.exe']) begin(name);
    else if (operation !== 'deferred')
      for (const domain of operation === 'processStart' ? domains.slice(0, -1) : domains) load(domain);
    if (operation === 'repatch' || operation === 'revert' || operation === 'processStart')
      patch = engine.load(images.older);
    return {
      lab,
      faults,
      *perform() {
        if (operation === 'apply') yield* engine.loadSteps(images.older);
        else if (operation === 'repatch') yield* engine.loadSteps(images.newer);
        else if (operation === 'revert' && patch !== undefined) yield* engine.unloadSteps(patch);
        else if (isCreation || last === undefined) begin('new.exe');
        else load(last);
      },
      results: () => basesIn(lab, images.base).map((image) => resultOf(lab, image, images.call)),
      [Symbol.dispose]: () => lab[Symbol.dispose](),
    };
  } catch (error) {
    lab[Symbol.dispose]();
    throw error;
  }
}

function basesIn({ kernel }: Lab, { optionalHeader, fileHeader }: PeImage): LoadedImage[] {
  const identity = { checkSum: optionalHeader.checkSum, timeDateStamp: fileHeader.timeDateStamp };
  return kernel.imagesOf(identity).map(({ image }) => image);
}

function resultOf({ kernel }: Lab, image: LoadedImage, rva: number): number {
  return Number(kernel.call64(image.address(rva), [], { domain: image.domain }) & 0xffff_ffffn);
}

/** The places that the base is loaded into, one more than those that have it when it begins for an operation on load. */
function domainsOf(lab: Lab, { place, operation }: SituationKind): ImageDomain[] {
  const count = operation === 'deferred' ? 1 : operation === 'processStart' ? 3 : 2;
  const each = <T>(make: (index: number) => T): T[] =>
    Array.from({ length: count }, (_, index) => make(index));
  switch (place) {
    case 'driver':
      return [lab.kernel.domain];
    case 'secureModule':
      return lab.kernel.secureKernel === undefined ? [] : [lab.kernel.secureKernel.domain];
    case 'sessionDriver':
      return each(() => lab.createSession().domain);
    case 'dll':
      return each((index) => lab.createProcess(`process${index}.exe`).domain);
    case 'exe':
      return [];
  }
}
