export { HandleTable, isCurrentProcess } from './handles.js';
export { EventObject, FileObject, MutexObject, SectionObject, SemaphoreObject } from './objects.js';
export type { SessionOwner } from './owners.js';
export { Process, processOf } from './process.js';
export { type ProcessOptions, ProcessTable } from './process-table.js';
export { Session } from './session.js';
