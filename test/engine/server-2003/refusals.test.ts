import { HotPatchError } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { systemState } from '../../../proof/index.js';
import { DAMAGES, FORMAT } from './damages.js';
import { buildPatch, run } from './support.js';

const memoryOf = (lab: Parameters<typeof systemState>[0]) => systemState(lab).memory;

describe('damaged hotpatches of the 2003 generation', () => {
  it('are many', () => expect(new Set(DAMAGES.map(({ rule }) => rule)).size).toBeGreaterThanOrEqual(35));

  it.each(DAMAGES)('$name: $rule, and nothing is changed', async ({ rule, status = FORMAT, ...damage }) => {
    using running = await run(damage.run);
    const { lab, engine, target } = running;
    const image = buildPatch(target, damage);
    const before = memoryOf(lab);
    const images = lab.kernel.domains.map((domain) => domain.images.length);
    const error = refusalOf(() => engine.load(image, damage.load));
    expect(error).toMatchObject({ rule, status: { name: status } });
    expect(memoryOf(lab)).toEqual(before);
    expect(lab.kernel.domains.map((domain) => domain.images.length)).toEqual(images);
    expect(lab.kernel.threads).toEqual([]);
    expect(engine.patches).toEqual([]);
    // The good one is still welcome.
    if (rule !== 'kernel.secureKernel') {
      const { processor, kind } = damage;
      engine.load(buildPatch(target, { ...(processor && { processor }), ...(kind && { kind }) }));
      expect(new Set(running.call())).toEqual(new Set([9]));
    }
  });
});

function refusalOf(action: () => unknown): unknown {
  try {
    return action();
  } catch (error) {
    if (error instanceof HotPatchError) return error;
    throw error;
  }
}
