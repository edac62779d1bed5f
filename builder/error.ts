import type { BuildFinding } from './finding.js';
import { type BuildReport, buildReport } from './outcome.js';
import type { BuildRuleId } from './rules.js';

/** A hotpatch image cannot be made from these builds: which rule, which symbol, and what to do. */
export class BuildError extends Error {
  override readonly name = 'BuildError';
  /** The message without the symbol. */
  readonly reason: string;

  constructor(
    /** Which of the builder's rules forbids it; stable, to test against. */
    readonly rule: BuildRuleId,
    message: string,
    /** The function or variable that it is about, as the base names it; undefined: the images as a whole. */
    readonly symbol: string | undefined,
    /** What to try next. */
    readonly hint: string | undefined,
    /** Everything that was found. */
    readonly report: BuildReport,
  ) {
    super(`${symbol === undefined ? '' : `${symbol}: `}${message}`);
    this.reason = message;
  }

  /** All findings, the first refusal included. */
  get findings(): readonly BuildFinding[] {
    return this.report.findings;
  }

  /** The symbol, as the errors of the other rooms call it. */
  get place(): string | undefined {
    return this.symbol;
  }

  /** For the first of several refusals; the message counts the others. */
  static from(found: BuildReport | readonly BuildFinding[]): BuildError {
    const report = 'findings' in found ? found : buildReport({ findings: found });
    const [first, ...others] = report.findings.filter(({ severity }) => severity === 'refusal');
    if (first === undefined) throw new RangeError('no refusal among the findings');
    const more = others.length === 0 ? '' : `; and ${others.length} more refusal(s)`;
    return new BuildError(first.rule, `${first.message}${more}`, first.symbol, first.hint, report);
  }
}
