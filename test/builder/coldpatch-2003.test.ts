import {
  FileSystem,
  installHotfix,
  Lab,
  type LoadedImage,
  type Process,
  Server2003,
  SYSTEM32,
  SYSWOW64,
} from 'hotpatch-lab';
import { instructionFacts } from 'hotpatch-lab/cpu';
import {
  checkImage,
  findSymbols,
  HOOK_TYPE,
  type Hotp1HookInput,
  type InstructionDecoder,
  type PeImage,
  readColdpatch,
  readImage,
  validateHotp1,
} from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { buildColdpatch, verifyHotPatch2003 } from '../../builder/index.js';
import { buildPatch, buildTarget, nearHooks } from '../engine/server-2003/support.js';
import { fixture, fixtureBytes } from '../support.js';

const SYSTEMS = [
  { system: 'x86', images: 'x86', folder: SYSTEM32, wow64: true },
  { system: 'x64', images: 'x86', folder: SYSWOW64, wow64: true },
  { system: 'x64', images: 'x64', folder: SYSTEM32, wow64: false },
] as const;

const load = (path: string) => readImage(fixtureBytes(`2003/${path}`), { file: path.replace(/^.*\//, '') });

function coldpatchOf(images: string, number: 1 | 2): Uint8Array {
  return buildColdpatch(load(`${images}/base/shell.dll`), load(`${images}/patch${number}/shell_hp.dll`));
}

describe.each(SYSTEMS)('a coldpatch for $images images on $system', ({ system, images, folder, wow64 }) => {
  const path = `${folder}shell.dll`;

  async function boot(file: Uint8Array, disk = new FileSystem()) {
    disk.write(path, file);
    const lab = await Lab.boot({ architecture: system, memorySize: 16 << 20, engine: 'server-2003' });
    const server = new Server2003(lab, { disk });
    const start = (name = 'p.exe') => {
      const process = server.startProcess(name, { wow64 });
      return { process, shell: server.loadDll(process, path) };
    };
    return { disk, server, lab, start, [Symbol.dispose]: () => lab[Symbol.dispose]() };
  }

  /** What SetTitle says of some buffers, and Weigh of the item behind the last one. */
  const behaviour = ({ process, shell }: { process: Process; shell: LoadedImage }): number[] => {
    const title = process.domain.allocateMemory('pool', 16);
    const titles = [0, 1, 3, 4, 5].map((size) => process.call(shell.symbol('SetTitle'), [title, 1, size]));
    return [...titles, ...[3, 4, 5].map((item) => process.call(shell.symbol('Weigh'), [item]))];
  };

  it.each([1, 2] as const)('%s behaves as the fixed build, and lies over the old one', async (number) => {
    const bytes = coldpatchOf(images, number);
    using cold = await boot(bytes);
    using fixed = await boot(fixtureBytes(`2003/${images}/fixed${number}/shell.dll`));
    using base = await boot(fixtureBytes(`2003/${images}/base/shell.dll`));
    expect(behaviour(cold.start())).toEqual(behaviour(fixed.start()));
    expect(behaviour(cold.start())).not.toEqual(behaviour(base.start()));
    const image = readImage(bytes);
    const original = load(`${images}/base/shell.dll`);
    expect(image.sections.slice(0, original.sections.length).map(({ name }) => name)).toEqual(
      original.sections.map(({ name }) => name),
    );
    expect(readColdpatch(image)?.checkSum).toBe(original.optionalHeader.checkSum);
    expect(image.exports).toEqual(original.exports);
  });

  it.each([1, 2] as const)('check and verify see what the old file has in the places of %s', (number) => {
    const original = load(`${images}/base/shell.dll`);
    const cold = readImage(coldpatchOf(images, number), { file: 'shell.dll' });
    const entries = new Set(readColdpatch(cold)?.places.map(({ entry }) => entry));
    expect(entries.size).toBeGreaterThan(0);
    const symbols = findSymbols(fixture(`2003/${images}/base/shell.dll`));
    const decoder: InstructionDecoder = {
      facts: (bytes, address) => instructionFacts(images, bytes, address),
      text: (bytes) => Buffer.from(bytes).toString('hex'),
    };
    const check = (image: PeImage) => {
      const { functions } = checkImage(image, symbols, decoder, {
        generation: '2003',
      });
      return functions
        .filter(({ rva }) => entries.has(rva))
        .map(({ name, padding, firstInstruction: { text, length }, reasons }) => ({
          name,
          padding,
          text,
          length,
          reasons: reasons.map(({ rule }) => rule),
        }));
    };
    expect(check(cold)).toEqual(check(original));
    expect(check(cold).every(({ reasons }) => reasons.length === 0)).toBe(true);
    const patch = load(`${images}/patch${number}/shell_hp.dll`);
    const verified = verifyHotPatch2003({
      base: { image: cold, symbols: symbols.table },
      patch: { image: patch, symbols: symbols.table },
    });
    expect(verified).toMatchObject({ isValid: true, formatFindings: [] });
  });

  it('disk and memory look alike: the same bytes at the functions, but for where the jumps lead', async () => {
    using one = await boot(fixtureBytes(`2003/${images}/base/shell.dll`));
    const { shell } = one.start();
    const hotpatch = load(`${images}/patch1/shell_hp.dll`);
    one.server.engine.load(hotpatch, { name: 'shell_hp.dll' });
    const image = readImage(coldpatchOf(images, 1));
    const places = readColdpatch(image)?.places ?? [];
    expect(places.length).toBeGreaterThan(0);
    for (const { rva, entry } of places) {
      const memory = shell.domain.addressSpace.read(shell.address(rva), 2);
      const disk = image.read(rva, 2);
      // The pointer of the indirect form (x64, modelled) is not needed within one file.
      if (rva === entry || images === 'x86') expect(disk).toEqual(Uint8Array.from(memory).subarray(0, 2));
    }
  });

  it('a process that runs it is hotpatched by the next hotfix, whose hotpatch is for the old file', async () => {
    const hotfix = (number: 1 | 2) => ({
      path,
      replacement: coldpatchOf(images, number),
      hotpatch: {
        path: `${folder}shell${number}.hp.dll`,
        bytes: fixtureBytes(`2003/${images}/patch${number}/shell_hp.dll`),
      },
    });
    using machine = await boot(fixtureBytes(`2003/${images}/base/shell.dll`));
    const { server, start, disk } = machine;
    const oldest = start('oldest.exe');
    const ON = '/hotpatch:enable';
    expect(installHotfix(server, { name: 'K1', files: [hotfix(1)] }, ON).rebootRequired).toBe(false);
    const between = start('between.exe');
    expect(behaviour(between)).toEqual(behaviour(oldest));
    expect(installHotfix(server, { name: 'K2', files: [hotfix(2)] }, ON)).toMatchObject({
      rebootRequired: false,
      hotpatched: [path],
    });
    const latest = start('latest.exe');
    expect(server.engine.patchList(latest.shell)).toEqual([]);
    using fixed = await boot(fixtureBytes(`2003/${images}/fixed2/shell.dll`), new FileSystem());
    const wanted = behaviour(fixed.start());
    expect([oldest, between, latest].map(behaviour)).toEqual([wanted, wanted, wanted]);
    const [hotpatch] = server.engine.patches.slice(-1);
    if (hotpatch === undefined) throw new Error('the engine has been given two');
    server.engine.unload(hotpatch);
    using first = await boot(fixtureBytes(`2003/${images}/fixed1/shell.dll`), new FileSystem());
    expect(behaviour(between)).toEqual(behaviour(first.start()));
    expect(Buffer.from(between.shell.codeBytes()).equals(between.shell.codeBytesBeforePatch)).toBe(true);
    expect(disk.exists(path)).toBe(true);
  });

  it('one that is made of a coldpatch passes for the same old file, and every hotpatch of that fits it', async () => {
    const first = readImage(coldpatchOf(images, 1), { file: 'shell.dll' });
    const bytes = buildColdpatch(first, load(`${images}/patch2/shell_hp.dll`));
    using machine = await boot(bytes);
    using fixed = await boot(fixtureBytes(`2003/${images}/fixed2/shell.dll`));
    const [cold, wanted] = [machine.start(), behaviour(fixed.start())];
    expect(behaviour(cold)).toEqual(wanted);
    const original = load(`${images}/base/shell.dll`);
    const places = readColdpatch(readImage(bytes))?.places ?? [];
    expect(places.length).toBeGreaterThan(0);
    for (const { rva, original: known } of places)
      expect(known).toEqual(Uint8Array.from(original.read(rva, known.length)));
    const { engine } = machine.server;
    const patch = engine.load(load(`${images}/patch2/shell_hp.dll`));
    expect(behaviour(cold)).toEqual(wanted);
    engine.unload(patch);
    expect(behaviour(cold)).toEqual(wanted);
  });

  it('is not made with the hotpatch of another file', () => {
    expect(() =>
      buildColdpatch(load(`${images}/base/ntdll.dll`), load(`${images}/patch1/shell_hp.dll`)),
    ).toThrow('target.name');
  });

  it('a hotpatch for the old file fits it, by its format', () => {
    const cold = readImage(coldpatchOf(images, 1), { file: 'shell.dll' });
    const hotpatch = load(`${images}/patch2/shell_hp.dll`);
    expect(validateHotp1(hotpatch, cold).filter(({ severity }) => severity === 'error')).toEqual([]);
    const { table: symbols } = findSymbols(fixture(`2003/${images}/base/shell.dll`));
    const found = verifyHotPatch2003({
      base: { image: cold, symbols },
      patch: { image: hotpatch, symbols },
    });
    expect(found.formatFindings.filter(({ severity }) => severity === 'error')).toEqual([]);
  });
});

describe.each(['x86', 'x64'] as const)('a hotpatch over the jumps of a coldpatch, %s', (processor) => {
  const target = buildTarget(processor);
  const [f, h] = [target.rva('f'), target.rva('h')];
  const cave = target.rva('cave');
  const short = (from: number, to: number): Hotp1HookInput => ({
    type: HOOK_TYPE.X86_JMP2B,
    options: 2,
    hookRva: from,
    hotpRva: (to - from - 2) & 0xff,
  });
  const jump = (hookRva: number, hotpRva: number, options = 5): Hotp1HookInput => ({
    type: HOOK_TYPE.X86_JMP,
    options,
    hookRva,
    hotpRva,
  });
  const hooks: Readonly<Record<string, (g: number) => Hotp1HookInput[]>> = {
    near: (g) => nearHooks(f, g),
    wider: (g) => [jump(f - 6, g, 6), short(f, f - 6)],
    cave: (g) => [jump(cave, g), short(f, cave)],
    'cave, three bytes further': (g) => [jump(cave + 3, g), short(f, cave + 3)],
    'both, over one padding': (g) => [...nearHooks(f, g), short(h, f - 5)],
    'the other function, over its padding': (g) => [jump(f - 5, g), short(h, f - 5)],
    pointer: (g) => [
      {
        type: processor === 'x64' ? HOOK_TYPE.VA64 : HOOK_TYPE.VA32,
        hookRva: target.rva('table'),
        hotpRva: g,
      },
    ],
  };
  /** What `f` and `h` lead to, by hand: the base returns 1 and 2. */
  const COVERED: Readonly<Record<string, readonly [boolean, boolean]>> = {
    'both, over one padding': [true, true],
    'the other function, over its padding': [false, true],
    pointer: [false, false],
  };
  const names = Object.keys(hooks);
  const patchOf = (name: string, result: number) =>
    buildPatch(target, {
      processor,
      result,
      name: `fix${result}.dll`,
      section: ({ good, layout }) => ({
        ...good,
        validations: [],
        hooks: hooks[name]?.(layout.rva('g')) ?? [],
      }),
    });

  it.each(names)(
    '%s: each function leads where it shall, and verify says what the engine does',
    async (cold) => {
      const image = readImage(buildColdpatch(target.image, patchOf(cold, 50)), { file: 'target.dll' });
      using lab = await Lab.boot({ architecture: processor, memorySize: 16 << 20, engine: 'server-2003' });
      for (const name of names) {
        const process = lab.createProcess({ name: 'p.exe', wow64: processor === 'x86' });
        const module = process.loadImage(image, { symbols: target.symbols, initialize: false });
        const results = () => ['f', 'h'].map((one) => process.call(module.symbol(one)));
        const before = [1, 2].map((own, index) => ((COVERED[cold]?.[index] ?? index === 0) ? 50 : own));
        expect(results()).toEqual(before);
        const patch = patchOf(name, 60);
        const { isValid } = verifyHotPatch2003({
          base: { image, symbols: target.symbols },
          patch: { image: patch, symbols: target.symbols },
        });
        if (isValid) {
          const applied = lab.engine.load(patch);
          const now = before.map((was, index) => ((COVERED[name]?.[index] ?? index === 0) ? 60 : was));
          expect([name, ...results()]).toEqual([name, ...now]);
          lab.engine.unload(applied);
        } else expect(() => lab.engine.load(patch)).toThrow('hook.coldpatch');
        expect(results()).toEqual(before);
        expect(module.codeBytes()).toEqual(module.codeBytesBeforePatch);
        process.terminate();
        // Over the very hooks that the coldpatch was made of, and beside them, there is nothing to refuse.
        if (name === cold || name === 'pointer') expect(isValid).toBe(true);
      }
    },
  );

  it.each([
    { cold: 'near', name: 'wider', results: [60, 2] },
    { cold: 'near', name: 'both, over one padding', results: [60, 60] },
    { cold: 'both, over one padding', name: 'near', results: undefined },
    { cold: 'near', name: 'the other function, over its padding', results: undefined },
  ])('$name over $cold where nobody looks at threads', async ({ cold, name, results }) => {
    const image = readImage(buildColdpatch(target.image, patchOf(cold, 50)), { file: 'target.dll' });
    using lab = await Lab.boot({
      architecture: processor,
      memorySize: 16 << 20,
      engine: 'server-2003',
      engineOptions: { spareOccupiedPadding: false },
    });
    const process = lab.createProcess({ name: 'p.exe', wow64: processor === 'x86' });
    const module = process.loadImage(image, { symbols: target.symbols, initialize: false });
    if (results === undefined) expect(() => lab.engine.load(patchOf(name, 60))).toThrow('hook.coldpatch');
    else {
      lab.engine.load(patchOf(name, 60));
      expect(['f', 'h'].map((one) => process.call(module.symbol(one)))).toEqual(results);
    }
  });
});
