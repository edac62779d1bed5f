import { describe, expect, it } from 'vitest';
import { missingForMake } from '../../builder/index.js';
import { performUnit } from '../../campaign/index.js';
import { type Pair, pairOf, shrinkPair, textOfProgram } from '../../campaign/programs/index.js';

const numbers = Array.from({ length: 200 }, (_, index) => index + 1);

describe('random programs', () => {
  it('are the same for the same number, and others for another one', () => {
    const texts = numbers.map((number) => textOfProgram(pairOf(number).base));
    expect(new Set(texts).size).toBe(numbers.length);
    expect(texts[6]).toBe(textOfProgram(pairOf(7).base));
  });

  it('have fixes that change something, and everything that hotpatches must cope with', () => {
    const pairs = numbers.map(pairOf);
    expect(pairs.filter(({ base, fixed }) => textOfProgram(base) === textOfProgram(fixed))).toEqual([]);
    const all = pairs.map(({ fixed }) => textOfProgram(fixed)).join('\n');
    for (const part of [
      'switch (',
      'for (unsigned',
      'static unsigned seen',
      'operations[a & 3u]',
      '(again & 7u) - 1u',
      '->next',
      'static const unsigned table',
      'static unsigned added',
      'helper',
    ])
      expect(all).toContain(part);
    expect(new Set(pairs.map(({ flags }) => flags[0]))).toEqual(new Set(['-O0', '-O1', '-O2', '-O3', '-Os']));
    expect(pairs.some(({ linkerFlags }) => linkerFlags.includes('/opt:icf'))).toBe(true);
  });
});

describe('shrinking', () => {
  const statements = [1, 2, 3].map((id) => ({ id, text: `s${id};` }));
  const program = {
    globals: [{ id: 10, text: 'int g;' }],
    functions: [
      { name: 'unused', head: 'void unused(void)', statements: [], result: '0' },
      { name: 'entry', head: 'unsigned entry(void)', statements, result: 'r + 1' },
    ],
  };
  const pair: Pair = {
    base: program,
    fixed: program,
    calls: [1, 2].map((argument) => ({ function: 'entry', arguments: [argument] })),
    isReset: true,
    flags: [],
    linkerFlags: [],
  };

  it('leaves what the broken rule needs, in both programs', async () => {
    const isBroken = (text: string, { calls }: Pair) =>
      text.includes('s2;') && calls.some((call) => call.arguments[0] === 2);
    const smallest = await shrinkPair(pair, 'wrong', async (smaller) => {
      const texts = [smaller.base, smaller.fixed].map(textOfProgram);
      const nothing = { verdict: '', rules: [], places: 0, mixtures: 0 };
      if (texts.every((text) => isBroken(text, smaller)))
        return { ...nothing, problem: { rule: 'wrong', message: '' } };
      return { ...nothing, problem: { rule: 'another', message: '' } };
    });
    expect(textOfProgram(smallest.fixed)).toBe('\nunsigned entry(void) {\n  s2;\n  return r;\n}\n');
    expect(smallest.base).toEqual(smallest.fixed);
    expect(smallest.calls).toEqual([{ function: 'entry', arguments: [2] }]);
  });

  it('changes nothing where nothing can be left out', async () => {
    const kept = await shrinkPair(pair, 'wrong', async () => ({
      verdict: 'right',
      rules: [],
      places: 0,
      mixtures: 0,
    }));
    expect(kept).toEqual(pair);
  });
});

describe.skipIf(missingForMake().length > 0)('hotpatches of random programs', () => {
  it.each(['x64', 'arm64', 'x86'])(
    'do on %s what the fix does, or are refused',
    async (architecture) => {
      const { cases, counts, findings } = await performUnit({
        kind: 'differential',
        architecture,
        first: 2,
        count: 2,
      });
      expect(findings).toEqual([]);
      expect(cases).toBe(2);
      expect((counts.right ?? 0) + (counts.refused ?? 0) + (counts.same ?? 0)).toBe(2);
    },
    120_000,
  );
});
