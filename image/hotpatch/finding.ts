import type { NtStatus } from '../status.js';
import { type HotPatchRuleId, hotPatchRule, type Severity } from './rules.js';

/** One rule that an image does not keep. */
export interface Finding {
  /** Stable name of the rule. */
  readonly rule: HotPatchRuleId;
  /** Whether it cannot be applied so. */
  readonly severity: Severity;
  /** Structure and index, e.g. `hotpatch table, base 0, chunk 2, record 5`. */
  readonly place: string;
  /** What is returned for it. */
  readonly status: NtStatus;
  /** What is wrong, with the values found. */
  readonly message: string;
  /** The location that a record modifies. */
  readonly rva?: number;
}

export function finding(rule: HotPatchRuleId, place: string, detail: string, rva?: number): Finding {
  const { status, severity, description } = hotPatchRule(rule);
  return {
    rule,
    severity,
    place,
    status,
    message: `${description}: ${detail}`,
    ...(rva === undefined ? {} : { rva }),
  };
}
