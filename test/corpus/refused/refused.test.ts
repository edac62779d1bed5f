import { describe, expect, it } from 'vitest';
import { BUILD_RULES, BuildError, buildHotPatch } from '../../../builder/index.js';
import { DATA_REFUSALS, FUNCTION_REFUSALS } from './functions.js';
import { IMAGE_REFUSALS } from './images.js';

const ALL = [...IMAGE_REFUSALS, ...FUNCTION_REFUSALS, ...DATA_REFUSALS];

describe('pairs of builds of which no hotpatch may be made', () => {
  it.each(ALL)('$rule: $what', ({ rule, symbol, input }) => {
    const error = refusalOf(input());
    const refusal = error.findings.find((finding) => finding.rule === rule && finding.severity === 'refusal');
    expect(error.findings.map((finding) => finding.rule)).toContain(rule);
    expect(refusal?.hint).toBeTruthy();
    if (symbol !== undefined) expect(refusal?.symbol).toBe(symbol);
  });

  it.each(ALL.filter(({ rule }) => BUILD_RULES.find(({ id }) => id === rule)?.isOverridable))(
    '$rule can be allowed: $what',
    ({ rule, input }) => {
      const findings = findingsOf({ ...input(), allow: [rule] });
      expect(
        findings.filter((finding) => finding.rule === rule).map(({ severity }) => severity),
      ).not.toContain('refusal');
    },
  );
});

function refusalOf(input: Parameters<typeof buildHotPatch>[0]): BuildError {
  try {
    buildHotPatch(input);
  } catch (error) {
    if (error instanceof BuildError) return error;
    throw error;
  }
  throw new Error('a hotpatch was made');
}

function findingsOf(input: Parameters<typeof buildHotPatch>[0]) {
  try {
    return buildHotPatch(input).findings;
  } catch (error) {
    if (error instanceof BuildError) return error.findings;
    throw error;
  }
}
