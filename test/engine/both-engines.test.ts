import {
  type EngineName,
  type EngineStep,
  type HotPatch,
  type HotPatchEngine,
  HotPatchError,
  Lab,
  type LoadedImage,
} from 'hotpatch-lab';
import { observeOperations } from 'hotpatch-lab/engine';
import type { PeImage } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { systemState } from '../../proof/index.js';
import { pair } from './built.js';
import { buildPatch, buildTarget, type Kind, returning } from './server-2003/support.js';

/** What an engine takes part with: a base whose `f` returns 1, and hotpatches with which it returns 2 and 3. */
interface Candidate {
  readonly name: EngineName;
  readonly other: EngineName;
  readonly takenBack: 'reverted' | 'inactive';
  images(kind: Kind): {
    readonly base: PeImage;
    readonly patches: readonly [PeImage, PeImage];
    readonly f: number;
  };
}

const CANDIDATES: readonly Candidate[] = [
  {
    name: 'modern',
    other: 'server-2003',
    takenBack: 'reverted',
    images() {
      const [first, second] = [1, 2].map((sequenceNumber) =>
        pair({
          sequenceNumber,
          covered: ['f'],
          parts: (builder, value) => builder.code('f', returning(value)),
        }),
      );
      if (first === undefined || second === undefined) throw new Error('two were asked for');
      return { base: first.base, patches: [first.patch, second.patch], f: first.rva('f') };
    },
  },
  {
    name: 'server-2003',
    other: 'modern',
    takenBack: 'inactive',
    images(kind) {
      const target = buildTarget('x64', kind);
      const patch = (result: number) =>
        buildPatch(target, { processor: 'x64', kind, result, name: `patch${result}.dll` });
      return { base: target.image, patches: [patch(2), patch(3)], f: target.rva('f') };
    },
  },
];

interface Running extends Disposable {
  readonly lab: Lab;
  /** Only what both engines have in common. */
  readonly engine: HotPatchEngine;
  readonly patches: readonly [PeImage, PeImage];
  readonly loaded: readonly LoadedImage[];
  /** Results of `f` in each place whose process has not ended. */
  call(): number[];
  /** Bytes of code, images and lists of them: what must be as before. */
  state(): unknown;
}

async function start(
  candidate: Candidate,
  kind: Kind,
  instructionFetch: 'coherent' | 'weak' = 'coherent',
): Promise<Running> {
  const { base, patches, f } = candidate.images(kind);
  const boot = { architecture: 'x64', memorySize: 16 << 20, instructionFetch } as const;
  const lab: Lab =
    candidate.name === 'modern'
      ? await Lab.boot({ ...boot, engine: 'modern' })
      : await Lab.boot({ ...boot, engine: 'server-2003', engineOptions: { gatherProcessors: false } });
  const { kernel } = lab;
  const domains =
    kind === 'driver'
      ? [kernel.system]
      : ['a.exe', 'b.exe'].map((name) => kernel.createProcess({ name }).domain);
  const loaded = domains.map((domain) => kernel.loadImage(base, { domain, initialize: false }));
  const alive = () => loaded.filter(({ domain }) => domain.process?.terminated !== true);
  const call = () =>
    alive().map((image) => Number(kernel.call64(image.address(f), [], { domain: image.domain })));
  call();
  return {
    lab,
    engine: lab.engine,
    patches,
    loaded,
    call,
    state: () => ({
      code: loaded.map((image) => image.codeBytes()),
      images: domains.map(({ images }) => images.map(({ baseDllName }) => baseDllName)),
      memory: systemState(lab).memory,
      threads: kernel.threads.length,
    }),
    [Symbol.dispose]: () => lab[Symbol.dispose](),
  };
}

/** Lets an operation do so many steps; false when it had fewer. */
function advance(steps: Generator<EngineStep, unknown>, count: number): boolean {
  for (let done = 0; done < count; done++) if (steps.next().done === true) return false;
  return true;
}

/** Fails the store with this index into any of the places. */
function failStore({ loaded }: Running, index: number): { fired: boolean } & Disposable {
  let count = 0;
  const watching: Disposable[] = [];
  const state = {
    fired: false,
    [Symbol.dispose]: () => {
      for (const one of watching) one[Symbol.dispose]();
    },
  };
  for (const writer of new Set(loaded.map(({ domain }) => domain.writer)))
    watching.push(
      writer.beforeStore(() => {
        if (state.fired || count++ !== index) return;
        state.fired = true;
        throw new Error('injected');
      }),
    );
  return state;
}

const CELLS = CANDIDATES.flatMap((candidate) =>
  (['driver', 'dll'] as const).map((kind) => ({ title: `${candidate.name}, ${kind}`, candidate, kind })),
);

describe.each(CELLS)('what both engines do: $title', ({ candidate, kind }) => {
  const places = kind === 'driver' ? 1 : 2;
  const all = (value: number) => Array.from({ length: places }, () => value);

  it('applies a hotpatch in every place that has its base, and takes it back', async () => {
    using running = await start(candidate, kind);
    const { engine, loaded, call, patches } = running;
    expect(call()).toEqual(all(1));
    const code = loaded.map((image) => image.codeBytes());
    const patch = engine.load(patches[0]);
    expect(call()).toEqual(all(2));
    expect(patch).toMatchObject({ engine: candidate.name, state: 'applied', functions: 1 });
    expect(patch.status.name).toBe('STATUS_SUCCESS');
    expect(patch.places.map(({ base }) => base)).toEqual(loaded);
    expect(loaded.map((base) => engine.patchOf(base))).toEqual(patch.places.map((place) => place.loaded));
    expect(engine.patches).toEqual([patch]);
    engine.unload(patch);
    expect(call()).toEqual(all(1));
    expect(patch).toMatchObject({ state: candidate.takenBack, functions: 0 });
    expect(loaded.map((image) => image.codeBytes())).toEqual(code);
    expect(loaded.map((base) => engine.patchOf(base))).toEqual(all(0).map(() => undefined));
  });

  it('lays a second one over the first: the newest goes first', async () => {
    using running = await start(candidate, kind);
    const { engine, loaded, call, patches } = running;
    const first = engine.load(patches[0]);
    const second = engine.load(patches[1]);
    expect(call()).toEqual(all(3));
    expect(loaded.map((base) => engine.patchOf(base))).toEqual(second.places.map((place) => place.loaded));
    const before = running.state();
    expect(() => engine.unload(first)).toThrow(HotPatchError);
    expect(running.state()).toEqual(before);
    engine.unload(second);
    expect(call()).toEqual(all(2));
    engine.unload(first);
    expect(call()).toEqual(all(1));
  });

  it('takes nothing back twice', async () => {
    using running = await start(candidate, kind);
    const { engine, call, patches } = running;
    const patch = engine.load(patches[0]);
    engine.unload(patch);
    const before = running.state();
    expect(() => engine.unload(patch)).toThrow(HotPatchError);
    expect(running.state()).toEqual(before);
    expect(call()).toEqual(all(1));
  });

  it('refuses what is no hotpatch of its own, and a base that somebody has changed', async () => {
    using running = await start(candidate, kind);
    const { engine, loaded, lab, patches } = running;
    const before = running.state();
    const foreign = CANDIDATES.find(({ name }) => name === candidate.other)?.images(kind).patches[0];
    const [base] = loaded;
    if (foreign === undefined || base === undefined) throw new Error('there is another engine, and a base');
    expect(() => engine.load(foreign)).toThrow(HotPatchError);
    expect(() => engine.load(base.image)).toThrow(HotPatchError);
    expect(running.state()).toEqual(before);
    const { f } = candidate.images(kind);
    for (const image of loaded)
      lab.kernel.machine.writeCode(image.domain.addressSpace, image.address(f), Uint8Array.of(0x90, 0xc3), {
        writer: kind === 'driver' ? 'vtl1' : 'alias',
      });
    const changed = running.state();
    expect(() => engine.load(patches[0])).toThrow(HotPatchError);
    expect(running.state()).toEqual(changed);
    expect(engine.patches).toEqual([]);
  });

  it('refuses a hotpatch of the other engine', async () => {
    using running = await start(candidate, kind);
    const rival = CANDIDATES.find(({ name }) => name === candidate.other);
    if (rival === undefined) throw new Error('there are two engines');
    using theirs = await start(rival, kind);
    const patch: HotPatch = theirs.engine.load(theirs.patches[0]);
    expect(() => running.engine.unload(patch)).toThrow(/patch\.engine/);
    expect(() => advance(running.engine.unloadSteps(patch), 1)).toThrow(/patch\.engine/);
  });

  it('is left after each of its steps: nothing has happened', async () => {
    using running = await start(candidate, kind);
    const { engine, call, patches } = running;
    const before = running.state();
    let count = 1;
    for (; ; count++) {
      const steps = engine.loadSteps(patches[0]);
      if (!advance(steps, count)) break;
      steps.return(undefined as never);
      expect(running.state()).toEqual(before);
      expect(call()).toEqual(all(1));
    }
    // Two stores in each place at least, and one step for all of them.
    expect(count).toBeGreaterThan(2 * places + 1);
    expect(call()).toEqual(all(2));
    const [patch] = engine.patches;
    if (patch === undefined) throw new Error('it was applied');
    const applied = running.state();
    for (count = 1; ; count++) {
      const steps = engine.unloadSteps(patch);
      if (!advance(steps, count)) break;
      steps.return();
      expect(running.state()).toEqual(applied);
      expect(call()).toEqual(all(2));
    }
    expect(count).toBeGreaterThan(places);
    expect(call()).toEqual(all(1));
  });

  it('has calls between any two steps, which return what old or new code returns', async () => {
    using running = await start(candidate, kind);
    const { engine, call, patches } = running;
    const seen = new Set<number>();
    let steps = 0;
    const patch = (() => {
      const loading = engine.loadSteps(patches[0]);
      for (let step = loading.next(); ; step = loading.next()) {
        if (step.done === true) return step.value;
        steps += 1;
        for (const result of call()) seen.add(result);
      }
    })();
    expect(seen).toEqual(new Set([1, 2]));
    for (const _ of engine.unloadSteps(patch)) for (const result of call()) seen.add(result);
    expect(seen).toEqual(new Set([1, 2]));
    expect(steps).toBeGreaterThan(2);
    expect(call()).toEqual(all(1));
  });

  it('fails with a store, whichever: all others are taken back', async () => {
    let faults = 0;
    for (; ; faults++) {
      using running = await start(candidate, kind);
      const before = running.state();
      using fault = failStore(running, faults);
      const load = () => running.engine.load(running.patches[0]);
      if (faults < 64 && !didThrow(load)) {
        expect(fault.fired).toBe(false);
        break;
      }
      fault[Symbol.dispose]();
      expect(running.state()).toEqual(before);
      expect(running.engine.patches).toEqual([]);
      expect(running.call()).toEqual(all(1));
    }
    expect(faults).toBeGreaterThanOrEqual(2 * places);
  });

  it('tells who watches what is about to be done, and where', async () => {
    using running = await start(candidate, kind);
    const { engine, lab, loaded, patches } = running;
    const told: string[] = [];
    const domains = loaded.map(({ domain }) => domain.name).join();
    observeOperations(lab.kernel, {
      perform(operation, perform) {
        told.push(`${operation?.kind} ${operation?.domains.map(({ name }) => name).join()}`);
        return perform();
      },
    });
    engine.load(patches[0]);
    engine.unload(engine.load(patches[1]));
    expect(told).toEqual([`apply ${domains}`, `repatch ${domains}`, `revert ${domains}`]);
  });
});

function didThrow(act: () => unknown): boolean {
  try {
    act();
    return false;
  } catch {
    return true;
  }
}

describe.each(CANDIDATES)('processors under the engine $name', (candidate) => {
  it('serialises every processor when it is done, and when it is taken back', async () => {
    using running = await start(candidate, 'driver', 'weak');
    const { engine, call, patches } = running;
    expect(call()).toEqual([1]);
    const steps = engine.loadSteps(patches[0]);
    const stale: (number | undefined)[] = [];
    for (let step = steps.next(); step.done !== true; step = steps.next()) {
      // Between any two steps it fetches the function, with what has been stored before.
      const [result] = call();
      if (step.value.kind === 'store' && step.value.target === 'entry') stale.push(result);
      if (step.value.kind === 'serialised' && stale.length === 1) break;
    }
    expect(stale).toEqual([1]);
    expect(call()).toEqual([2]);
    steps.return(undefined as never);
    expect(call()).toEqual([1]);
    engine.load(patches[0]);
    expect(call()).toEqual([2]);
  });
});

describe.each(CANDIDATES)('processes under the engine $name', (candidate) => {
  it('one that ends after any step is left out, and the others are patched', async () => {
    let count = 1;
    for (; ; count++) {
      using running = await start(candidate, 'dll');
      const { engine, loaded, call, patches } = running;
      const steps = engine.loadSteps(patches[0]);
      if (!advance(steps, count)) break;
      loaded[0]?.domain.process?.terminate(1);
      for (const _ of steps);
      expect(call()).toEqual([2]);
      const [patch] = engine.patches;
      expect(patch?.places.map(({ base }) => base)).toEqual([loaded[1]]);
      if (patch !== undefined) engine.unload(patch);
      expect(call()).toEqual([1]);
    }
    expect(count).toBeGreaterThan(5);
  });

  it('of one that ends under a hotpatch nothing is kept; it is taken back from the others', async () => {
    using running = await start(candidate, 'dll');
    const { engine, loaded, call, patches } = running;
    const patch = engine.load(patches[0]);
    loaded[0]?.domain.process?.terminate(1);
    expect(patch.places.map(({ base }) => base)).toEqual([loaded[1]]);
    expect(call()).toEqual([2]);
    engine.unload(patch);
    expect(call()).toEqual([1]);
  });

  it('without any process that has the base a hotpatch waits, and code of others stays', async () => {
    using running = await start(candidate, 'dll');
    const { engine, loaded, patches } = running;
    for (const { domain } of loaded) domain.process?.terminate(1);
    const patch = engine.load(patches[0]);
    expect(['deferred', 'noTarget']).toContain(patch.state);
    expect(patch).toMatchObject({ functions: 0, places: [] });
    expect(engine.patches).toEqual([patch]);
  });
});
