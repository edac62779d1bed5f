import { CampaignError } from '../error.js';
import { differential } from './differential.js';
import { explore } from './explore.js';
import { fuzz } from './fuzz.js';
import type { Kind } from './kind.js';
import { knownPatches } from './known-patches.js';
import { sequences } from './sequences.js';

export type { FileIntake, Kind, UnitContext } from './kind.js';

/** Every kind of work, by the name that plans call it. */
export const KINDS: Readonly<Record<string, Kind>> = {
  differential,
  explore,
  fuzz,
  'known-patches': knownPatches,
  sequences,
};

/** @throws CampaignError `plan.value` */
export function kindNamed(name: string, place?: string): Kind {
  const kind = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
  if (kind !== undefined) return kind;
  throw new CampaignError('plan.value', `there is no kind of work '${name}'`, {
    ...(place === undefined ? {} : { place }),
    hint: `the kinds are ${Object.keys(KINDS).join(', ')}`,
  });
}
