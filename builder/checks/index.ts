import type { Examination } from '../examination.js';
import { checkEnumerators, checkSharedData, checkTypes } from './data.js';
import { checkExports } from './exports.js';
import { checkCoverage, checkEntries, checkSignatures } from './functions.js';
import { checkPair, checkSymbols } from './images.js';
import { checkEscapes, checkGlobals, checkReferences } from './reach.js';
import { checkAbsolute, checkCallTargets, checkFunctionRecords, checkIndirect } from './records.js';
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
    checkSignatures(examination);
    checkCoverage(examination);
    checkGlobals(examination);
    checkReferences(examination);
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
