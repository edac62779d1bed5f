import { type BuildRuleId, buildRule, type Severity } from './rules.js';

/** A rule that two builds, or a hotpatch image and its base, do not keep. */
export interface BuildFinding {
  readonly rule: BuildRuleId;
  readonly severity: Severity;
  /** The function or variable. */
  readonly symbol?: string;
  /** What is wrong, with what was found. */
  readonly message: string;
  readonly hint: string;
}

/** Collects findings; a refusal that is allowed becomes a warning. */
export class Findings {
  readonly all: BuildFinding[] = [];
  readonly #seen = new Set<string>();

  constructor(private readonly allowed: ReadonlySet<string> = new Set()) {}

  report(rule: BuildRuleId, detail: string, symbol?: string): void {
    const { severity, description, hint, isOverridable } = buildRule(rule);
    const key = `${rule} ${symbol} ${detail}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.all.push({
      rule,
      severity: isOverridable && this.allowed.has(rule) ? 'warning' : severity,
      ...(symbol === undefined ? {} : { symbol }),
      message: `${description}: ${detail}`,
      hint,
    });
  }

  get refusals(): readonly BuildFinding[] {
    return this.all.filter(({ severity }) => severity === 'refusal');
  }
}
