import { type BootOptions, type ImageDomain, Lab, type LoadedImage, type Patch } from 'hotpatch-lab';
import {
  appendHotPatchTable,
  encodeHotPatchTable,
  findSymbols,
  type HotPatchTableInput,
  type PeImage,
  readImage,
} from 'hotpatch-lab/image';
import { fixture, fixtureBytes } from '../support.js';
import { DEMO_FUNCTIONS, FORMS, type Form } from './forms.js';

/** A kind of image that can be hotpatched, in as many address spaces as the tests make. */
export interface Kind {
  readonly name: string;
  /** `user`: a failing callout ends the process; `system`: it ends the system. */
  readonly world: 'user' | 'system';
  /** Who changes the code. */
  readonly codeWriter: 'SecureKernel' | 'NT';
  domains(lab: Lab): ImageDomain[];
}

const processes = (lab: Lab, wow64: boolean) =>
  ['a.exe', 'b.exe', 'c.exe'].map((name) => lab.kernel.createProcess({ name, wow64 }).domain);

const driver: Kind = {
  name: 'driver',
  world: 'system',
  codeWriter: 'SecureKernel',
  domains: (lab) => [lab.kernel.system],
};
const sessionDriver: Kind = {
  name: 'session driver in three sessions',
  world: 'system',
  codeWriter: 'SecureKernel',
  domains: (lab) => [1, 2, 3].map(() => lab.kernel.createSession().domain),
};
const dll: Kind = {
  name: 'DLL in three processes',
  world: 'user',
  codeWriter: 'NT',
  domains: (lab) => processes(lab, false),
};
const secureModule: Kind = {
  name: 'secure module',
  world: 'system',
  codeWriter: 'SecureKernel',
  domains: ({ kernel }) => (kernel.secureKernel === undefined ? [] : [kernel.secureKernel.domain]),
};
const wow64Dll: Kind = {
  ...dll,
  name: 'DLL in three WOW64 processes',
  domains: (lab) => processes(lab, true),
};

/** One column of what can be patched: a kind of image, in one form of trampoline. */
export interface Cell {
  readonly name: string;
  readonly kind: Kind;
  readonly form: Form;
  readonly boot: BootOptions;
  /** Guest instructions that a patched call takes more. */
  readonly hops: number;
  /** Folder of the images. */
  readonly images: 'x64' | 'arm64' | 'x86';
}

function cellsOf(form: Form): Cell[] {
  const { boot } = form;
  const images = boot.architecture;
  const kinds = images === 'x86' ? [wow64Dll] : [driver, sessionDriver, dll, secureModule];
  return kinds.map((kind) => {
    // Only images of NT's kernel have a retpoline page.
    const hasRetpoline = kind === driver || kind === sessionDriver;
    const hops = boot.retpoline === true && !hasRetpoline ? 3 : form.hops;
    return { name: `${form.name} ${kind.name}`, kind, form, boot, hops, images };
  });
}

const x86Form = FORMS.find(({ name }) => name === 'x86');
if (x86Form === undefined) throw new Error('there is no form of x86');

/** {image kind} × {form}. WOW64 code has the form of x86 whatever its 64-bit system uses. */
export const CELLS: readonly Cell[] = [
  ...FORMS.flatMap(cellsOf),
  {
    name: 'x86 DLL in three WOW64 processes',
    kind: wow64Dll,
    form: x86Form,
    boot: { architecture: 'x64' },
    hops: 3,
    images: 'x86',
  },
];

export function readFixture(path: string): { image: PeImage; path: string } {
  return { image: readImage(fixtureBytes(path), { file: fixture(path) }), path: fixture(path) };
}

/** One address space that has demo.dll. */
export interface Place {
  readonly domain: ImageDomain;
  readonly demo: LoadedImage;
  call(name: string, ...parameters: number[]): number;
}

export interface PatchOptions {
  readonly sequenceNumber?: number;
  readonly functions?: readonly string[];
  /** The phase in which its callout fails, or crashes. */
  readonly failingPhase?: number;
  readonly crashingPhase?: number;
}

export interface Bench extends Disposable {
  readonly lab: Lab<'modern'>;
  readonly places: readonly Place[];
  place(domain: ImageDomain): Place;
  /** A hotpatch image for demo.dll; with a callout when it is to fail or crash. */
  image(options?: PatchOptions): PeImage;
  load(options?: PatchOptions): Patch;
}

/** Boots the system of a cell with demo.dll in every address space of its kind. */
export async function bench({ boot, images, kind }: Cell): Promise<Bench> {
  const lab = await Lab.boot(boot);
  const load = (domain: ImageDomain, name: string): LoadedImage => {
    const { image, path } = readFixture(`${images}/${name}`);
    return lab.kernel.loadImage(image, { domain, symbols: findSymbols({ image, path }).table });
  };
  const place = (domain: ImageDomain): Place => {
    load(domain, 'hpimport.dll');
    const demo = load(domain, 'base/demo.dll');
    return {
      domain,
      demo,
      call: (name, ...parameters) =>
        Number(BigInt.asIntN(32, lab.kernel.call64(demo.symbol(name), parameters, { domain }))),
    };
  };
  const places = kind.domains(lab).map(place);
  const image = (options: PatchOptions = {}) => patchImage(images, options);
  return {
    lab,
    places,
    place,
    image,
    load: (options) => lab.engine.load(image(options), { name: 'demo_hp.dll' }),
    [Symbol.dispose]: () => lab[Symbol.dispose](),
  };
}

/** Covers some of the functions that demo.c's fix changes, with a sequence number of its own. */
function patchImage(
  images: Cell['images'],
  { sequenceNumber = 1, functions = DEMO_FUNCTIONS, failingPhase, crashingPhase }: PatchOptions,
): PeImage {
  const hasCallout = failingPhase !== undefined || crashingPhase !== undefined;
  const stem = hasCallout ? 'phases' : 'demo';
  const { image: base, path } = readFixture(`${images}/base/demo.dll`);
  const symbols = findSymbols({ image: base, path }).table;
  const covered = new Set(functions.map((name) => symbols.byName(name)?.rva));
  const table = readFixture(`${images}/patch/${stem}_hp.dll`).image.hotPatch;
  if (table === undefined) throw new Error('the fixture has no hotpatch table');
  const bases = table.bases.map((description) => ({
    ...description,
    chunks: description.chunks.map((chunk) =>
      chunk.direction === 'backward'
        ? chunk
        : { ...chunk, records: chunk.records.filter((record) => covered.has(record.rva)) },
    ),
  }));
  const fixed = hasCallout
    ? failing(images, failingPhase ?? -1, crashingPhase ?? -1)
    : readFixture(`${images}/fixed/${stem}.dll`).image;
  const input: HotPatchTableInput = { ...table, sequenceNumber, bases };
  return readImage(appendHotPatchTable(fixed, encodeHotPatchTable(input)), { file: 'demo_hp.dll' });
}

/** phases.dll with its two variables set in the file. */
function failing(images: Cell['images'], failingPhase: number, crashingPhase: number): PeImage {
  const bytes = fixtureBytes(`${images}/fixed/phases.dll`);
  const image = readImage(bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const write = (name: string, value: number) => {
    const rva = image.exports?.functions.find((exported) => exported.name === name)?.rva ?? -1;
    const section = image.sections.find(
      ({ virtualAddress, virtualSize }) => rva >= virtualAddress && rva < virtualAddress + virtualSize,
    );
    if (section === undefined) throw new Error(`phases.dll has no ${name}`);
    const offset = rva - section.virtualAddress + section.pointerToRawData;
    view.setInt32(offset, value, true);
  };
  write('FailingPhase', failingPhase);
  write('CrashingPhase', crashingPhase);
  return readImage(bytes, { file: 'phases.dll' });
}
