import { describe, expect, it } from 'vitest';
import type { Patch2003 } from '../../../engine/index.js';
import type { PeImage } from '../../../image/index.js';
import { type Form, first, hotpatchOf, isItself, SYSTEMS } from './fixes.js';
import { type Running, run } from './support.js';

/** Every instruction of the way of a call, as distances from the entry, and every operation that may come there. */
describe.each(SYSTEMS)('a thread on each step of its way, $name', ({ processor, wow64 }) => {
  const forms: readonly Form[] = processor === 'x86' ? ['near', 'cave'] : ['near', 'indirect', 'cave'];
  const OPERATIONS = {
    unload: ({ engine }: Running, patch: Patch2003) => engine.unload(patch),
    'unload and enable': ({ engine }: Running, patch: Patch2003) => {
      engine.unload(patch);
      engine.enable(patch);
    },
    'unload and a newer one': (running: Running, patch: Patch2003, newer: PeImage) => {
      running.engine.unload(patch);
      running.engine.load(newer);
    },
    'a newer one': (running: Running, _: Patch2003, newer: PeImage) => void running.engine.load(newer),
    'a newer one that is unloaded': (running: Running, _: Patch2003, newer: PeImage) =>
      running.engine.unload(running.engine.load(newer)),
  } as const;
  const cells = forms.flatMap((form) =>
    (Object.keys(OPERATIONS) as (keyof typeof OPERATIONS)[]).map((operation) => ({ form, operation })),
  );

  it.each(cells)(
    '$form, $operation: it returns what the old or the new code returns',
    async ({ form, operation }) => {
      for (let steps = 0, isOver = false; !isOver && steps < 12; steps++) {
        using running = await run({ processor, processes: 2, wow64 });
        const { engine, lab } = running;
        const patch = engine.load(
          hotpatchOf(running, processor, { functions: ['f', 'h'], form, result: 10 }),
        );
        const newer = hotpatchOf(running, processor, { functions: ['f', 'h'], form, result: 20 });
        const module = first(running);
        const thread = lab.kernel.createThread(module.symbol('f'), [], { domain: module.domain });
        for (let count = 0; count < steps && !thread.finished; count++) {
          lab.kernel.scheduler.place(thread);
          lab.kernel.scheduler.runThread(thread, 1);
        }
        isOver = thread.finished;
        const stood = module.domain.imageAt(thread.pc)?.describe(thread.pc);
        OPERATIONS[operation](running, patch, newer);
        if (!thread.finished) lab.run({ until: thread.returns() });
        expect([1, 10, 20], `${steps} step(s), at ${stood}`).toContain(thread.result);
        const inForce = engine.patches.findLast(({ state }) => state === 'applied');
        const now = inForce === undefined ? 1 : inForce === patch ? 10 : 20;
        expect(running.call('f')).toEqual([now, now]);
        for (const one of [...engine.patches].reverse()) if (one.state === 'applied') engine.unload(one);
        engine.restoreLeftHooks();
        expect(isItself(running), `${steps} step(s), at ${stood}`).toBe(true);
      }
    },
  );
});
