import type { EngineStep } from 'hotpatch-lab/engine';
import { FIXUP_TYPE } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import type { Patch2003 } from '../../../engine/index.js';
import { systemState } from '../../../proof/index.js';
import { buildPatch, type Processor, type Running, run } from './support.js';

/** 32-bit processes of an x86 system and of an x64 server, and 64-bit ones. */
const SYSTEMS = [
  { name: 'x86', processor: 'x86', wow64: false },
  { name: 'WOW64', processor: 'x86', wow64: true },
  { name: 'x64', processor: 'x64', wow64: false },
] as const;
type System = (typeof SYSTEMS)[number];
const OPERATIONS = ['load', 'unload', 'enable'] as const;
type OperationName = (typeof OPERATIONS)[number];

const LEAVE = {
  'is left': (steps: Generator) => void steps.return(undefined),
  fails: (steps: Generator) => expect(() => steps.throw(new Error('stopped'))).toThrow('stopped'),
} as const;

const CASES = SYSTEMS.flatMap((system) =>
  OPERATIONS.flatMap((operation) =>
    (Object.keys(LEAVE) as (keyof typeof LEAVE)[]).map((how) => ({
      system,
      name: system.name,
      operation,
      how,
    })),
  ),
);

const imageFor = ({ target }: Running, processor: Processor) =>
  buildPatch(target, {
    processor,
    section: ({ good, layout }) => ({
      ...good,
      fixups: [{ rva: layout.rva('value'), type: processor === 'x64' ? FIXUP_TYPE.PC64 : FIXUP_TYPE.PC32 }],
    }),
  });

/** Three processes, and an operation over all of them that has not begun. */
async function begin({ processor, wow64 }: System, operation: OperationName) {
  const running = await run({ processor, wow64, processes: 3 });
  const { engine } = running;
  let patch: Patch2003 | undefined;
  if (operation !== 'load') patch = engine.load(imageFor(running, processor));
  if (operation === 'enable' && patch !== undefined) engine.unload(patch);
  const [before, after] = operation === 'unload' ? [9, 1] : [1, 9];
  const steps: Generator<EngineStep, unknown> =
    patch === undefined
      ? engine.loadSteps(imageFor(running, processor))
      : operation === 'unload'
        ? engine.unloadSteps(patch)
        : engine.enableSteps(patch);
  return { running, steps, before, after, [Symbol.dispose]: () => running[Symbol.dispose]() };
}

/** One instruction of each thread, one after the other. */
function goOn({ lab }: Running): void {
  const { scheduler, threads } = lab.kernel;
  for (const thread of threads.filter(({ name }) => name !== 'LdrHotPatchRoutine')) {
    scheduler.place(thread);
    scheduler.runThread(thread, 1);
  }
}

describe.each(CASES)('$operation in three $name processes that $how', ({ system, operation, how }) => {
  it('after any of its steps: all of it or nothing, wherever threads went in between', async () => {
    const seen = new Set<string>();
    for (let after = 1, isOver = false; !isOver; after++) {
      using begun = await begin(system, operation);
      const { running, steps } = begun;
      const { engine, lab, loaded, call } = running;
      const threads = loaded.map((module) =>
        lab.kernel.createThread(module.symbol('f'), [], { domain: module.domain }),
      );
      const memory = () => systemState(lab).memory;
      const untouched = memory();
      let ended = false;
      let wasLetGo = false;
      for (let count = 0; count < after; count++) {
        const { done, value } = steps.next();
        isOver = done === true;
        if (done === true) break;
        ended = value.kind === 'rendezvous' && value.phase === 'end';
        wasLetGo ||= ended;
        if (!lab.kernel.scheduler.gathered) goOn(running);
      }
      if (isOver) break;
      const hasRun = threads.some(({ instructions }) => instructions > 0);
      LEAVE[how](steps);
      const isDone = wasLetGo;
      seen.add(isDone ? 'all' : 'nothing');
      const [module] = loaded;
      if (module === undefined) throw new Error('three processes');
      if (!isDone && !hasRun) expect(memory()).toEqual(untouched);
      expect(call()).toEqual(Array.from({ length: 3 }, () => (isDone ? begun.after : begun.before)));
      const inForce = (operation === 'unload') !== isDone;
      expect(loaded.map((image) => engine.patchList(image).map(({ active }) => active))).toEqual(
        Array.from({ length: 3 }, () => (operation === 'load' && !isDone ? [] : [inForce])),
      );
      expect(engine.patches.map(({ state }) => state)).toEqual(
        operation === 'load' && !isDone ? [] : [inForce ? 'applied' : 'inactive'],
      );
      for (const thread of threads) {
        if (!thread.finished) lab.run({ until: thread.returns() });
        expect([1n, 9n]).toContain(BigInt(thread.result ?? 0));
      }
      expect(lab.kernel.threads).toEqual([]);
      const [patch] = engine.patches;
      if (patch?.state === 'applied') engine.unload(patch);
      engine.restoreLeftHooks();
      for (const image of loaded) expect(image.codeBytes()).toEqual(image.codeBytesBeforePatch);
    }
    expect([...seen]).toEqual(['nothing', 'all']);
  });
});

describe.each(SYSTEMS)('a thread that is injected into a process of $name', ({ processor, wow64 }) => {
  it('waits where it comes to run before its work is done, and does nothing twice', async () => {
    using running = await run({ processor, wow64, processes: 2 });
    const { engine, lab } = running;
    const steps = engine.loadSteps(imageFor(running, processor));
    steps.next();
    const injected = lab.kernel.threads.find(({ name }) => name === 'LdrHotPatchRoutine');
    if (injected === undefined) throw new Error('no thread');
    expect(lab.run({ instructions: 1000 }).reason).toBe('idle');
    expect(injected.state).toBe('waiting');
    expect(engine.applications).toEqual([]);
    while (steps.next().done !== true);
    expect([injected.finished, injected.result]).toEqual([true, 0]);
    expect(engine.applications).toHaveLength(2);
    expect(running.call()).toEqual([9, 9]);
    expect(lab.kernel.threads).toEqual([]);
  });
});
