import type { LoadedImage } from 'hotpatch-lab';
import { FIXUP_TYPE, HOOK_TYPE, type Hotp1Input, ImageBuilder } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import {
  buildPatch,
  type Draft,
  indirectHooks,
  nearHooks,
  type Processor,
  type Running,
  returning,
  run,
} from './support.js';

const ORIGIN = 0x10000000n;
const LIMIT = 1n << 31n;

function only<T>(list: readonly T[]): T {
  const [one, ...others] = list;
  if (one === undefined || others.length > 0) throw new Error(`one is wanted, not ${list.length}`);
  return one;
}

const start = (processor: Processor = 'x64', checkEntries = true) =>
  run({ processor, processes: 1, engine: { checkEntries } });

/** Loads a hotpatch whose section is changed. */
function load(
  { engine, target }: Running,
  section: (draft: Draft) => Hotp1Input,
  options: Parameters<typeof engine.load>[1] & { readonly processor?: Processor } = {},
) {
  const { processor = 'x64', ...rest } = options;
  const image = buildPatch(target, {
    processor,
    section,
    build: (builder) =>
      void builder.data('numbers', Uint8Array.of(0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)),
  });
  return engine.load(image, rest);
}

const signed = (image: LoadedImage, rva: number, size: number) =>
  image.domain.addressSpace
    .read(image.address(rva), size)
    .reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

describe('fixups', () => {
  /** Moved by the target alone, or by what the two have moved apart. */
  const KINDS = [
    { processor: 'x86', kind: 'VA32', size: 4, isRelative: false },
    { processor: 'x86', kind: 'PC32', size: 4, isRelative: true },
    { processor: 'x64', kind: 'VA64', size: 8, isRelative: false },
    { processor: 'x64', kind: 'PC64', size: 8, isRelative: true },
  ] as const;
  it.each(KINDS)('$kind in an $processor image', async ({ processor, kind, size, isRelative }) => {
    using running = await start(processor);
    const module = only(running.loaded);
    const patch = load(
      running,
      ({ good, layout }) => ({ ...good, fixups: [{ rva: layout.rva('numbers'), type: FIXUP_TYPE[kind] }] }),
      { processor },
    );
    const { loaded } = only(patch.applications);
    const moved = module.dllBase - running.target.image.optionalHeader.imageBase;
    const expected = -2n + moved - (isRelative ? loaded.dllBase - ORIGIN : 0n);
    const rva = only(patch.hotp1.fixupRegions.flatMap(({ fixups }) => fixups)).rva;
    expect(signed(loaded, rva, size)).toBe(BigInt.asUintN(8 * size, expected));
    if (size === 4) expect(signed(loaded, rva + 4, 4)).toBe(0xffff_ffffn);
    const store = only(
      running.lab.events.filter(
        ({ text }) => text.includes('of patch!numbers') || /stores .* of patch\+/.test(text),
      ),
    );
    expect(store.text).toContain(isRelative ? '(relative operand of ' : '(pointer of ');
  });

  it.each([
    { distance: LIMIT - 1n, reaches: true },
    { distance: LIMIT, reaches: false },
    { distance: -LIMIT, reaches: true },
    { distance: -LIMIT - 1n, reaches: false },
  ])('PC32 of $distance bytes: reaches is $reaches', async ({ distance, reaches }) => {
    using running = await start();
    const module = only(running.loaded);
    const dllBase = module.dllBase + 0x100_0000n;
    const moved = module.dllBase - running.target.image.optionalHeader.imageBase;
    const origHotpBaseAddress = BigInt.asUintN(64, distance + 2n - moved + dllBase);
    const apply = () =>
      load(
        running,
        ({ good, layout }) => ({
          ...good,
          origHotpBaseAddress,
          fixups: [{ rva: layout.rva('numbers'), type: FIXUP_TYPE.PC32 }],
        }),
        { dllBase },
      );
    if (reaches) expect(apply().state).toBe('applied');
    else expect(apply).toThrow('fixup.range');
  });
});

describe('option 0x8000', () => {
  /** From the first byte of the lower image to the last of the upper one. */
  const CASES = [
    { where: 'above', more: 0n, option: 0x8000, reaches: true },
    { where: 'above', more: 0x1_0000n, option: 0x8000, reaches: false },
    { where: 'above', more: 0x1_0000n, option: 0, reaches: true },
    { where: 'below', more: 0n, option: 0x8000, reaches: true },
    { where: 'below', more: 0x1_0000n, option: 0x8000, reaches: false },
    { where: 'below', more: 0x1_0000n, option: 0, reaches: true },
  ] as const;
  it.each(CASES)('$option, 2 GB and $more $where: reaches is $reaches', async (one) => {
    using running = await start();
    const target = only(running.loaded);
    const section = ({ good, layout }: Draft) => ({
      ...good,
      hooks: [
        {
          type: HOOK_TYPE.VA64,
          options: one.option,
          hookRva: running.target.rva('table'),
          hotpRva: layout.rva('g'),
        },
      ],
    });
    const { sizeOfImage } = buildPatch(running.target, { processor: 'x64', section }).optionalHeader;
    const dllBase =
      one.where === 'above'
        ? target.dllBase + LIMIT - BigInt(sizeOfImage) + one.more
        : target.dllBase + BigInt(target.sizeOfImage) - LIMIT - one.more;
    const apply = () =>
      running.engine.load(buildPatch(running.target, { processor: 'x64', section }), { dllBase });
    if (one.reaches) expect(apply().state).toBe('applied');
    else expect(apply).toThrow(`lie 0x${(LIMIT + one.more).toString(16)} bytes apart`);
  });
});

/** What a test compares of a hook. */
function hooksOf({ loaded, lab }: Running, patch: ReturnType<typeof load>) {
  const base = only(loaded).symbol('f');
  expect(lab.kernel.threads).toEqual([]);
  return only(patch.applications).hooks.map(
    ({ place, target, symbol, location, bytes, jumps, pristine }) => ({
      place,
      target,
      symbol,
      at: Number(location - base),
      size: bytes.length,
      jumps: jumps.map(({ start, end }) => [Number(start - base), Number(end - base)]),
      isOfFile: pristine !== undefined,
    }),
  );
}

describe('the hooks of a plan', () => {
  const f = { symbol: 'target!f', isOfFile: true };
  const entry = { ...f, target: 'entry', at: 0, size: 2, jumps: [] };

  it('near: the padding before the entry', async () => {
    using running = await start();
    expect(
      hooksOf(
        running,
        load(running, ({ good }) => good),
      ),
    ).toEqual([
      { ...f, place: 'hook 0', target: 'padding', at: -5, size: 5, jumps: [[-5, 0]] },
      { ...entry, place: 'hook 1' },
    ]);
  });

  it('indirect: the pointer stays as long as the jump that reads it', async () => {
    using running = await start();
    const { target } = running;
    const cells = target.rva('cells') - target.rva('f');
    const patch = load(running, ({ good, layout }) => ({
      ...good,
      hooks: indirectHooks(target.rva('f'), layout.rva('g'), target.rva('cells')),
    }));
    expect(hooksOf(running, patch)).toEqual([
      { ...f, place: 'hook 0', target: 'pointer', at: cells, size: 8, jumps: [[-6, 0]] },
      { ...f, place: 'hook 1', target: 'padding', at: -6, size: 6, jumps: [[-6, 0]] },
      { ...entry, place: 'hook 2' },
    ]);
  });

  it('indirect, beside another pointer to the same routine', async () => {
    using running = await start();
    const { target } = running;
    const patch = load(running, ({ good, layout }) => ({
      ...good,
      hooks: [
        { type: HOOK_TYPE.VA64, hookRva: target.rva('table'), hotpRva: layout.rva('g') },
        ...indirectHooks(target.rva('f'), layout.rva('g'), target.rva('cells')),
      ],
    }));
    const jump = only(patch.applications).hooks[2];
    const view = new DataView(jump?.bytes.slice().buffer ?? new ArrayBuffer(6));
    expect(target.rva('f') + view.getInt32(2, true)).toBe(target.rva('cells'));
  });

  it('of two functions: each has its own padding', async () => {
    using running = await start();
    const { target } = running;
    const h = target.rva('h') - target.rva('f');
    const patch = load(running, ({ good, layout }) => ({
      ...good,
      hooks: [...nearHooks(target.rva('h'), layout.rva('g')), ...good.hooks],
    }));
    expect(hooksOf(running, patch).map(({ symbol, jumps }) => [symbol, jumps])).toEqual([
      ['target!h', [[h - 5, h]]],
      ['target!h', []],
      ['target!f', [[-5, 0]]],
      ['target!f', []],
    ]);
  });

  it('over the entry itself: nothing is left, and the function is counted', async () => {
    using running = await start('x64', false);
    const { target } = running;
    const patch = load(running, ({ good, layout }) => ({
      ...good,
      hooks: [
        ...indirectHooks(target.rva('f'), layout.rva('g'), target.rva('cells'))
          .slice(0, 2)
          .map((hook, index) => (index === 1 ? { ...hook, hookRva: target.rva('f') } : hook)),
        { type: HOOK_TYPE.X86_JMP, options: 7, hookRva: target.rva('h'), hotpRva: layout.rva('g') },
      ],
    }));
    const at = (name: string) => target.rva(name) - target.rva('f');
    expect(hooksOf(running, patch)).toEqual([
      { ...f, place: 'hook 0', target: 'pointer', at: at('cells'), size: 8, jumps: [] },
      { ...entry, place: 'hook 1', size: 6 },
      { ...entry, place: 'hook 2', symbol: 'target!h', at: at('h'), size: 7 },
    ]);
    expect(only(patch.applications).hooks[2]?.bytes.slice(5)).toEqual(Uint8Array.of(0xcc, 0xcc));
    expect(patch.functions).toBe(2);
    expect([running.call('f'), running.call('h')]).toEqual([[9], [9]]);
    running.engine.unload(patch);
    expect(patch.functions).toBe(0);
  });

  it('indirect, of two functions: each has its own pointer and padding', async () => {
    using running = await start();
    const { target } = running;
    const h = target.rva('h') - target.rva('f');
    const patch = buildPatch(target, {
      processor: 'x64',
      build: (builder) => void builder.code('k', returning(17)),
      section: ({ good, layout }) => ({
        ...good,
        hooks: [
          ...indirectHooks(target.rva('f'), layout.rva('g'), target.rva('cells')),
          ...indirectHooks(target.rva('h'), layout.rva('k'), target.rva('cells') + 8),
        ],
      }),
    });
    const hooks = hooksOf(running, running.engine.load(patch));
    expect(hooks.map(({ symbol, jumps }) => [symbol, jumps])).toEqual([
      ['target!f', [[-6, 0]]],
      ['target!f', [[-6, 0]]],
      ['target!f', []],
      ['target!h', [[h - 6, h]]],
      ['target!h', [[h - 6, h]]],
      ['target!h', []],
    ]);
    expect([running.call('f'), running.call('h')]).toEqual([[9], [17]]);
  });

  /** Routines whose RVA ends with FE, which as a short jump would lead from the entry to itself. */
  it.each(['behind a short jump of another function', 'alone'])(
    'over the entry itself, %s',
    async (where) => {
      using running = await start('x64', false);
      const { target } = running;
      const h = target.rva('h') - target.rva('f');
      const near = where === 'alone' ? [] : nearHooks(target.rva('f'), target.rva('f'));
      const patch = buildPatch(target, {
        processor: 'x64',
        build: (builder) =>
          void builder
            .code('filler', new Uint8Array(0x100), { alignment: 0x100, padding: 0 })
            .code('more', new Uint8Array(0xfe), { alignment: 1, padding: 0 })
            .code('k', returning(17), { alignment: 1, padding: 0 }),
        section: ({ good, layout }) => ({
          ...good,
          hooks: [
            ...near.map((hook, index) => (index === 0 ? { ...hook, hotpRva: layout.rva('g') } : hook)),
            { type: HOOK_TYPE.X86_JMP, options: 5, hookRva: target.rva('h'), hotpRva: layout.rva('k') },
          ],
        }),
      });
      const loaded = running.engine.load(patch);
      expect(hooksOf(running, loaded).at(-1)).toMatchObject({
        symbol: 'target!h',
        target: 'entry',
        at: h,
        jumps: [],
      });
      expect(running.call('h')).toEqual([17]);
    },
  );

  it('the entry at the end of the image, with little behind it', async () => {
    const end = new ImageBuilder('x64', { name: 'target.dll', dll: true })
      .section('.last', 0x60000020)
      .data('filler', new Uint8Array(0xff8).fill(0xcc), { section: '.last' })
      .data('f', returning(1), { section: '.last' })
      .build();
    expect(end.image.optionalHeader.sizeOfImage - end.rva('f')).toBe(8);
    using running = await run({ processor: 'x64', processes: 0 });
    const process = running.lab.createProcess('end.exe');
    const loaded = process.loadImage(end.image, { symbols: end.symbols, initialize: false });
    running.engine.load(buildPatch(end, { processor: 'x64' }));
    expect(process.call64(loaded.symbol('f'))).toBe(9n);
  });

  it('a pointer in data: what it holds is not the file’s', async () => {
    using running = await start();
    const { target } = running;
    const hookRva = target.rva('table');
    const patch = load(running, ({ good, layout }) => ({
      ...good,
      hooks: [{ type: HOOK_TYPE.VA64, hookRva, hotpRva: layout.rva('g') }],
    }));
    const pointer = { target: 'pointer', symbol: 'target!table', at: hookRva - target.rva('f'), size: 8 };
    expect(hooksOf(running, patch)).toEqual([{ place: 'hook 0', ...pointer, jumps: [], isOfFile: false }]);
    expect(patch.functions).toBe(1);
  });

  it('None is nothing, and is counted all the same', async () => {
    using running = await start();
    const patch = load(running, ({ good }) => ({
      ...good,
      hooks: [{ type: HOOK_TYPE.None, options: 0, hookRva: 0, hotpRva: 0 }, ...good.hooks],
    }));
    expect(hooksOf(running, patch).map(({ place }) => place)).toEqual(['hook 1', 'hook 2']);
    expect(running.call()).toEqual([9]);
  });

  it('an entry of one byte is hooked by whoever does not look', async () => {
    using running = await start('x64', false);
    const { target } = running;
    load(running, ({ good, layout }) => ({
      ...good,
      hooks: nearHooks(target.rva('pushed'), layout.rva('g')),
    }));
    expect(running.call('pushed')).toEqual([9]);
  });
});
