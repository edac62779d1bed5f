export { type HandleState, HandleTable, isCurrentProcess } from './handles.js';
export {
  type EventHeader,
  EventObject,
  FileObject,
  MutexObject,
  SectionObject,
  SemaphoreObject,
} from './objects.js';
export type { SessionOwner } from './owners.js';
export { changeProcess, type ExceptionHandlers, Process, processOf } from './process.js';
export type { ProcessEnvironment } from './process-environment.js';
export { type ProcessOptions, ProcessTable } from './process-table.js';
export { Session } from './session.js';
