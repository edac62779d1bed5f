import { FIXUP_TYPE } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { type EngineStep, observeOperations, type Patch2003 } from '../../../engine/index.js';
import { systemState } from '../../../proof/index.js';
import { buildPatch, type Running, run } from './support.js';

/** Takes an operation to its end, and does something after so many of its steps. */
function drive(steps: Generator<EngineStep, Patch2003>, after: number, act: () => void): Patch2003 {
  for (let count = 0; ; count++) {
    if (count === after) act();
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** Two fixups make two steps in each process before any code is changed. */
const FIXUPS = 2;
const stepsOf = ({ engine, target }: Running) =>
  engine.loadSteps(
    buildPatch(target, {
      processor: 'x64',
      section: ({ good, layout }) => ({
        ...good,
        fixups: [0, 8].map((offset) => ({ rva: layout.rva('value') + offset, type: FIXUP_TYPE.PC64 })),
      }),
    }),
  );

const countSteps = async () => {
  using running = await run({ processor: 'x64' });
  return [...stepsOf(running)].length;
};

function end({ loaded }: Running, index: number): void {
  loaded[index]?.domain.process?.terminate();
}

describe.each(['disable', 'enable', 'patchEach'] as const)('a process that ends during %s', (operation) => {
  it('is left out, after each step: the other one goes on', async () => {
    for (let after = 1, finished = false; !finished; after++)
      for (const gone of [0, 1]) {
        using running = await run({ processor: 'x64' });
        const { lab, engine, loaded } = running;
        const patch = engine.load(buildPatch(running.target, { processor: 'x64' }));
        if (operation === 'enable') engine.unload(patch);
        let count = 0;
        const proceed = (steps: Generator<EngineStep, unknown> | undefined) => {
          for (const _ of steps ?? []) if (++count === after) end(running, gone);
        };
        if (operation === 'patchEach') {
          observeOperations(lab.kernel, {
            perform(request, perform) {
              proceed(request?.steps());
              return undefined as ReturnType<typeof perform>;
            },
          });
          engine.patchEach(patch, loaded, false);
        } else proceed(operation === 'enable' ? engine.enableSteps(patch) : engine.unloadSteps(patch));
        const stays = loaded[1 - gone];
        const others = count < after ? 2 : 1;
        finished = count < after;
        expect([after, patch.state, patch.applications.length]).toEqual([
          after,
          operation === 'enable' ? 'applied' : 'inactive',
          others,
        ]);
        const result = lab.kernel.call64(stays?.symbol('f') ?? 0n, [], stays && { domain: stays.domain });
        expect(result).toBe(operation === 'enable' ? 9n : 1n);
      }
  });
});

describe('a process that ends while a hotpatch is applied', () => {
  it('is left out, after each step: the other one is patched', async () => {
    const steps = await countSteps();
    expect(steps).toBeGreaterThan(8);
    for (let after = 0; after <= steps; after++)
      for (const gone of [0, 1]) {
        using running = await run({ processor: 'x64' });
        const { lab, engine } = running;
        const [stays] = running.loaded.filter((_, index) => index !== gone);
        if (stays === undefined) throw new Error('there are two');
        const call = () => Number(lab.kernel.call64(stays.symbol('f'), [], { domain: stays.domain }));
        const patch = drive(stepsOf(running), after, () => end(running, gone));
        expect(patch.state).toBe('applied');
        const names = patch.applications.map(({ target }) => target.domain.name);
        expect([after, gone, ...names]).toEqual([after, gone, stays.domain.name]);
        expect(lab.kernel.threads).toEqual([]);
        expect(lab.kernel.scheduler.gathered).toBe(false);
        expect(call()).toBe(9);
        engine.unload(patch);
        expect(call()).toBe(1);
        expect(stays.codeBytes()).toEqual(stays.codeBytesBeforePatch);
      }
  });

  it('leaves a hotpatch without a target when it was the only one', async () => {
    using running = await run({ processor: 'x64', processes: 1 });
    const patch = drive(stepsOf(running), 1, () => end(running, 0));
    expect(patch.state).toBe('noTarget');
    expect(patch.applications).toEqual([]);
    expect(running.lab.transcript).toContain('process0.exe (8) has ended meanwhile: it is left out');
  });

  it('does not keep the others from being given back when one of them refuses', async () => {
    using running = await run({ processor: 'x64', processes: 3 });
    const { lab, loaded } = running;
    const [first, second, third] = loaded;
    if (second === undefined || third === undefined) throw new Error('there are three');
    // The third module is not what the hotpatch's validations expect.
    const f = third.symbol('f');
    third.domain.writer.writeCode(f + 3n, Uint8Array.of(7));
    const before = systemState(lab).memory;
    expect(() => drive(stepsOf(running), FIXUPS + 1, () => end(running, 0))).toThrow('validation.bytes');
    expect(first?.domain.process?.terminated).toBe(true);
    expect(lab.kernel.call64(second.symbol('f'), [], { domain: second.domain })).toBe(1n);
    expect(lab.kernel.threads).toEqual([]);
    const kept = [...systemState(lab).memory].filter(([name]) => before.has(name));
    expect(kept.every(([name, memory]) => memory === before.get(name))).toBe(true);
  });
});

describe('a process that starts between', () => {
  it.each(['x86', 'x64'] as const)(
    'has the same hotpatch on top as the others, whatever came to it first: %s',
    async (processor) => {
      using running = await run({ processor, processes: 1 });
      const { engine, lab, target } = running;
      const [older, newer] = [11, 22].map((result) =>
        engine.load(buildPatch(target, { processor, result, name: `fix${result}.dll` })),
      );
      if (older === undefined || newer === undefined) throw new Error('two hotpatches');
      const process = lab.createProcess({ name: 'late.exe', wow64: processor === 'x86' });
      const late = process.loadImage(target.image, { symbols: target.symbols, initialize: false });
      const results = () => [...running.call(), Number(process.call64(late.symbol('f')) & 0xffff_ffffn)];
      expect(results()).toEqual([22, 1]);
      engine.enable(newer);
      expect(results()).toEqual([22, 22]);
      expect(() => engine.enable(older)).toThrow('chain.covered');
      expect(results()).toEqual([22, 22]);
      engine.unload(newer);
      engine.enable(older);
      expect(results()).toEqual([11, 11]);
      engine.enable(newer);
      expect(results()).toEqual([22, 22]);
      for (const patch of [newer, older]) engine.unload(patch);
      for (const image of [...running.loaded, late])
        expect(image.codeBytes()).toEqual(image.codeBytesBeforePatch);
    },
  );
});
