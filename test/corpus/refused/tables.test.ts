import { describe, expect, it } from 'vitest';
import { verifyHotPatch } from '../../../builder/index.js';
import { ARCHITECTURES } from '../toolchain.js';
import { BAD_TABLES, badInput } from './tables.js';

describe.each(ARCHITECTURES)('tables that verify must refuse, %s', (architecture) => {
  it.each(BAD_TABLES)('$rule: $what', (bad) => {
    const verification = verifyHotPatch(badInput(architecture, bad));
    const { formatFindings, findings } = verification;
    const broken = [
      ...formatFindings.filter(({ severity }) => severity === 'error'),
      ...findings.filter(({ severity }) => severity === 'refusal'),
    ].map(({ rule }): string => rule);
    expect(broken).toContain(bad.rule);
    expect(verification.isValid).toBe(false);
  });

  it('the table as the builder made it is valid', () => {
    const { formatFindings, findings, isValid } = verifyHotPatch(
      badInput(architecture, { what: '', rule: '', change: ({ chunks }) => chunks }),
    );
    expect(formatFindings.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(findings.filter(({ severity }) => severity === 'refusal')).toEqual([]);
    expect(isValid).toBe(true);
  });
});
