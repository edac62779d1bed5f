export { assertAddress } from './address.js';
export {
  ADDRESS,
  ANY,
  anyOf,
  assertArgument,
  assertOwn,
  BYTES,
  CODE,
  FLAG,
  FUNCTION,
  instanceOf,
  listOf,
  type MachinePart,
  NUMBER,
  OBJECT,
  type OptionTable,
  optional,
  optionsOf,
  SIZE,
  shapeOf,
  shown,
  TEXT,
  VALUE,
  type Wanted,
  WHOLE,
  whole,
  wordOf,
} from './arguments.js';
export {
  ATTEMPTED_SWITCH_FROM_DPC,
  ATTEMPTED_WRITE_TO_READONLY_MEMORY,
  BAD_POOL_CALLER,
  BugCheck,
  CRITICAL_STRUCTURE_CORRUPTION,
  DRIVER_IRQL_NOT_LESS_OR_EQUAL,
  HYPERGUARD_VIOLATION,
  KERNEL_SECURITY_CHECK_FAILURE,
  KMODE_EXCEPTION_NOT_HANDLED,
  MAXIMUM_WAIT_OBJECTS_EXCEEDED,
  MEMORY_MANAGEMENT,
  PAGE_FAULT_IN_NONPAGED_AREA,
  SYSTEM_THREAD_EXCEPTION_NOT_HANDLED,
} from './bug-check.js';
export { BugCheckState } from './bug-check-state.js';
export { asInt } from './c-int.js';
export { KernelError, type KernelErrorDetails, processTerminated } from './error.js';
export {
  EventLog,
  type LabEvent,
  type LabEventFacts,
  type LabEventKind,
  type LabEventOf,
  type NoFacts,
  type PlainEventKind,
} from './events.js';
export { IRQL, irqlName } from './irql.js';
export { BOOT_TIME, SECOND, UNIX_EPOCH } from './lab-time.js';
export { nearest } from './nearest.js';
export { SeededRandom } from './random.js';
export type { KernelRule } from './rules.js';
export { INSPECT, printed } from './short.js';
export { formatBytes, hex } from './text.js';
export { type Blocked, blocked, isBlocked, STATUS_TIMEOUT } from './wait.js';
