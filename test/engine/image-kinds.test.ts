import { type BootOptions, type ImageDomain, Lab, type LoadedImage } from 'hotpatch-lab';
import { findSymbols, type PeImage, readImage } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { fixture, fixtureBytes } from '../support.js';
import { demoPatch, FORMS, type Form } from './forms.js';

/** A kind of image that can be hotpatched, and how many address spaces of it the tests make. */
interface Kind {
  readonly name: string;
  readonly boot: BootOptions;
  /** Folder of the images. */
  readonly images: 'x64' | 'arm64' | 'x86';
  readonly codeWriter: 'SecureKernel' | 'NT';
  domains(lab: Lab): ImageDomain[];
}

const processes = (lab: Lab, wow64: boolean) =>
  ['a.exe', 'b.exe', 'c.exe'].map((name) => lab.kernel.createProcess({ name, wow64 }).domain);
const sessions = (lab: Lab) => [1, 2, 3].map(() => lab.kernel.createSession().domain);
const vtl1 = ({ kernel }: Lab) => (kernel.secureKernel === undefined ? [] : [kernel.secureKernel.domain]);

const KINDS: readonly Kind[] = (['x64', 'arm64'] as const).flatMap((architecture): Kind[] => [
  {
    name: `${architecture} driver`,
    boot: { architecture },
    images: architecture,
    codeWriter: 'SecureKernel',
    domains: (lab) => [lab.kernel.system],
  },
  {
    name: `${architecture} session driver in three sessions`,
    boot: { architecture },
    images: architecture,
    codeWriter: 'SecureKernel',
    domains: sessions,
  },
  {
    name: `${architecture} DLL in three processes`,
    boot: { architecture },
    images: architecture,
    codeWriter: 'NT',
    domains: (lab) => processes(lab, false),
  },
  {
    name: `${architecture} secure module`,
    boot: { architecture },
    images: architecture,
    codeWriter: 'SecureKernel',
    domains: vtl1,
  },
]);
const ALL_KINDS: readonly Kind[] = [
  ...KINDS,
  {
    name: 'x86 DLL in three WOW64 processes',
    boot: { architecture: 'x64' },
    images: 'x86',
    codeWriter: 'NT',
    domains: (lab) => processes(lab, true),
  },
  {
    name: 'x64 driver in a system with retpoline',
    boot: { architecture: 'x64', retpoline: true },
    images: 'x64',
    codeWriter: 'SecureKernel',
    domains: (lab) => [lab.kernel.system],
  },
];

function read(path: string): { image: PeImage; path: string } {
  return { image: readImage(fixtureBytes(path), { file: fixture(path) }), path: fixture(path) };
}

async function boot(kind: Kind) {
  const lab = await Lab.boot(kind.boot);
  const load = (domain: ImageDomain, name: string): LoadedImage => {
    const { image, path } = read(`${kind.images}/${name}`);
    return lab.kernel.loadImage(image, { domain, symbols: findSymbols({ image, path }).table });
  };
  const place = (domain: ImageDomain) => {
    load(domain, 'hpimport.dll');
    const demo = load(domain, 'base/demo.dll');
    return {
      domain,
      demo,
      call: (name: string, ...parameters: number[]) =>
        Number(BigInt.asIntN(32, lab.kernel.call(demo.symbol(name), parameters, { domain }))),
    };
  };
  const places = kind.domains(lab).map(place);
  return {
    lab,
    places,
    place,
    loadPatch: () =>
      lab.engine.loadPatch(read(`${kind.images}/patch/demo_hp.dll`).image, { name: 'demo_hp.dll' }),
    [Symbol.dispose]: () => lab[Symbol.dispose](),
  };
}

describe.each(ALL_KINDS)('$name', (kind) => {
  it('runs old code before, new code after, old code again when reverted', async () => {
    using machine = await boot(kind);
    const { places } = machine;
    expect(places.length).toBeGreaterThan(0);
    for (const { call } of places) expect(call('leaf_opaque')).toBe(42);
    const patch = machine.loadPatch();
    expect(patch.applications.length).toBe(places.length);
    for (const { call, demo } of places) {
      expect(call('leaf_opaque')).toBe(43);
      expect(call('hp_entry', 3, 9, 4)).toBe(171);
      expect(demo.hotPatchState).toBe('AppliedForward');
    }
    machine.lab.engine.unloadPatch(patch);
    for (const { call, demo } of places) {
      expect(call('leaf_opaque')).toBe(42);
      expect(demo.codeBytes()).toEqual(demo.codeBytesBeforePatch);
      expect(demo.hotPatchState).toBe('BaseImage');
    }
  });

  it('keeps the data of each address space apart', async () => {
    using machine = await boot(kind);
    const { places } = machine;
    machine.loadPatch();
    for (const [index, { call }] of places.entries()) call('dispatch', 6, 1000 + index, 1);
    places.forEach(({ demo, domain }, index) => {
      expect(domain.addressSpace.readU32(demo.symbol('g_counter'))).toBe(1000 + index);
    });
  });

  it('is changed by whom it must be changed, and is never writable and executable', async () => {
    using machine = await boot(kind);
    const { lab, places } = machine;
    const writers = new Set<string>();
    lab.kernel.events.on((event) => {
      if (event.kind === 'store' && / stores .*\(entry of/.test(event.text))
        writers.add(event.text.trim().split(' ')[0] ?? '');
    });
    machine.loadPatch();
    expect([...writers]).toEqual([kind.codeWriter]);
    for (const { domain } of places)
      for (const { protection } of domain.table.entries())
        expect(protection).not.toMatch(/^PAGE_EXECUTE_(READWRITE|WRITECOPY)$/);
  });

  it('takes everything back in every address space when one store fails', async () => {
    using machine = await boot(kind);
    const { lab, places } = machine;
    const last = places.at(-1);
    if (last === undefined) throw new Error('no place');
    const { writer } = last.domain;
    const { writeCode } = writer;
    const entry = last.demo.symbol('leaf_opaque');
    Object.assign(writer, {
      writeCode(address: bigint, bytes: Uint8Array) {
        if (address === entry) throw new Error('no');
        writeCode.call(writer, address, bytes);
      },
    });
    expect(() => machine.loadPatch()).toThrow('no');
    for (const { call, demo, domain } of places) {
      expect(demo.codeBytes()).toEqual(demo.codeBytesBeforePatch);
      expect(domain.images.map((image) => image.baseDllName)).toEqual(['hpimport.dll', 'demo.dll']);
      expect(call('leaf_opaque')).toBe(42);
    }
    expect(lab.engine.patches).toEqual([]);
  });

  it('is patched at load when the patch came first', async () => {
    using machine = await boot(kind);
    const { lab, places } = machine;
    for (const { demo } of places) lab.kernel.unloadImage(demo);
    for (const { domain } of places) for (const image of [...domain.images]) lab.kernel.unloadImage(image);
    const patch = machine.loadPatch();
    expect(patch.state).toBe('deferred');
    for (const { domain } of places) expect(machine.place(domain).call('leaf_opaque')).toBe(43);
    expect(patch.applications.length).toBe(places.length);
  });
});

describe('processes and sessions that come and go', () => {
  const dll = ALL_KINDS.find(({ name }) => name === 'x64 DLL in three processes');
  if (dll === undefined) throw new Error('no such kind');

  it('a process that starts later gets the patch before its first instruction', async () => {
    using machine = await boot(dll);
    const patch = machine.loadPatch();
    const late = machine.place(machine.lab.kernel.createProcess({ name: 'late.exe' }).domain);
    expect(late.call('leaf_opaque')).toBe(43);
    expect(patch.applications.length).toBe(4);
    machine.lab.engine.unloadPatch(patch);
    expect(late.call('leaf_opaque')).toBe(42);
  });

  it('a process that started under the newer patch gets the one before it when the newer is taken back', async () => {
    using machine = await boot(dll);
    const { lab, places } = machine;
    const form = FORMS[0] as Form;
    const first = lab.engine.loadPatch(demoPatch(form, 1, ['leaf_opaque']));
    const second = lab.engine.loadPatch(demoPatch(form, 2, ['leaf_opaque', 'dispatch']));
    const late = machine.place(lab.kernel.createProcess({ name: 'late.exe' }).domain);
    expect(late.call('dispatch', 8, 5, 0)).toBe(5 ^ 0x5a5a);
    lab.engine.unloadPatch(second);
    for (const { call } of [...places, late]) {
      expect(call('leaf_opaque')).toBe(43);
      expect(call('dispatch', 8, 5, 0)).toBe(-1);
    }
    lab.engine.unloadPatch(first);
    for (const { call, demo } of [...places, late]) {
      expect(call('leaf_opaque')).toBe(42);
      expect(demo.codeBytes()).toEqual(demo.codeBytesBeforePatch);
    }
  });

  it('a process that ends takes its application with it', async () => {
    using machine = await boot(dll);
    const patch = machine.loadPatch();
    const [first] = machine.places;
    first?.domain.process?.terminate();
    expect(patch.applications.length).toBe(2);
    machine.lab.engine.unloadPatch(patch);
    for (const { demo } of machine.places.slice(1))
      expect(demo.codeBytes()).toEqual(demo.codeBytesBeforePatch);
  });

  it('a patch of one user concerns the processes of that user alone', async () => {
    using machine = await boot(dll);
    const { lab, places } = machine;
    const [mine, other] = places;
    if (mine?.domain.process === undefined || other === undefined) throw new Error('no process');
    mine.domain.process.userSid = 'S-1-5-21-1-2-3-1001';
    const { image } = read('x64/patch/demo_hp.dll');
    lab.engine.loadPatch(image, { userSid: 'S-1-5-21-1-2-3-1001' });
    expect(mine.call('leaf_opaque')).toBe(43);
    expect(other.call('leaf_opaque')).toBe(42);
  });
});
