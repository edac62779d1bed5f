import { describe, expect, it } from 'vitest';
import type { BuiltHotPatch } from '../../builder/index.js';
import { CASES } from './cases.js';
import { behaviour } from './differential.js';
import { ARCHITECTURES } from './toolchain.js';
import { buildPatches, corpusSource, imageName, Victim } from './victim.js';

/** Generated inputs for each function that the fix does not mean to change; HOTPATCH_CORPUS_INPUTS asks for more. */
const INPUTS = Number(process.env.HOTPATCH_CORPUS_INPUTS ?? 400);

for (const definition of CASES)
  for (const architecture of ARCHITECTURES)
    describe(`${definition.name}, ${architecture}: ${definition.weakness}`, () => {
      const { outcomes, during } = definition;
      const base = () => corpusSource(definition, architecture, 0);
      const fixes = definition.fixes ?? [1];
      const last = corpusSource(definition, architecture, fixes.at(-1) ?? 1);
      const name = imageName(definition);
      const hotPatchName = (index: number) => name.replace('.', `_hp${index + 1}.`);
      let patches: BuiltHotPatch[] | undefined;
      const built = () => {
        patches ??= buildPatches(definition, architecture);
        return patches;
      };
      const applyAll = (victim: Victim) => {
        for (const [index, patch] of built().entries()) victim.apply(patch, hotPatchName(index));
      };

      it('the builder redirects what the fix changes', () => {
        const redirected = built()
          .at(-1)
          ?.functions.filter(({ role }) => role === 'patched')
          .map((entry) => entry.name);
        const expected = Array.isArray(definition.patched)
          ? definition.patched
          : (definition.patched as Readonly<Record<string, readonly string[]>>)[architecture];
        expect(redirected?.toSorted()).toEqual(expected?.toSorted());
      });

      it('every exported function is changed, compared, or left out for a reason', () => {
        const changed = built()
          .at(-1)
          ?.functions.filter(({ verdict }) => verdict !== 'unchanged');
        const known = new Set([
          ...Object.keys(definition.differential),
          ...Object.keys(definition.notCompared ?? {}),
          ...(changed ?? []).map((entry) => entry.name),
        ]);
        const exported = (base().image.exports?.functions ?? []).flatMap((entry) => entry.name ?? []);
        expect(exported.filter((entry) => !known.has(entry))).toEqual([]);
      });

      it('the base has the fault', async () => {
        using victim = await Victim.boot(base(), name);
        expect(definition.show(victim)).toEqual(outcomes.base);
      });

      it.each(fixes.map((fix, index) => ({ fix, index })))('hotpatch $fix removes it', async ({ index }) => {
        using victim = await Victim.boot(base(), name, last);
        for (const [i, patch] of built()
          .slice(0, index + 1)
          .entries())
          victim.apply(patch, hotPatchName(i));
        expect(definition.show(victim)).toEqual(outcomes.fixed[index]);
      });

      it('applied in mid-execution, the old call finishes in old code, the next one is new', async () => {
        using untouched = await Victim.boot(base(), name);
        const reference = during.call(untouched);
        const whole = untouched.start(reference.function, ...reference.parameters);
        expect(untouched.finish(whole)).toBe(during.result);

        using victim = await Victim.boot(base(), name, last);
        const call = during.call(victim);
        const thread = victim.start(call.function, ...call.parameters);
        victim.runTo(thread, during.stopIn);
        applyAll(victim);
        expect(victim.finish(thread)).toBe(during.result);
        // The new code is of another length, and the way into it takes instructions too.
        expect(thread.instructions).toBe(whole.instructions);
        expect(definition.show(victim)).not.toEqual(outcomes.base);
      });

      it('rolled back, the base is what it was, byte for byte and fault for fault', async () => {
        using victim = await Victim.boot(base(), name, last);
        const before = victim.base.codeBytes();
        applyAll(victim);
        expect(victim.base.codeBytes()).not.toEqual(before);
        victim.rollBack();
        expect(victim.base.codeBytes()).toEqual(before);
        expect(definition.show(victim)).toEqual(outcomes.base);
      });

      it(`functions that the fix does not mean to change behave the same on ${INPUTS} inputs each`, async () => {
        using untouched = await Victim.boot(base(), name);
        using patched = await Victim.boot(base(), name, last);
        applyAll(patched);
        const differences = behaviour(patched, definition, INPUTS);
        const expected = behaviour(untouched, definition, INPUTS);
        expect(differences.length).toBe(expected.length);
        expect(differences.filter((line, i) => line !== expected[i])).toEqual([]);
      });
    });
