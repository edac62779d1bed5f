/**
 * hotpatch-lab: a laboratory for Windows hotpatching. Scenarios use `Lab` and `defineScenario`; the rooms below are
 * exported for those who want to go deeper.
 */
export { CpuError, formatAddress, UnicornMissing } from '../cpu/index.js';
export * from '../engine/index.js';
export { ImageError, readImage } from '../image/index.js';
export * from '../loader/index.js';
export {
  type DeviceAnswer,
  DeviceHandle,
  DeviceOpenError,
  type DeviceRequest,
  type OpenDeviceOptions,
} from './device-handle.js';
export { isLabError, type LabError, type LabErrorFacts, type Rule } from './error.js';
export { createExpect, type Expect, ExpectationFailed, type Matchers } from './expect.js';
export { type FileSource, Lab, type LabOptions } from './lab.js';
export type { Place } from './place.js';
export {
  currentScenarioRun,
  defineScenario,
  runScenario,
  type Scenario,
  type ScenarioContext,
  type ScenarioResult,
  type ScenarioRunOptions,
} from './scenario.js';
