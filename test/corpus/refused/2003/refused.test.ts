import { describe, expect, it } from 'vitest';
import { BUILD_RULES, verifyHotPatch2003 } from '../../../../builder/index.js';
import { FUNCTIONS } from './functions.js';
import { IMAGES } from './images.js';
import { attempt, PROCESSORS } from './refusal.js';
import { VARIABLES } from './variables.js';

const ALL = [...IMAGES, ...FUNCTIONS, ...VARIABLES];
const ruleOf = (id: string) => BUILD_RULES.find((rule) => rule.id === id);

describe.each(PROCESSORS)('pairs of builds and hotpatches of 2003, %s', (processor) => {
  const here = ALL.filter(({ processors = PROCESSORS }) => processors.includes(processor));
  const refusing = here.filter(({ rule }) => ruleOf(rule)?.severity === 'refusal');

  it.each(refusing)('$rule refuses: $what', ({ rule, symbol, text = '', refused }) => {
    const { built, findings } = attempt(refused(processor));
    expect(built).toBeUndefined();
    const refusals = findings.filter(({ severity }) => severity === 'refusal');
    expect(new Set(refusals.map((finding) => finding.rule))).toEqual(new Set([rule]));
    expect(refusals.map((finding) => finding.symbol)).toContain(symbol);
    expect(refusals.map(({ message }) => message).join()).toContain(text);
    expect(refusals.every(({ hint }) => hint !== '')).toBe(true);
  });

  it.each(here.filter((one) => !refusing.includes(one)))('$rule warns: $what', (one) => {
    const { built, findings } = attempt(one.refused(processor));
    expect(built).toBeDefined();
    expect(findings.map(({ rule, severity, symbol }) => ({ rule, severity, symbol }))).toEqual([
      { rule: one.rule, severity: 'warning', symbol: one.symbol },
    ]);
  });

  it.each(refusing.filter(({ rule }) => ruleOf(rule)?.isOverridable))(
    '$rule can be allowed: $what',
    ({ rule, refused }) => {
      const { findings } = attempt({ ...refused(processor), allow: [rule] });
      const own = findings.filter((finding) => finding.rule === rule);
      expect(new Set(own.map(({ severity }) => severity))).toEqual(new Set(['warning']));
    },
  );

  it.each(here)('the nearest neighbour of $rule is accepted: $what', ({ accepted }) => {
    const input = accepted(processor);
    const { built, findings } = attempt(input);
    expect(findings).toEqual([]);
    if (built === undefined) throw new Error('no hotpatch was made');
    const { base, fixed } = input;
    const verified = verifyHotPatch2003({ base, patch: { ...fixed, image: built.image } });
    expect({ ...verified, functions: verified.functions.map(({ name }) => name) }).toEqual({
      generation: '2003',
      isValid: true,
      formatFindings: [],
      findings: [],
      functions: ['f'],
    });
  });
});
