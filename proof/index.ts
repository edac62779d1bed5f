// Symbol.dispose is defined before any class uses it.
import '../cpu/index.js';

export {
  compareBehaviour,
  type DifferentialArgument,
  type DifferentialBuffer,
  type DifferentialCall,
  type DifferentialInput,
  type DifferentialReport,
  type Disagreement,
} from './differential.js';
export type {
  Exploration,
  ExplorationCheckpoint,
  ExploreOptions,
  Outcomes,
  Progress,
  Reduction,
  Violation,
} from './explore/exploration.js';
export {
  formatLanes,
  formatSchedule,
  parseAction,
  parseActions,
  type ScheduleDocument,
  scheduleDocument,
} from './explore/format-schedule.js';
export type { LimitOptions } from './explore/limits.js';
export { type Broken, PROPERTIES, type PropertyName } from './explore/properties.js';
export {
  Replay,
  type ReplayOptions,
  type ReplayOutcome,
  replay,
} from './explore/replay.js';
export { ReplayDivergence } from './explore/replay-memory.js';
export type { Action, Schedule, ScheduledAction } from './explore/schedule.js';
export { explore } from './explore.js';
export * from './faults/index.js';
export * from './hooks/index.js';
export {
  type ImageArgument,
  type ImageCall,
  type ImageOperation,
  type ImageSubjectOptions,
  imageOperations,
  type NamedImage,
} from './image-subject.js';
export { type Cell, catchControl, exploreCell, MATRIX, PLACES_MATRIX } from './matrix.js';
export {
  arm64Rendezvous,
  oneStore,
  PROTOCOLS,
  protocolNamed,
  type WriteProtocol,
  windows,
  windowsCurrent,
  windowsEarlier,
  windowsRetpoline,
} from './protocols/index.js';
export type { BreakpointHandler } from './protocols/write-protocol.js';
export {
  type PlacedRange,
  type ProtocolStep,
  type Range,
  type Recording,
  type Redirection,
  record,
  type StoreProtocolStep,
} from './recording.js';
export type { Draft, DraftFile } from './refusals/damage.js';
export * from './refusals/index.js';
export { type ScenarioOperation, scenarioOperations } from './scenario-subject.js';
export { type OperationSchedule, scheduleScenario } from './schedule-scenario.js';
export {
  type PartialStep,
  type ProcessStepKind,
  Sequence,
  type SequenceImages,
  type SystemStep,
  sequenceImages,
} from './sequences.js';
export * from './shapes/index.js';
export type {
  ExpectedResults,
  HpatForm,
  Mixture,
  OperationKind,
  Subject,
  SubjectCall,
  SubjectOptions,
  SubjectSource,
} from './subject.js';
