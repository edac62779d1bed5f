export { type FaultPoint, type FaultResult, faultCampaign, type StateAfterFault } from './campaign.js';
export { FAULTS, FaultInjector, type FaultKind, STATUS_OF_FAULT } from './injections.js';
export {
  createSituation,
  type FaultyOperation,
  type ImagePlace,
  RESULTS,
  type Situation,
  type SituationKind,
} from './situations.js';
export { differences, type SystemState, sameState, systemState } from './system-state.js';
