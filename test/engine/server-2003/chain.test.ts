import type { HotPatch2003Options } from 'hotpatch-lab';
import { encodeNames, FLG_HOTPATCH } from 'hotpatch-lab/engine';
import { HOOK_TYPE } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { observeOperations } from '../../../engine/index.js';
import { processOf } from '../../../loader/index.js';
import { buildPatch, indirectHooks, nearHooks, type Running, run, setSystemInformation } from './support.js';

type Function = 'f' | 'h';

function at<T>(list: readonly T[], index: number): T {
  const found = list[index];
  if (found === undefined) throw new RangeError(`there is no ${index}`);
  return found;
}

/** A hotpatch that makes these functions return a number. */
function imageOf({ target }: Running, result: number, functions: readonly Function[], indirect = false) {
  return buildPatch(target, {
    processor: 'x64',
    name: `fix${result}.dll`,
    result,
    section: ({ good, layout }) => ({
      ...good,
      validations: [],
      hooks: functions.flatMap((name, index) =>
        indirect
          ? indirectHooks(target.rva(name), layout.rva('g'), target.rva('cells') + 8 * index)
          : nearHooks(target.rva(name), layout.rva('g')),
      ),
    }),
  });
}

const results = (running: Running) => [running.call('f')[0], running.call('h')[0]];
const codeOf = ({ loaded }: Running) => loaded.map((image) => image.codeBytes());
const unpatched = ({ loaded }: Running) => loaded.map((image) => image.codeBytesBeforePatch);

/** A running server with hotpatches, each for some functions, in force in this order. */
async function chain(...functions: readonly (readonly Function[])[]) {
  return chainOf({}, ...functions);
}

async function chainOf(engine: HotPatch2003Options, ...functions: readonly (readonly Function[])[]) {
  const running = await run({ processor: 'x64', processes: 1, engine });
  const states = [codeOf(running)];
  const patches = functions.map((names, index) => {
    const patch = running.engine.load(imageOf(running, 10 + index, names));
    states.push(codeOf(running));
    return patch;
  });
  return { running, patches, states, [Symbol.dispose]: () => running[Symbol.dispose]() };
}

describe('three hotpatches over one function', () => {
  it('are given back one by one, the newest first', async () => {
    using one = await chain(['f'], ['f'], ['f']);
    const { running, patches, states } = one;
    for (const index of [2, 1, 0]) {
      expect(results(running)).toEqual([10 + index, 2]);
      for (const covered of patches.slice(0, index))
        expect(() => running.engine.unload(covered)).toThrow('chain.covered');
      running.engine.unload(at(patches, index));
      expect(codeOf(running)).toEqual(states[index]);
    }
    expect(codeOf(running)).toEqual(unpatched(running));
  });

  it('one that comes back gives back what lies below it then, not what lay there before', async () => {
    using one = await chain(['f'], ['f'], ['f']);
    const { running, patches, states } = one;
    const [first, second, third] = patches;
    if (first === undefined || second === undefined || third === undefined) throw new Error('three');
    const { engine } = running;
    engine.unload(third);
    engine.unload(second);
    engine.enable(third);
    expect(() => engine.enable(second)).toThrow(
      'fix12.dll was applied over its hooks in target.dll and is in force',
    );
    expect(() => engine.unload(first)).toThrow('fix12.dll was applied over its hooks');
    engine.unload(third);
    expect(codeOf(running)).toEqual(states[1]);
    engine.enable(second);
    engine.enable(third);
    expect(codeOf(running)).toEqual(states[3]);
    engine.unload(third);
    expect(codeOf(running)).toEqual(states[2]);
  });

  it('a new one takes what lies below it now', async () => {
    using one = await chain(['f'], ['f']);
    const { running, patches, states } = one;
    running.engine.unload(at(patches, 1));
    const third = running.engine.load(imageOf(running, 17, ['f']));
    expect(results(running)).toEqual([17, 2]);
    running.engine.unload(third);
    expect(codeOf(running)).toEqual(states[1]);
  });

  it('a jump of another form covers a part where nobody looks at threads, and gives that part back', async () => {
    using one = await chainOf({ spareOccupiedPadding: false }, ['f']);
    const { running, patches, states } = one;
    const wide = running.engine.load(imageOf(running, 20, ['f'], true));
    const over = codeOf(running);
    const near = running.engine.load(imageOf(running, 30, ['f']));
    expect(results(running)).toEqual([30, 2]);
    running.engine.unload(near);
    expect(codeOf(running)).toEqual(over);
    expect(results(running)).toEqual([20, 2]);
    running.engine.unload(wide);
    expect(codeOf(running)).toEqual(states[1]);
    running.engine.unload(at(patches, 0));
    expect(codeOf(running)).toEqual(unpatched(running));
  });
});

describe('hotpatches of different functions', () => {
  it('come and go as they like', async () => {
    using one = await chain(['f'], ['h']);
    const { running, patches } = one;
    const [first, second] = patches;
    if (first === undefined || second === undefined) throw new Error('two');
    const { engine } = running;
    engine.unload(first);
    expect(results(running)).toEqual([1, 11]);
    engine.enable(first);
    expect(results(running)).toEqual([10, 11]);
    engine.unload(second);
    engine.unload(first);
    expect(codeOf(running)).toEqual(unpatched(running));
  });

  it.each([
    { middle: ['f', 'h'] as const, covers: true },
    { middle: ['h'] as const, covers: false },
  ])('one of $middle over one of f: covered is $covers', async ({ middle, covers }) => {
    using one = await chain(['f'], middle);
    const disable = () => one.running.engine.unload(at(one.patches, 0));
    if (covers) expect(disable).toThrow('chain.covered');
    else disable();
    expect(results(one.running)).toEqual([covers ? 11 : 1, 11]);
  });

  it.each([
    { where: 'right before them', distance: -2, overlaps: false },
    { where: 'over the first byte', distance: -1, overlaps: true },
    { where: 'over the last byte', distance: 6, overlaps: true },
    { where: 'right behind them', distance: 7, overlaps: false },
  ])('two bytes $where: overlap is $overlaps', async ({ distance, overlaps }) => {
    using running = await run({
      processor: 'x64',
      processes: 1,
      engine: { checkEntries: false, spareOccupiedPadding: false },
    });
    const { engine, target } = running;
    const first = engine.load(imageOf(running, 10, ['f']));
    const near = buildPatch(target, {
      processor: 'x64',
      name: 'near.dll',
      result: 11,
      section: ({ good, layout }) => {
        const [at, cave] = [target.rva('f') - 5 + distance, target.rva('cells')];
        return {
          ...good,
          validations: [],
          hooks: [
            { type: HOOK_TYPE.X86_JMP, options: 5, hookRva: cave, hotpRva: layout.rva('g') },
            { type: HOOK_TYPE.X86_JMP2B, options: 2, hookRva: at, hotpRva: (cave - at - 2) & 0xff },
          ],
        };
      },
    });
    if (overlaps) expect(() => engine.load(near)).toThrow('chain.crossed');
    else engine.load(near);
    engine.unload(first);
    expect(first.state).toBe('inactive');
  });
});

describe('a request to inject is granted in every process or in none', () => {
  const { INJECT_THREAD, ACTIVE } = FLG_HOTPATCH;

  async function twoProcesses() {
    const running = await run({ processor: 'x64' });
    const [one, other] = running.loaded.map(({ domain }) => processOf(domain));
    if (one === undefined || other === undefined) throw new Error('two processes');
    one.enablePrivileges('SeDebugPrivilege');
    const ask = (flags: number, name: string, process = 0n) =>
      setSystemInformation(one, encodeNames(INJECT_THREAD + flags, { name }, { targetProcess: process }))
        .status;
    for (const result of [10, 11])
      running.lab.kernel.files.add(`fix${result}.dll`, imageOf(running, result, ['f']));
    const handle = BigInt(one.handles.open(other));
    return { running, other, ask, handle, [Symbol.dispose]: () => running[Symbol.dispose]() };
  }

  it('when a newer hotpatch covers it in one of them', async () => {
    using two = await twoProcesses();
    const { running, ask, handle } = two;
    expect(ask(ACTIVE, 'fix10.dll')).toBe(0);
    expect(ask(ACTIVE, 'fix11.dll', handle)).toBe(0);
    expect(running.call()).toEqual([10, 11]);
    const code = codeOf(running);
    expect(ask(0, 'fix10.dll')).toBe(0xc000042a);
    expect(running.call()).toEqual([10, 11]);
    expect(codeOf(running)).toEqual(code);
    expect(running.engine.patches.map(({ name, state }) => [name, state])).toEqual([
      ['fix10.dll', 'applied'],
      ['fix11.dll', 'applied'],
    ]);
  });

  it('whether it is new there, known there, or in force already', async () => {
    using two = await twoProcesses();
    const { running, ask, handle } = two;
    expect(ask(ACTIVE, 'fix10.dll', handle)).toBe(0);
    expect(running.call()).toEqual([1, 10]);
    expect(ask(ACTIVE, 'fix10.dll')).toBe(0);
    expect(running.call()).toEqual([10, 10]);
    expect(ask(0, 'fix10.dll', handle)).toBe(0);
    expect(running.call()).toEqual([10, 1]);
    expect(running.engine.patches.map(({ state }) => state)).toEqual(['applied']);
    expect(ask(0, 'fix10.dll')).toBe(0);
    expect(running.call()).toEqual([1, 1]);
    expect(running.engine.patches.map(({ state }) => state)).toEqual(['inactive']);
    expect(ask(ACTIVE, 'fix10.dll')).toBe(0);
    expect(running.call()).toEqual([10, 10]);
    expect(running.engine.patchList(at(running.loaded, 0))).toHaveLength(1);
  });

  it('a process that ends on the way is left out', async () => {
    using two = await twoProcesses();
    const { running, ask, other } = two;
    expect(ask(ACTIVE, 'fix10.dll')).toBe(0);
    let steps = 0;
    observeOperations(running.lab.kernel, {
      perform(operation, perform) {
        for (const _ of operation?.steps() ?? []) {
          other.terminate();
          steps += 1;
        }
        return perform();
      },
    });
    expect(ask(0, 'fix10.dll')).toBe(0);
    expect(steps).toBeGreaterThan(2);
    expect(running.engine.patches.map(({ state }) => state)).toEqual(['inactive']);
  });

  it('a process that ends is left out', async () => {
    using two = await twoProcesses();
    const { running, ask, other } = two;
    expect(ask(ACTIVE, 'fix10.dll')).toBe(0);
    other.terminate();
    expect(ask(0, 'fix10.dll')).toBe(0);
    expect(running.engine.patches.map(({ state, applications }) => [state, applications.length])).toEqual([
      ['inactive', 1],
    ]);
  });
});
