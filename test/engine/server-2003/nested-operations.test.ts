import { FIXUP_TYPE } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { HotPatchError } from '../../../engine/index.js';
import { buildPatch, type Running, run } from './support.js';

const imageOf = ({ target }: Running, result: number) =>
  buildPatch(target, {
    processor: 'x64',
    result,
    name: `fix${result}.dll`,
    section: ({ good, layout }) => ({
      ...good,
      validations: [],
      fixups: [{ rva: layout.rva('value'), type: FIXUP_TYPE.PC64 }],
    }),
  });

/** What `f` must return in every process: that of the newest hotpatch in force, which its name has, or its own. */
function expected({ engine, loaded }: Running): number[] {
  return loaded.map((module) => {
    const newest = engine.patchList(module).findLast(({ active }) => active);
    return newest === undefined ? 1 : Number(newest.patch.name.replace(/\D/g, ''));
  });
}

const refused = (action: () => void): string | undefined => {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof HotPatchError) return error.rule;
    throw error;
  }
};

const OTHERS = ['load', 'unload', 'enable', 'restoreLeftHooks'] as const;
const cells = OTHERS.flatMap((other) => [true, false].map((isLeft) => ({ other, isLeft })));

describe('an operation in the midst of another one', () => {
  it.each(cells)('$other; the outer one is left: $isLeft', async ({ other, isLeft }) => {
    let held = 0;
    for (let after = 1, isOver = false; !isOver; after++) {
      using running = await run({ processor: 'x64' });
      const { engine, lab } = running;
      const known = engine.load(imageOf(running, 5));
      if (other !== 'unload') engine.unload(known);
      const steps = engine.loadSteps(imageOf(running, 9));
      for (let count = 0; count < after && !isOver; count++) isOver = steps.next().done === true;
      if (isOver) break;
      const isHeld = lab.kernel.scheduler.gathered;
      if (isHeld) held++;
      const rule = refused(() => {
        if (other === 'load') engine.load(imageOf(running, 7));
        else if (other === 'restoreLeftHooks') engine.restoreLeftHooks();
        else if (other === 'unload') engine.unload(known);
        else engine.enable(known);
      });
      // While all processors are held for one operation no other one can hold them.
      if (isHeld && other !== 'restoreLeftHooks') expect(rule).toBeDefined();
      const outer = refused(() => {
        if (isLeft) steps.return(undefined as never);
        else while (steps.next().done !== true);
      });
      if (outer !== undefined) expect(outer).toBe('chain.covered');
      expect([after, ...running.call()]).toEqual([after, ...expected(running)]);
      expect([lab.kernel.scheduler.gathered, lab.kernel.threads]).toEqual([false, []]);
      for (const patch of [...engine.patches].reverse()) if (patch.state === 'applied') engine.unload(patch);
      for (const image of running.loaded) expect(image.codeBytes()).toEqual(image.codeBytesBeforePatch);
    }
    expect(held).toBeGreaterThan(3);
  });
});
