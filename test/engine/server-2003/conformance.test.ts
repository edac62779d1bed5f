import {
  type HotPatch2003Options,
  Lab,
  type LoadedImage,
  type Patch2003,
  type Server2003Engine,
} from 'hotpatch-lab';
import { findSymbols, readImage } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { systemState } from '../../../proof/index.js';
import { fixture, fixtureBytes } from '../../support.js';

/** A module of the fixtures, a call of it, and what old and new code return. */
interface Subject {
  readonly name: string;
  readonly architecture: 'x86' | 'x64';
  /** Processor of the module, when it is another one. */
  readonly folder?: 'x86';
  readonly file: 'shell.dll' | 'packets.sys';
  readonly function: string;
  readonly results: readonly [old: number, fixed: number];
  arguments(running: Running): (bigint | number)[];
}

const TITLE: Pick<Subject, 'file' | 'function' | 'results' | 'arguments'> = {
  file: 'shell.dll',
  function: 'SetTitle',
  results: [4, -1],
  arguments: ({ lab, module: { domain } }) => [lab.allocate(new Uint8Array(8), { domain }), 1, 4],
};

const SUBJECTS: readonly Subject[] = [
  { name: 'x86 DLL', architecture: 'x86', ...TITLE },
  { name: 'x64 DLL', architecture: 'x64', ...TITLE },
  { name: 'x86 DLL under WOW64', architecture: 'x64', folder: 'x86', ...TITLE },
  {
    name: 'x64 driver',
    architecture: 'x64',
    file: 'packets.sys',
    function: 'HandleRequest',
    results: [570, 0xc000000d | 0],
    arguments: ({ lab }) => [lab.allocate(Uint8Array.of(1, 5, 10, 20, 30, 40, 50)), 2],
  },
];

interface Running extends Disposable {
  readonly lab: Lab;
  readonly engine: Server2003Engine;
  readonly module: LoadedImage;
  load(fix?: 1 | 2): Patch2003;
  call(): number;
}

async function start(subject: Subject, options: HotPatch2003Options = {}): Promise<Running> {
  const { architecture, file, folder = architecture } = subject;
  const lab = await Lab.boot({
    architecture,
    memorySize: 16 << 20,
    engine: 'server-2003',
    engineOptions: options,
  });
  const { engine } = lab;
  const open = (path: string) => {
    const where = `2003/${folder}/${path}`;
    return {
      image: readImage(fixtureBytes(where), { file: where }),
      symbols: findSymbols(fixture(where)).table,
    };
  };
  const base = open(`base/${file}`);
  const domain =
    file === 'packets.sys'
      ? lab.kernel.domain
      : lab.createProcess({ name: 'program.exe', wow64: folder === 'x86' }).domain;
  const module = lab.kernel.loadImage(base.image, { domain, name: file, symbols: base.symbols });
  const running: Running = {
    lab,
    engine,
    module,
    load(fix = 1) {
      const patch = open(`patch${fix}/${file.replace('.', '_hp.')}`);
      return engine.load(patch.image, { name: `fix${fix}.dll`, symbols: patch.symbols });
    },
    call: () =>
      Number(
        BigInt.asIntN(
          32,
          lab.kernel.call64(module.symbol(subject.function), subject.arguments(running), { domain }),
        ),
      ),
    [Symbol.dispose]: () => lab[Symbol.dispose](),
  };
  return running;
}

/** Lets a call run to each of its instructions in turn, does something there, and lets it finish. */
async function atEveryInstruction(
  subject: Subject,
  act: (running: Running) => void,
  prepare: (running: Running) => void = () => undefined,
): Promise<{ results: Set<number>; instructions: number }> {
  const results = new Set<number>();
  for (let count = 0; ; count++) {
    using running = await start(subject);
    prepare(running);
    const { lab, module } = running;
    const thread = lab.kernel.createThread(module.symbol(subject.function), subject.arguments(running), {
      domain: module.domain,
    });
    if (count > 0) lab.kernel.run({ until: thread.returns(), instructions: count });
    if (thread.finished) return { results, instructions: count };
    act(running);
    lab.kernel.run({ until: thread.returns() });
    results.add(thread.result ?? Number.NaN);
  }
}

describe.each(SUBJECTS)('$name', (subject) => {
  const [old, fixed] = subject.results;

  it('returns what the fix returns, shares its variables, and is itself again in every byte', async () => {
    using running = await start(subject);
    expect(running.call()).toBe(old);
    const memory = systemState(running.lab).memory;
    const patch = running.load();
    expect(running.call()).toBe(fixed);
    running.engine.unload(patch);
    expect(running.call()).toBe(old);
    expect(running.module.codeBytes()).toEqual(running.module.codeBytesBeforePatch);
    expect(memory.size).toBeGreaterThan(0);
  });

  it('is patched at every instruction of a call: each call returns the old or the new result', async () => {
    const { results, instructions } = await atEveryInstruction(subject, (running) => {
      running.load();
      expect(running.call()).toBe(fixed);
    });
    expect(instructions).toBeGreaterThan(20);
    expect([...results].sort()).toEqual([old, fixed].sort());
  });

  it('is given back at every instruction of a call in the new code', async () => {
    const disabled = (running: Running) => {
      const [patch] = running.engine.patches;
      if (patch === undefined) throw new Error('no patch');
      running.engine.unload(patch);
      expect(running.call()).toBe(old);
    };
    const { results } = await atEveryInstruction(subject, disabled, (running) => void running.load());
    expect([...results].sort()).toEqual([old, fixed].sort());
  });

  it('leaves the jump in the padding to a thread that stands on it, until it has gone', async () => {
    using running = await start(subject);
    const { lab, engine, module } = running;
    const patch = running.load();
    const [padding] = patch.applications[0]?.hooks.filter(({ target }) => target === 'padding') ?? [];
    if (padding === undefined) throw new Error('no jump in the padding');
    const thread = lab.kernel.createThread(module.symbol(subject.function), subject.arguments(running), {
      domain: module.domain,
    });
    lab.kernel.run({ until: thread.reaches(padding.location) });
    engine.unload(patch);
    expect(module.codeBytes()).not.toEqual(module.codeBytesBeforePatch);
    lab.kernel.run({ until: thread.returns() });
    expect(thread.result).toBe(fixed);
    engine.restoreLeftHooks();
    expect(module.codeBytes()).toEqual(module.codeBytesBeforePatch);
    engine.enable(patch);
    expect(running.call()).toBe(fixed);
  });
});

/** Fails the n-th store of the engine, into code or data. */
function failStore({ module }: Running, index: number): { fired: boolean } & Disposable {
  let count = 0;
  const state = { fired: false, [Symbol.dispose]: () => watching[Symbol.dispose]() };
  const watching = module.domain.writer.beforeStore(() => {
    if (state.fired || count++ !== index) return;
    state.fired = true;
    throw Object.assign(new Error('injected'), { injected: true });
  });
  return state;
}

interface Operation {
  readonly name: string;
  prepare(running: Running): Patch2003 | undefined;
  perform(running: Running, patch: Patch2003 | undefined): void;
}

/**
 * Ends the first load of a hotpatch between two of its steps, as an error there would. `done`: it had no step left;
 * `inForce`: all code had been changed.
 */
function stopAfter(
  { engine }: Running,
  steps: Generator<unknown, unknown>,
  count: number,
): 'done' | 'inForce' | 'takenBack' {
  for (let done = 0; done < count; done++) if (steps.next().done === true) return 'done';
  expect(() => steps.throw(new Error('stopped'))).toThrow('stopped');
  const states = engine.patches.map(({ state }) => state);
  if (states.length === 0) return 'takenBack';
  expect(states).toEqual(['applied']);
  return 'inForce';
}

const OPERATIONS: readonly Operation[] = [
  { name: 'apply', prepare: () => undefined, perform: (running) => void running.load() },
  {
    name: 'disable',
    prepare: (running) => running.load(),
    perform: ({ engine }, patch) => patch && engine.unload(patch),
  },
  {
    name: 'enable',
    prepare(running) {
      const patch = running.load();
      running.engine.unload(patch);
      return patch;
    },
    perform: ({ engine }, patch) => patch && engine.enable(patch),
  },
];

describe.each(SUBJECTS.filter(({ folder }) => folder === undefined))('faults, $name', (subject) => {
  it.each(OPERATIONS)('$name: whichever store fails, memory is as before', async ({ prepare, perform }) => {
    let faults = 0;
    for (; ; faults++) {
      using running = await start(subject);
      const patch = prepare(running);
      const result = running.call();
      const before = systemState(running.lab).memory;
      const lists = running.engine.patchList(running.module).map(({ active }) => active);
      using fault = failStore(running, faults);
      let failed = false;
      try {
        perform(running, patch);
      } catch {
        failed = true;
      }
      if (!fault.fired) break;
      expect(failed).toBe(true);
      fault[Symbol.dispose]();
      expect(systemState(running.lab).memory).toEqual(before);
      expect(running.engine.patchList(running.module).map(({ active }) => active)).toEqual(lists);
      expect(running.call()).toBe(result);
      perform(running, patch);
      expect(running.call()).not.toBe(result);
    }
    expect(faults).toBeGreaterThanOrEqual(2);
  });
});

describe.each(SUBJECTS)('stopped between two steps, $name', (subject) => {
  it('memory is as before until all code is changed, and the hotpatch is in force from then on', async () => {
    const folder = subject.folder ?? subject.architecture;
    const path = `2003/${folder}/patch1/${subject.file.replace('.', '_hp.')}`;
    const image = readImage(fixtureBytes(path), { file: path });
    const outcomes: string[] = [];
    for (let count = 1; outcomes.at(-1) !== 'done'; count++) {
      using running = await start(subject);
      running.call();
      const before = systemState(running.lab).memory;
      const outcome = stopAfter(running, running.engine.loadSteps(image), count);
      outcomes.push(outcome);
      if (outcome === 'done') break;
      if (outcome === 'takenBack') expect(systemState(running.lab).memory).toEqual(before);
      expect(running.lab.kernel.threads).toEqual([]);
      expect(running.call()).toBe(subject.results[outcome === 'takenBack' ? 0 : 1]);
    }
    // Never back again.
    expect(outcomes.join(' ')).toMatch(/^(takenBack ){3,}(inForce )*done$/);
  });
});
