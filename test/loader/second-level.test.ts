import { Lab, type LoadedImage } from 'hotpatch-lab';
import { ImageBuilder, readImage } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { pair, returning } from '../engine/built.js';

/** `mov eax, [rcx]; ret` and `mov [rcx], edx; ret` */
const PEEK = [0x8b, 0x01, 0xc3];
const POKE = [0x89, 0x11, 0xc3];
const ALIAS = 0xffff_bb00_0000_0000n;

const probe = () => {
  const { bytes } = new ImageBuilder('x64', { name: 'probe.sys' })
    .code('peek', PEEK)
    .code('poke', POKE)
    .export('peek')
    .export('poke')
    .loadConfig()
    .build();
  return readImage(bytes, { file: 'probe.sys' });
};

const patched = () =>
  pair({
    parts: (builder, value) =>
      builder.code('f', returning(value)).uninitialized('zeros', 0x3000).data('initialised', [1, 2, 3, 4]),
    covered: ['f'],
  });

/** A lab with a driver that reads and writes whatever memory it has an alias of. */
async function boot(options: { vbs?: boolean; retpoline?: boolean } = {}) {
  const lab = await Lab.boot({ architecture: 'x64', ...options });
  const { system } = lab.kernel;
  const driver = lab.kernel.loadImage(probe(), { name: 'probe.sys', initialize: false });
  let aliases = 0n;
  /** The page that `address` shows in `image`'s address space, writable in kernel space. */
  const alias = ({ domain }: Pick<LoadedImage, 'domain'>, address: bigint) => {
    const page = address & ~0xfffn;
    const frame = domain.table.resolve(Number(page >> 12n), false);
    const at = ALIAS + aliases++ * 0x1000n;
    system.table.commit(at, 1, 'PAGE_READWRITE', { frames: [frame], copyOnWrite: false });
    return at + (address - page);
  };
  const attempt = (act: () => unknown) => {
    try {
      act();
      return 'done';
    } catch (error) {
      return /secondLevel/.test(String(error)) ? 'secondLevel' : String(error);
    }
  };
  return {
    lab,
    alias,
    peek: (at: bigint) => attempt(() => lab.call(driver.symbol('peek'), [at])),
    poke: (at: bigint) => attempt(() => lab.call(driver.symbol('poke'), [at, 0x12345678])),
    [Symbol.dispose]: () => lab[Symbol.dispose](),
  };
}

describe('memory of VTL1, through an alias in VTL0', () => {
  const { base, patch, rva } = patched();
  type Part = (loaded: LoadedImage) => bigint;
  const PARTS: readonly (readonly [string, Part])[] = [
    ['headers', ({ dllBase }) => dllBase],
    ['code', (loaded) => loaded.address(rva('f'))],
    ['data', (loaded) => loaded.address(rva('initialised'))],
    ['zeroed data', (loaded) => loaded.address(rva('zeros') + 0x1000)],
    ['an HPAT code slot', ({ hpat }) => hpat?.codeSlot(0) ?? 0n],
    ['an HPAT data slot', ({ hpat }) => hpat?.dataSlot(0) ?? 0n],
    ['pool', ({ domain }) => domain.allocateMemory('pool', 16)],
    ['a stack', ({ domain }) => domain.allocateMemory('stacks', 0x4000)],
  ];
  it.each(PARTS)('%s can be neither read nor written', async (_part, where) => {
    using machine = await boot();
    const { lab } = machine;
    const loaded = lab.kernel.secureKernel?.loadImage(base, { initialize: false });
    if (loaded === undefined) throw new Error('no VTL1');
    lab.engine.load(patch);
    const at = machine.alias(loaded, where(loaded));
    expect([machine.peek(at), machine.poke(at)]).toEqual(['secondLevel', 'secondLevel']);
  });

  it('the patch image of a secure image is hidden as well', async () => {
    using machine = await boot();
    machine.lab.kernel.secureKernel?.loadImage(base, { initialize: false });
    const { loaded } = machine.lab.engine.load(patch);
    if (loaded === undefined) throw new Error('not applied');
    expect(machine.peek(machine.alias(loaded, loaded.dllBase))).toBe('secondLevel');
  });

  it('is nobody’s secret any more when it has been freed', async () => {
    using machine = await boot();
    const { lab } = machine;
    const domain = lab.kernel.secureKernel?.domain;
    if (domain === undefined) throw new Error('no VTL1');
    const freed = domain.allocateMemory('pool', 16);
    const frame = domain.table.resolve(Number(freed >> 12n), false);
    domain.freeMemory(freed, 16);
    const mine = lab.kernel.system.allocateMemory('pool', 16);
    expect(lab.kernel.system.table.resolve(Number(mine >> 12n), false)).toBe(frame);
    expect(machine.poke(mine)).toBe('done');
  });
});

describe('executable pages of the kernel, through a writable alias', () => {
  const { base, patch, rva } = patched();
  type Place = (lab: Lab) => LoadedImage;
  const driver: Place = (lab) => lab.kernel.loadImage(base, { initialize: false });
  const session: Place = (lab) => lab.kernel.createSession().loadDriver(base, { initialize: false });
  type Where = (loaded: LoadedImage, patchImage: LoadedImage) => bigint;
  const code: Where = (loaded) => loaded.address(rva('f'));
  const slot: Where = ({ hpat }) => hpat?.codeSlot(0) ?? 0n;
  const retpoline: Where = ({ jumpHpat }) => jumpHpat ?? 0n;
  const ofPatch: Where = (_, patchImage) =>
    patchImage.address(patchImage.executableSections[0]?.virtualAddress ?? 0);
  const CASES: readonly (readonly [string, Place, Where])[] = [
    ['code of a driver', driver, code],
    ['HPAT code slot of a driver', driver, slot],
    ['retpoline page of a driver', driver, retpoline],
    ['code of the patch image', driver, ofPatch],
    ['code of a session driver, after copy-on-write', session, code],
    ['HPAT code slot of a session driver', session, slot],
    ['retpoline page of a session driver', session, retpoline],
  ];
  it.each(CASES)('%s: read, not written, with VBS', async (_what, place, where) => {
    using machine = await boot({ retpoline: true });
    const loaded = place(machine.lab);
    const { loaded: patchImage } = machine.lab.engine.load(patch);
    if (patchImage === undefined) throw new Error('not applied');
    const at = machine.alias(loaded, where(loaded, patchImage));
    expect([machine.peek(at), machine.poke(at)]).toEqual(['done', 'secondLevel']);
  });

  it('HPAT data slots are NT’s own, and code is protected by nobody without VBS', async () => {
    using machine = await boot();
    const loaded = driver(machine.lab);
    machine.lab.engine.load(patch);
    expect(machine.poke(machine.alias(loaded, loaded.hpat?.dataSlot(1) ?? 0n))).toBe('done');
    using bare = await boot({ vbs: false });
    const unprotected = driver(bare.lab);
    expect(bare.poke(bare.alias(unprotected, unprotected.address(rva('f'))))).toBe('done');
  });
});

describe('the page behind an HPAT, under control flow guard', () => {
  it.each([
    ['retpoline', { retpoline: true }],
    ['KSCP', { windowsBuild: 26100, retpoline: true }],
  ] as const)('%s: nothing in it is a call target', async (_name, options) => {
    using lab = await Lab.boot({ architecture: 'x64', kernelControlFlowGuard: true, ...options });
    const loaded = lab.kernel.loadImage(probe(), { name: 'probe.sys', initialize: false });
    const page = loaded.retpolinePage ?? 0n;
    const { guard } = loaded.domain;
    const offsets = Array.from({ length: 0x1000 }, (_, offset) => BigInt(offset));
    expect(offsets.filter((offset) => guard.isValidTarget(page + offset))).toEqual([]);
    expect(guard.isValidTarget(loaded.symbol('peek'))).toBe(true);
  });
});
