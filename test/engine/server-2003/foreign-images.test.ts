import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyHotPatch2003 } from '../../../builder/index.js';
import { HotPatchError } from '../../../engine/index.js';
import { Lab } from '../../../lab/index.js';
import { type ForeignCase, foreignCases } from './foreign/cases.js';
import { foreignHotpatch, foreignTarget } from './foreign/images.js';

/** x86 images run on a 32-bit system, and under WOW64 on a 64-bit one. */
const SYSTEMS = [
  { system: 'x86', processor: 'x86' },
  { system: 'x64', processor: 'x86' },
  { system: 'x64', processor: 'x64' },
] as const;

const rulesOf = ({ formatFindings, findings }: ReturnType<typeof verifyHotPatch2003>) => [
  ...formatFindings.filter(({ severity }) => severity === 'error').map(({ rule }) => rule as string),
  ...findings.filter(({ severity }) => severity === 'refusal').map(({ rule }) => rule as string),
];

describe.each(SYSTEMS)(
  'hotpatches of an encoder of its own, $processor images on $system',
  ({ system, processor }) => {
    const target = foreignTarget(processor);
    const cases = foreignCases(processor, target);
    let lab: Lab<'server-2003'>;
    beforeAll(async () => {
      lab = await Lab.boot({ architecture: system, memorySize: 16 << 20, engine: 'server-2003' });
    });
    afterAll(() => lab[Symbol.dispose]());

    it.each(cases)(
      '$what: $expected',
      async ({ expected, call = ['f1', 1001], draft, change }: ForeignCase) => {
        const patch = foreignHotpatch(processor, target, draft, change);
        for (const process of [...lab.kernel.processes]) if (process.name === 'p.exe') process.terminate();
        const process = lab.createProcess({ name: 'p.exe', wow64: processor === 'x86' });
        const module = process.loadImage(target.image, { symbols: target.symbols, initialize: false });
        const original = module.codeBytes();
        const images = process.domain.images.length;
        const [name, before] = call;
        const result = () => process.call(module.symbol(name));
        const verification = verifyHotPatch2003({
          base: { image: target.image, symbols: target.symbols },
          patch: { image: patch, symbols: target.symbols },
        });
        expect(result()).toBe(before);
        if (expected === 'noTarget') {
          expect(lab.engine.load(patch).state).toBe('noTarget');
          expect(rulesOf(verification)).toEqual(['target.name']);
          expect([result(), module.codeBytes()]).toEqual([before, original]);
          return;
        }
        if ('rule' in expected) {
          let error: unknown;
          try {
            lab.engine.load(patch);
          } catch (thrown) {
            error = thrown;
          }
          expect(error).toBeInstanceOf(HotPatchError);
          expect((error as HotPatchError).rule).toBe(expected.rule);
          expect(rulesOf(verification)).toContain(expected.rule);
          expect(verification.isValid).toBe(false);
          expect([result(), module.codeBytes(), process.domain.images.length]).toEqual([
            before,
            original,
            images,
          ]);
          return;
        }
        expect([rulesOf(verification), verification.isValid]).toEqual([[], true]);
        const applied = lab.engine.load(patch);
        expect([applied.state, result()]).toEqual(['applied', expected.result]);
        lab.engine.unload(applied);
        expect([result(), module.codeBytes()]).toEqual([before, original]);
        lab.engine.enable(applied);
        expect(result()).toBe(expected.result);
      },
    );
  },
);

it('there are as many images as the outside author had', () => {
  const count = (['x86', 'x64'] as const).reduce(
    (sum, processor) => sum + foreignCases(processor, foreignTarget(processor)).length,
    0,
  );
  expect(count).toBeGreaterThanOrEqual(145);
});
