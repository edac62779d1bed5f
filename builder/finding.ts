import { type BuildRuleId, buildRule, type Severity } from './rules.js';

/** A rule that two builds, or a hotpatch image and its base, do not keep. */
export interface BuildFinding {
  readonly rule: BuildRuleId;
  readonly severity: Severity;
  /** The function or variable. */
  readonly symbol?: string;
  /** How many places of this symbol break the rule: `message` names the first of them. */
  readonly count: number;
  /** What is wrong, with what was found. */
  readonly message: string;
  readonly hint: string;
}

/** Details that a message spells out; the others are counted. */
const SHOWN_DETAILS = 3;

interface Group {
  readonly rule: BuildRuleId;
  readonly symbol: string | undefined;
  readonly details: Set<string>;
}

/** Collects findings, one for each rule and symbol; a refusal that is allowed becomes a warning. */
export class Findings {
  readonly #groups = new Map<string, Group>();

  constructor(private readonly allowed: ReadonlySet<string> = new Set()) {}

  report(rule: BuildRuleId, detail: string, symbol?: string): void {
    const key = `${rule} ${symbol}`;
    const group = this.#groups.get(key) ?? { rule, symbol, details: new Set() };
    group.details.add(detail);
    this.#groups.set(key, group);
  }

  /** Refusals first, then grouped by rule in the order in which the rules were broken. */
  get all(): readonly BuildFinding[] {
    const found = [...this.#groups.values()].map((group) => this.#finding(group));
    const rules = [...new Set(found.map(({ rule }) => rule))];
    const byRule = rules.flatMap((rule) => found.filter((finding) => finding.rule === rule));
    return [
      ...byRule.filter(({ severity }) => severity === 'refusal'),
      ...byRule.filter(({ severity }) => severity === 'warning'),
    ];
  }

  get refusals(): readonly BuildFinding[] {
    return this.all.filter(({ severity }) => severity === 'refusal');
  }

  #finding({ rule, symbol, details }: Group): BuildFinding {
    const { severity, description, hint, isOverridable } = buildRule(rule);
    const shown = [...details].slice(0, SHOWN_DETAILS).join('; ');
    const more = details.size > SHOWN_DETAILS ? `; and ${details.size - SHOWN_DETAILS} more` : '';
    return {
      rule,
      severity: isOverridable && this.allowed.has(rule) ? 'warning' : severity,
      ...(symbol === undefined ? {} : { symbol }),
      count: details.size,
      message: `${description}: ${shown}${more}`,
      hint,
    };
  }
}
