import type { Examination } from '../examination.js';
import { checkConventions } from './convention.js';
import { checkEnumerators, checkSharedData, checkTypes } from './data.js';
import { checkExportTargets } from './export-targets.js';
import { checkExports } from './exports.js';
import { checkCoverage, checkEntries, checkSignatures } from './functions.js';
import { checkIdentity, checkLabels } from './identity.js';
import { checkPair, checkSymbols } from './images.js';
import { checkLifetime } from './lifetime.js';
import { checkEscapes, checkGlobals, checkReferences } from './reach.js';
import { checkAbsolute, checkCallTargets, checkFunctionRecords, checkIndirect } from './records.js';
import { checkNewVariables, checkOptimised } from './variables.js';
import { checkVirtualTables } from './virtual-tables.js';

export { checkFixedImage } from './images.js';

/** Every check that base, patch and table can be put to, in the order in which their findings are told. */
export function examine(examination: Examination): void {
  const { comparison, findings, hasSymbols } = examination;
  const { base, fixed } = comparison;
  checkPair(base.image, fixed.image, findings);
  checkExports(base.image, fixed.image, findings);
  checkEntries(examination);
  if (hasSymbols) {
    checkSymbols(base, fixed, findings);
    checkExportTargets(comparison, findings);
    checkLifetime(examination);
    checkNewVariables(examination);
    checkOptimised(examination);
    checkSignatures(examination);
    checkConventions(examination);
    checkCoverage(examination);
    checkGlobals(examination);
    checkReferences(examination);
    checkIdentity(examination);
    checkLabels(examination);
    checkSharedData(examination);
    checkTypes(examination);
    checkEnumerators(examination);
    checkVirtualTables(examination);
    checkFunctionRecords(examination);
  }
  checkAbsolute(examination);
  checkIndirect(examination);
  checkCallTargets(examination);
  if (hasSymbols) checkEscapes(examination);
}
