import type { Comparison } from './compare.js';
import type { Findings } from './finding.js';
import type { Reach } from './reach.js';
import type { RecordSet } from './records.js';

/** What the checks look at: two builds, how they differ, and the records that shall tie them together. */
export interface Examination {
  readonly comparison: Comparison;
  readonly records: RecordSet;
  readonly reach: Reach;
  readonly findings: Findings;
  /** Bytes reserved for the HPAT behind each image. */
  readonly reserveSize: number;
  /** Do names tell what is what? Without them only the records and what they touch can be judged. */
  readonly hasSymbols: boolean;
}
