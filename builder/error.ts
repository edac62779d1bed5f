import type { BuildFinding } from './finding.js';

/** A hotpatch image cannot be made from these builds: which rule, which symbol, and what to do. */
export class BuildError extends Error {
  override readonly name = 'BuildError';

  constructor(
    readonly rule: string,
    message: string,
    readonly symbol?: string,
    readonly hint?: string,
    /** Everything that was found, the first refusal included. */
    readonly findings: readonly BuildFinding[] = [],
  ) {
    super(`${symbol === undefined ? '' : `${symbol}: `}${message}`);
  }

  /** For the first of several refusals; the message counts the others. */
  static from(findings: readonly BuildFinding[]): BuildError {
    const [first, ...others] = findings.filter(({ severity }) => severity === 'refusal');
    if (first === undefined) throw new RangeError('no refusal among the findings');
    const more = others.length === 0 ? '' : `; and ${others.length} more refusal(s)`;
    return new BuildError(first.rule, `${first.message}${more}`, first.symbol, first.hint, findings);
  }
}
