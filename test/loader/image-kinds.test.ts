import { IMAGE_FILE, type PeImage, readImage } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import type { ImageDomain, Kernel, LoadedImage } from '../../loader/index.js';
import {
  ARCHITECTURES,
  boot,
  builder,
  described,
  goOn,
  protections,
  returning,
  writableAndExecutable,
} from './support.js';

interface Kind {
  readonly name: string;
  readonly architectures: readonly (typeof ARCHITECTURES)[number][];
  /** Loads the image into every place of this kind: what must hold in each. */
  load(kernel: Kernel): { domain: ImageDomain; image: LoadedImage }[];
  readonly writable: 'PAGE_READWRITE' | 'PAGE_WRITECOPY';
}

/** The same file without the mark of a DLL: a program. */
function asProgram(dll: PeImage): PeImage {
  const bytes = dll.bytes.slice();
  const view = new DataView(bytes.buffer);
  const characteristics = view.getUint32(0x3c, true) + 22;
  view.setUint16(characteristics, view.getUint16(characteristics, true) & ~IMAGE_FILE.DLL, true);
  return readImage(bytes, { file: 'demo.exe' });
}

const KINDS: Kind[] = [
  {
    name: 'driver',
    architectures: ['x64', 'arm64'],
    writable: 'PAGE_READWRITE',
    load: (kernel) => {
      const image = kernel.loadImage(...described(`${kernel.boot.architecture}/base/demo.dll`));
      return [{ domain: kernel.system, image }];
    },
  },
  {
    name: 'session driver in two of three sessions',
    architectures: ['x64', 'arm64'],
    writable: 'PAGE_WRITECOPY',
    load: (kernel) =>
      [kernel.createSession(), kernel.createSession(), kernel.createSession()].slice(0, 2).map((session) => ({
        domain: session.domain,
        image: session.loadDriver(...described(`${kernel.boot.architecture}/base/demo.dll`)),
      })),
  },
  {
    name: 'DLL in three processes',
    architectures: ARCHITECTURES,
    writable: 'PAGE_WRITECOPY',
    load: (kernel) =>
      ['a.exe', 'b.exe', 'c.exe'].map((name) => {
        const process = kernel.createProcess({ name });
        const image = process.loadImage(...described(`${kernel.boot.architecture}/base/demo.dll`));
        return { domain: process.domain, image };
      }),
  },
  {
    name: 'EXE',
    architectures: ARCHITECTURES,
    writable: 'PAGE_WRITECOPY',
    load: (kernel) => {
      const [dll, { symbols }] = described(`${kernel.boot.architecture}/base/demo.dll`);
      const process = kernel.createProcess({
        name: 'demo.exe',
        image: asProgram(dll),
        ...(symbols === undefined ? {} : { symbols }),
      });
      if (process.mainImage === undefined) throw new Error('no EXE');
      return [{ domain: process.domain, image: process.mainImage }];
    },
  },
  {
    name: 'secure module',
    architectures: ['x64', 'arm64'],
    writable: 'PAGE_READWRITE',
    load: (kernel) => {
      const { secureKernel } = kernel;
      if (secureKernel === undefined) throw new Error('no VTL1');
      const image = secureKernel.loadImage(...described(`${kernel.boot.architecture}/base/demo.dll`));
      return [{ domain: secureKernel.domain, image }];
    },
  },
];

const CELLS = KINDS.flatMap((kind) => kind.architectures.map((architecture) => ({ kind, architecture })));

describe.each(CELLS)('$kind.name on $architecture', ({ kind, architecture }) => {
  it('is mapped with the protections of its sections, never writable and executable', () => {
    using kernel = boot(architecture);
    for (const { domain, image } of kind.load(kernel)) {
      expect(protections(image)).toMatchObject({
        headers: 'PAGE_READONLY',
        '.text': 'PAGE_EXECUTE_READ',
        '.rdata': 'PAGE_READONLY',
        '.data': kind.writable,
      });
      expect(writableAndExecutable(domain)).toEqual([]);
    }
  });

  it('has every page of every section protected as its header says, and nothing between and behind them', () => {
    using kernel = boot(architecture);
    for (const { domain, image } of kind.load(kernel)) {
      const expected = new Map<bigint, string>();
      const add = (rva: number, size: number, protection: string) => {
        for (let at = 0; at < size; at += 0x1000) expected.set(image.address(rva + at), protection);
      };
      add(0, image.image.optionalHeader.sizeOfHeaders, 'PAGE_READONLY');
      for (const { virtualAddress, sizeInMemory, characteristics } of image.image.sections) {
        const executable = (characteristics & 0x20000000) !== 0;
        const writable = (characteristics & 0x80000000) !== 0;
        add(
          virtualAddress,
          sizeInMemory,
          executable ? 'PAGE_EXECUTE_READ' : writable ? 'writable' : 'PAGE_READONLY',
        );
      }
      for (let page = image.dllBase; page < image.dllBase + BigInt(image.sizeOfImage); page += 0x1000n) {
        const { state, protection } = domain.table.query(page);
        const wanted = expected.get(page);
        if (wanted === undefined) expect(state).toBe('reserved');
        else if (wanted === 'writable') expect(['PAGE_READWRITE', 'PAGE_WRITECOPY']).toContain(protection);
        else expect(protection).toBe(wanted);
      }
    }
  });

  it('has an HPAT behind its end: address space without memory', () => {
    using kernel = boot(architecture, { hotPatchTableSize: 0x1800 });
    for (const { domain, image } of kind.load(kernel)) {
      const end = image.dllBase + BigInt(Math.ceil(image.sizeOfImage / 0x1000) * 0x1000);
      expect(image.hpat).toMatchObject({ base: end, reserveSize: 0x4000, committed: false });
      for (let offset = 0n; offset < 0x4000n; offset += 0x1000n)
        expect(domain.table.query(end + offset).state).toBe('reserved');
      expect(domain.table.query(end + 0x4000n).state).toBe('free');
    }
  });

  it('runs, and calls the image that it imports from', () => {
    using kernel = boot(architecture);
    for (const { domain, image } of kind.load(kernel)) {
      expect(image.imports.map(({ origin }) => origin)).toEqual(['image', 'image']);
      const library = domain.findImage('hpimport.dll');
      for (const { iatRva, address, name } of image.imports) {
        expect(image.readPointer(iatRva)).toBe(address);
        expect(library?.contains(address)).toBe(true);
        expect(library?.describe(address)).toBe(`hpimport!${name}`);
      }
      expect(kernel.call64(image.symbol('hp_entry'), [0, 3, 4], { domain }) & 0xffffffffn).toBe(119n);
    }
  });

  it('is found by its identity in every place that has it', () => {
    using kernel = boot(architecture);
    const places = kind.load(kernel);
    const { checkSum, timeDateStamp } = places[0]?.image ?? { checkSum: 0, timeDateStamp: 0 };
    const found = kernel.imagesOf({ checkSum, timeDateStamp });
    expect(found.map(({ image }) => image)).toEqual(places.map(({ image }) => image));
    expect(new Set(found.map(({ kind: kindOf }) => kindOf))).toEqual(new Set([places[0]?.domain.kind]));
    expect(kernel.imagesOf({ checkSum, timeDateStamp: timeDateStamp + 1 })).toEqual([]);
  });

  it('keeps its data to itself', () => {
    using kernel = boot(architecture);
    const places = kind.load(kernel);
    const counters = () =>
      places.map(({ image, domain }) => domain.addressSpace.readU32(image.symbol('g_counter')));
    const [first] = places;
    if (first === undefined) throw new Error('no place');
    const before = counters();
    kernel.call64(first.image.symbol('dispatch'), [6, 4711, 0], { domain: first.domain });
    expect(counters()).toEqual([4711, ...before.slice(1)]);
  });

  it('frees everything when it is unloaded', () => {
    using kernel = boot(architecture);
    // What the loader keeps for the first image of all, and for a first process, is not the image's.
    for (const { image } of kind.load(kernel))
      for (const each of [...image.domain.images].reverse()) kernel.unloadImage(each);
    const places = kind.load(kernel);
    const extents = places.flatMap(({ domain }) =>
      domain.images.map((each) => {
        const behind = each.hpat === undefined ? each.sizeOfImage : each.hpat.reserveSize + each.sizeOfImage;
        return { domain, start: each.dllBase, end: each.dllBase + BigInt(behind) };
      }),
    );
    const pages = places.map(({ domain }) => domain.table.committedPages);
    for (const { image } of places)
      for (const each of [...image.domain.images].reverse()) kernel.unloadImage(each);
    for (const [i, { domain, image }] of places.entries()) {
      expect(domain.images).toEqual([]);
      expect(domain.table.query(image.dllBase).state).toBe('free');
      expect(domain.table.query(image.hpat?.base ?? 0n).state).toBe('free');
      expect(domain.table.committedPages).toBeLessThan(pages[i] ?? 0);
    }
    for (const { domain, start, end } of extents)
      for (let page = start; page < end; page += 0x1000n) expect(domain.table.query(page).state).toBe('free');
    for (const section of kernel.sections) expect(section.prototypePages).toBe(0);
    expect(kernel.patchGuard.pages).toBe(0);
    const before = kernel.machine.memory.framesInUse;
    const [again] = kind.load(kernel);
    for (const each of [...(again?.domain.images ?? [])].reverse()) kernel.unloadImage(each);
    if (kind.name === 'driver' || kind.name === 'secure module')
      expect(kernel.machine.memory.framesInUse).toBe(before);
  });
});

describe.each(ARCHITECTURES)('programs on %s', (architecture) => {
  it('start at their entry point, in user mode', () => {
    using kernel = boot(architecture);
    const { image } = builder(architecture, { dll: false, name: 'program.exe' })
      .code('start', returning(architecture, 42))
      .entryPoint('start')
      .build();
    const process = kernel.createProcess({ name: 'program.exe', image });
    expect(process.mainImage?.dllBase).toBeDefined();
    const thread = process.createThread(process.mainImage?.entryPoint ?? 0n);
    kernel.run({ until: thread.reaches(thread.startAddress + 1n), instructions: 1 });
    expect(kernel.machine.processors[0]?.ring).toBe(3);
    kernel.run({ until: thread.returns() });
    expect(thread.result).toBe(42);
  });
});

describe('secure images', () => {
  it.each(['x64', 'arm64'] as const)('are invisible to NT on %s', (architecture) => {
    using kernel = boot(architecture);
    const secure = kernel.secureKernel?.loadImage(...described(`${architecture}/base/demo.dll`));
    if (secure === undefined) throw new Error('no VTL1');
    expect(kernel.system.images).toEqual([]);
    for (const domain of kernel.domains.filter(({ kind }) => kind !== 'secure'))
      expect(() => domain.addressSpace.read(secure.dllBase, 1)).toThrow(/not committed|nothing is committed/);
    const driver = kernel.loadImage(...described(`${architecture}/base/packets.sys`));
    expect(() => kernel.call64(driver.symbol('Checksum'), [secure.dllBase, 1])).toThrow(
      /access violation: read/,
    );
    goOn(kernel);
    const thread = kernel.createThread(secure.symbol('leaf_opaque'), [], { domain: secure.domain });
    kernel.run({ instructions: 1 });
    expect(thread.processor?.vtl).toBe(1);
  });

  it('are refused to VTL0 by the second level, even when NT maps their pages', () => {
    using kernel = boot('x64');
    const secure = kernel.secureKernel?.loadImage(...described('x64/base/demo.dll'));
    const { frame } = secure?.domain.table.query(secure.dllBase) ?? {};
    if (frame === undefined) throw new Error('no page');
    const stolen = 0xffffb900_00000000n;
    kernel.system.table.commit(stolen, 1, 'PAGE_READWRITE', { frames: [frame] });
    const driver = kernel.loadImage(...described('x64/base/packets.sys'));
    expect(() => kernel.call64(driver.symbol('Checksum'), [stolen, 1])).toThrow(/secondLevel/);
  });
});

describe('sharing', () => {
  it.each(ARCHITECTURES)('lets a process see shared pages until it writes, on %s', (architecture) => {
    using kernel = boot(architecture);
    const [first, second] = ['a.exe', 'b.exe'].map((name) => {
      const process = kernel.createProcess({ name });
      return { process, image: process.loadImage(...described(`${architecture}/base/demo.dll`)) };
    });
    if (first === undefined || second === undefined) throw new Error('no processes');
    expect(second.image.dllBase).toBe(first.image.dllBase);
    const frames = (section: string) => {
      const rva = first.image.image.sections.find(({ name }) => name === section)?.virtualAddress ?? -1;
      return [first, second].map(({ image }) => image.domain.table.query(image.address(rva)).frame);
    };
    expect(frames('.text')[0]).toBe(frames('.text')[1]);

    const code = first.image.symbol('leaf_opaque');
    const before = [...second.image.codeBytes()];
    const { protection } = first.image.domain.table.query(code);
    first.image.domain.writer.writeCode(code, Uint8Array.of(1, 2));
    expect(frames('.text')[0]).not.toBe(frames('.text')[1]);
    expect(first.image.domain.table.query(code).protection).toBe(protection);
    expect([...second.image.codeBytes()]).toEqual(before);
    const third = kernel
      .createProcess({ name: 'c.exe' })
      .loadImage(...described(`${architecture}/base/demo.dll`));
    expect([...third.codeBytes()]).toEqual(before);
  });

  it('puts an image at another address after another boot', () => {
    const bases = [1, 2, 3, 4].map((seed) => {
      using kernel = boot('x64', { seed });
      return kernel.createProcess({ name: 'a.exe' }).loadImage(...described('x64/hpimport.dll')).dllBase;
    });
    expect(new Set(bases).size).toBeGreaterThan(1);
  });

  it('maps a session only where it was attached', () => {
    using kernel = boot('x64');
    const [one, two] = [kernel.createSession(), kernel.createSession()];
    const driver = one.loadDriver(...described('x64/base/packets.sys'));
    two.loadDriver(...described('x64/base/packets.sys'));
    const space = kernel.hotPatchProcess?.addressSpace;
    expect(kernel.hotPatchProcess?.session).toBeUndefined();
    expect(() => space?.readU8(driver.dllBase)).toThrow();
    {
      using _ = kernel.attachSession(one);
      expect(space?.readU8(driver.dllBase)).toBe(0x4d);
      expect(() => kernel.attachSession(two)).toThrow(/attached to a session already/);
    }
    expect(() => space?.readU8(driver.dllBase)).toThrow();
    using _ = kernel.attachSession(two);
    expect(space?.readU8(driver.dllBase)).toBe(0x4d);
  });
});
