/**
 * Campaigns: thousands of independent pieces of work, done by processes of this machine or by many machines, with their
 * results in one SQLite file.
 *
 * @module
 */
export { CampaignError, type CampaignRule } from './error.js';
export type { FileIntake, Kind, UnitContext } from './kinds/index.js';
export { KINDS } from './kinds/index.js';
export { performUnit } from './perform.js';
export { type Plan, type PlannedUnit, readPlan, unitsOf } from './plan.js';
export { type PoolOptions, WorkerPool, type WorkerProgram } from './pool.js';
export {
  DEFAULT_QUEUE,
  type QueueAddress,
  type QueueRunOptions,
  queueAddress,
  runQueued,
  shownAddress,
  type UnitJob,
  type WorkOptions,
  workOn,
} from './queue/index.js';
export {
  type CampaignReport,
  type CampaignTimings,
  type Count,
  campaignPage,
  reportOn,
  type TestCase,
  testCaseOf,
} from './report/index.js';
export { type CampaignProgress, performApart, type RunOptions, runEmbedded } from './run.js';
export { FileFolder, PlanFiles } from './store/files.js';
export { type Performed, Results, type StoredFinding, type UnitState } from './store/results.js';
export {
  type Cell,
  canonicalJson,
  type FileReference,
  type Finding,
  type FindingInput,
  findingId,
  type Json,
  type Outcome,
  type Unit,
  unitId,
} from './unit.js';
