import { describe, expect, it } from 'vitest';
import { richImage } from '../../campaign/fuzz/rich-image.js';
import { type PeImage, readImage } from '../../image/index.js';
import type { ImageDomain, Kernel } from '../../loader/index.js';
import { boot, memoryState, read } from './support.js';

const good = richImage('x64');
const { headers } = good.image;
const OPTIONAL = headers.optionalHeaderOffset;
const SECTIONS = headers.sectionTableOffset;
const DIRECTORIES = OPTIONAL + 112;

/** One field that no image may have: offset in the file and 32-bit value. Those of the image room's tests, and of every directory. */
const FIELDS: readonly (readonly [what: string, offset: number, value: number])[] = [
  ['e_magic', 0, 0x4d5a],
  ['e_lfanew', 0x3c, 0x7fffffff],
  ['Magic', OPTIONAL, 0x107],
  ['SectionAlignment', OPTIONAL + 32, 0x1001],
  ['SectionAlignment', OPTIONAL + 32, 0x100],
  ['FileAlignment', OPTIONAL + 36, 0],
  ['SizeOfImage', OPTIONAL + 56, 0x100],
  ['SizeOfHeaders', OPTIONAL + 60, 0x10000000],
  ['VirtualAddress of .text', SECTIONS + 12, 0x1010],
  ['VirtualAddress of .rdata', SECTIONS + 40 + 12, 0x1000],
  ['VirtualSize of .text', SECTIONS + 8, 0xffff0000],
  ['PointerToRawData of .text', SECTIONS + 20, 0x00ff0000],
  ['Characteristics of .text: writable and executable', SECTIONS + 36, 0xe0000020],
  ...[0, 1, 3, 5, 10].flatMap((index) => [
    [`directory ${index} far outside`, DIRECTORIES + 8 * index, 0x7fff0000] as const,
    [
      `directory ${index} in the last bytes`,
      DIRECTORIES + 8 * index,
      headers.optionalHeader.sizeOfImage - 2,
    ] as const,
  ]),
];
const CUTS = [0, 1, 0x3f, 0x40, 0x44, 0x58, 0x100, 0x150];

function damaged(offset: number, value: number): Uint8Array {
  const bytes = good.bytes.slice();
  new DataView(bytes.buffer).setUint32(offset, value, true);
  return bytes;
}

const BAD: readonly (readonly [name: string, bytes: () => Uint8Array])[] = [
  ...FIELDS.map(([what, offset, value]) => [what, () => damaged(offset, value)] as const),
  ...CUTS.map((length) => [`cut after ${length} bytes`, () => good.bytes.slice(0, length)] as const),
  ['another processor', () => read('arm64/base/demo.dll').bytes],
];

/** Where an image can be loaded: as a driver, a session driver, a DLL, a secure module; and as a program. */
const PLACES: Readonly<
  Record<string, (kernel: Kernel) => { domain: ImageDomain; load(image: PeImage): unknown }>
> = {
  driver: (kernel) => ({ domain: kernel.system, load: (image) => kernel.loadImage(image) }),
  'session driver': (kernel) => {
    const session = kernel.createSession();
    return { domain: session.domain, load: (image) => session.loadDriver(image) };
  },
  DLL: (kernel) => {
    const process = kernel.createProcess({ name: 'a.exe' });
    return { domain: process.domain, load: (image) => process.loadImage(image) };
  },
  EXE: (kernel) => ({
    domain: kernel.system,
    load: (image) => kernel.createProcess({ name: 'bad.exe', image }),
  }),
  'secure module': (kernel) => {
    const { secureKernel } = kernel;
    if (secureKernel === undefined) throw new Error('no VTL1');
    return { domain: secureKernel.domain, load: (image) => secureKernel.loadImage(image) };
  },
};

describe.each(Object.entries(PLACES))('a damaged image as %s', (_kind, prepare) => {
  it('is refused with an NTSTATUS, and leaves no trace', () => {
    using kernel = boot('x64');
    // What exports need an address for the first time is no trace of an image: services are placed beforehand.
    const { domain, load } = prepare(kernel);
    kernel.createProcess({ name: 'warm.exe' }).terminate();
    const state = () => ({
      memory: memoryState(kernel),
      registers: kernel.machine.hash(),
      frames: kernel.machine.memory.framesInUse,
      pages: domain.table.committedPages,
      images: domain.images.map(({ baseDllName }) => baseDllName),
      processes: kernel.processes.map(({ name }) => name),
      threads: kernel.threads.length,
      blocks: kernel.pool.blocks.size,
    });
    const wrong: string[] = [];
    let before = state();
    for (const [name, bytes] of BAD) {
      let refused: { name: string; value: number } | undefined;
      try {
        load(readImage(bytes(), { file: 'bad.dll' }));
      } catch (error) {
        refused = (error as { status?: typeof refused }).status;
      }
      if (refused === undefined) wrong.push(`${name}: not refused with an NTSTATUS`);
      else if ((refused.value & 0xc0000000) === 0) wrong.push(`${name}: ${refused.name} is no refusal`);
      const after = state();
      for (const key of Object.keys(after) as (keyof typeof after)[])
        if (JSON.stringify(after[key]) !== JSON.stringify(before[key])) wrong.push(`${name}: ${key} changed`);
      before = after;
    }
    expect(wrong).toEqual([]);
  });
});
