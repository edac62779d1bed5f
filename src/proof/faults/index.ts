export { type FaultKind, type FaultPoint, type FaultResult, faultCampaign, statusOf } from './campaign.js';
export {
  createSituation,
  type FaultyOperation,
  type ImagePlace,
  RESULTS,
  type Situation,
  type SituationKind,
} from './situations.js';
export { type SystemState, sameState, systemState } from './system-state.js';
