export { DEFAULT_QUEUE, type QueueAddress, queueAddress, shownAddress } from './address.js';
export { type QueueRunOptions, runQueued } from './coordinate.js';
export type { UnitJob } from './job.js';
export { type WorkOptions, workOn } from './work.js';
