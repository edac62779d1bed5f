import * as v from 'valibot';
import { CampaignError } from './error.js';
import { type FileIntake, kindNamed } from './kinds/index.js';
import { canonicalJson, type Json, sha256, type Unit, unitId } from './unit.js';

/** What a campaign is to do. `work` has one entry for each kind of work; docs/campaigns.md says what each takes. */
export interface Plan {
  readonly name: string;
  readonly work: readonly { readonly kind: string; readonly [name: string]: unknown }[];
}

const planSchema = v.strictObject({
  name: v.pipe(
    v.string(),
    v.regex(/^[\w][\w .-]{0,99}$/, 'a name is letters, digits, spaces, dots and dashes'),
  ),
  work: v.pipe(v.array(v.looseObject({ kind: v.string() })), v.minLength(1, 'a plan has work')),
});

/** @throws CampaignError `plan.value` */
export function readPlan(value: unknown): Plan {
  const parsed = v.safeParse(planSchema, value);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const place = v.getDotPath(issue);
  throw new CampaignError('plan.value', issue.message, place === null ? {} : { place });
}

/** A unit with its name and its place in the plan. */
export interface PlannedUnit {
  readonly id: string;
  readonly position: number;
  readonly unit: Unit;
}

/**
 * The units of a plan, in its order; each once, also where the plan says it twice. The files that it names are taken in.
 * @throws CampaignError `plan.value`, `plan.file`
 */
export function* unitsOf(plan: Plan, files: FileIntake): Generator<PlannedUnit> {
  const seen = new Set<string>();
  for (const [index, work] of plan.work.entries()) {
    const place = `work[${index}]`;
    for (const unit of kindNamed(work.kind, `${place}.kind`).cut(work, place, files)) {
      const id = unitId(unit);
      if (seen.has(id)) continue;
      yield { id, position: seen.size, unit };
      seen.add(id);
    }
  }
}

/** 16 hexadecimal digits that name a plan by what it says. */
export function planId(plan: Plan): string {
  return sha256(canonicalJson(plan as unknown as Json)).slice(0, 16);
}
