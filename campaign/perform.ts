import { UnicornMissing } from '../cpu/index.js';
import { CampaignError } from './error.js';
import { kindNamed, type UnitContext } from './kinds/index.js';
import { FileFolder } from './store/files.js';
import { type Outcome, Tally, type Unit } from './unit.js';

/**
 * Does one unit in this process.
 * @param folder where its files are, by hash; a unit without files needs none
 * @returns what came of it; an error that it threw is a finding
 * @throws CampaignError, UnicornMissing when this machine lacks what it needs
 */
export async function performUnit(unit: Unit, folder?: string): Promise<Outcome> {
  const files = new FileFolder(folder ?? '.');
  const context: UnitContext = { read: (file) => files.read(file), path: (file) => files.path(file) };
  try {
    return await kindNamed(unit.kind).perform(unit, context);
  } catch (error) {
    if (error instanceof CampaignError || error instanceof UnicornMissing) throw error;
    const tally = new Tally();
    tally.count('threw');
    tally.find(
      'unit.threw',
      error instanceof Error ? `${error.name}: ${error.message}` : String(error),
      unit,
    );
    return tally.outcome;
  }
}
