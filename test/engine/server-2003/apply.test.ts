import { describe, expect, it } from 'vitest';
import { buildPatch, indirectHooks, type RunOptions, run } from './support.js';

interface Case extends RunOptions {
  readonly name: string;
  readonly indirect?: boolean;
}

const CASES: readonly Case[] = [
  { name: 'x86 user DLL', processor: 'x86' },
  { name: 'x64 user DLL, near jump', processor: 'x64' },
  { name: 'x64 user DLL, indirect jump', processor: 'x64', indirect: true },
  { name: 'x86 DLL under WOW64', processor: 'x86', wow64: true },
  { name: 'x64 user DLL, under a Secure Kernel', processor: 'x64', boot: { vbs: true } },
  { name: 'x64 driver, near jump', processor: 'x64', kind: 'driver' },
  { name: 'x64 driver, indirect jump', processor: 'x64', kind: 'driver', indirect: true },
];

const patchFor = (
  target: Parameters<typeof buildPatch>[0],
  { processor, kind, indirect }: Case,
  result = 9,
) =>
  buildPatch(target, {
    ...(processor === undefined ? {} : { processor }),
    ...(kind === undefined ? {} : { kind }),
    name: `hotfix${result}.dll`,
    result,
    ...(indirect
      ? {
          section: ({ good, layout }) => ({
            ...good,
            hooks: indirectHooks(target.rva('f'), layout.rva('g'), target.rva('cells')),
          }),
        }
      : {}),
  });

describe.each(CASES)('$name', (one) => {
  it('runs the new function, then the old one again, with every byte as it was', async () => {
    using running = await run(one);
    const { engine, loaded, target, call } = running;
    const count = loaded.length;
    const before = loaded.map((image) => image.codeBytes());
    const patch = engine.load(patchFor(target, one));
    expect(patch).toMatchObject({ state: 'applied', status: { name: 'STATUS_SUCCESS' }, functions: 1 });
    expect(call()).toEqual(Array(count).fill(9));
    expect(call('h')).toEqual(Array(count).fill(2));

    engine.unload(patch);
    expect(patch.state).toBe('inactive');
    expect(call()).toEqual(Array(count).fill(1));
    expect(loaded.map((image) => image.codeBytes())).toEqual(before);

    engine.enable(patch);
    expect(call()).toEqual(Array(count).fill(9));
  });

  it('takes a second hotfix over the first, and gives the first back', async () => {
    using running = await run(one);
    const { engine, loaded, target, call } = running;
    const original = loaded.map((image) => image.codeBytes());
    const first = engine.load(patchFor(target, one, 9));
    const between = loaded.map((image) => image.codeBytes());
    const second = engine.load(patchFor(target, one, 17));
    expect(new Set(call())).toEqual(new Set([17]));
    expect(() => engine.unload(first)).toThrow('chain.covered');
    engine.unload(second);
    expect(loaded.map((image) => image.codeBytes())).toEqual(between);
    expect(new Set(call())).toEqual(new Set([9]));
    engine.unload(first);
    expect(loaded.map((image) => image.codeBytes())).toEqual(original);
    engine.enable(second);
    expect(new Set(call())).toEqual(new Set([17]));
    expect(() => engine.enable(first)).toThrow('chain.covered');
  });
});
