import { type BootOptions, Lab, type LoadedImage, type Patch } from 'hotpatch-lab';
import {
  appendHotPatchTable,
  encodeHotPatchTable,
  findSymbols,
  type HotPatchTableInput,
  type PeImage,
  readImage,
} from 'hotpatch-lab/image';
import { fixture, fixtureBytes } from '../support.js';

/** Each way of redirecting a function: a processor, and a layout of the HPAT. */
export interface Form {
  readonly name: string;
  readonly boot: BootOptions;
  /** What an entry looks like when it is patched; `undefined` bytes depend on addresses. */
  readonly entry: readonly (number | undefined)[];
  /** Bytes of padding that the form changes before the entry. */
  readonly paddingUsed: number;
  /** Guest instructions that a patched call takes more. */
  readonly hops: number;
}

export const FORMS: readonly Form[] = [
  { name: 'x64', boot: { architecture: 'x64' }, entry: [0xeb, 0xf9], paddingUsed: 5, hops: 3 },
  {
    name: 'x64 pointers',
    boot: { architecture: 'x64', hpatLayout: 'pointers' },
    entry: [0xeb, 0xf8],
    paddingUsed: 6,
    hops: 2,
  },
  {
    name: 'x64 retpoline',
    boot: { architecture: 'x64', retpoline: true },
    entry: [0xeb, 0xf9],
    paddingUsed: 5,
    hops: 8,
  },
  { name: 'x86', boot: { architecture: 'x86' }, entry: [0xeb, 0xf9], paddingUsed: 5, hops: 3 },
  {
    name: 'ARM64',
    boot: { architecture: 'arm64' },
    entry: [undefined, undefined, undefined, 0x14],
    paddingUsed: 0,
    hops: 3,
  },
];

/** Functions that demo.c's fix changes and that the base has. */
export const DEMO_FUNCTIONS = ['call_op', 'copy_name', 'dispatch', 'hp_entry', 'leaf_opaque', 'set_hook'];

export async function bootForm(form: Form): Promise<{ lab: Lab<'modern'>; demo: LoadedImage } & Disposable> {
  const lab = await Lab.boot(form.boot);
  const { architecture } = form.boot;
  await lab.loadImage(fixture(`${architecture}/hpimport.dll`));
  const demo = await lab.loadImage(fixture(`${architecture}/base/demo.dll`));
  return { lab, demo, [Symbol.dispose]: () => lab[Symbol.dispose]() };
}

/** A hotpatch image for demo.dll that covers only some of the changed functions, with a sequence number of its own. */
export function demoPatch(
  form: Form,
  sequenceNumber: number,
  functions: readonly string[] = DEMO_FUNCTIONS,
  change: Partial<HotPatchTableInput> = {},
): PeImage {
  const { architecture } = form.boot;
  const read = (path: string) =>
    readImage(fixtureBytes(`${architecture}/${path}`), { file: fixture(`${architecture}/${path}`) });
  const base = read('base/demo.dll');
  const { table: symbols } = findSymbols({ image: base, path: fixture(`${architecture}/base/demo.dll`) });
  const covered = new Set(functions.map((name) => symbols.byName(name)?.rva));
  const table = read('patch/demo_hp.dll').hotPatch;
  if (table === undefined) throw new Error('the fixture has no hotpatch table');
  const bases = table.bases.map((description) => ({
    ...description,
    chunks: description.chunks.map((chunk) =>
      chunk.direction === 'backward'
        ? chunk
        : { ...chunk, records: chunk.records.filter((record) => covered.has(record.rva)) },
    ),
  }));
  const bytes = appendHotPatchTable(
    read('fixed/demo.dll'),
    encodeHotPatchTable({ ...table, sequenceNumber, bases, ...change }),
  );
  return readImage(bytes, { file: `demo_hp${sequenceNumber}.dll` });
}

/** Loads {@link demoPatch} with the symbols of the fixed build. */
export function loadDemoPatch(lab: Lab<'modern'>, form: Form, sequenceNumber: number): Patch {
  const image = demoPatch(form, sequenceNumber);
  const path = fixture(`${form.boot.architecture}/fixed/demo.dll`);
  const fixed = readImage(fixtureBytes(`${form.boot.architecture}/fixed/demo.dll`), { file: path });
  return lab.engine.load(image, { symbols: findSymbols({ image: fixed, path }).table });
}

/** How many instructions a call takes. */
export function instructionsOf(lab: Lab, address: bigint, parameters: readonly (bigint | number)[]): number {
  return lab.kernel.callThread(address, parameters).instructions;
}
