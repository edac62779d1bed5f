export { Coverage, type CoveredBlock } from './coverage.js';
export { eventLine } from './events.js';
export { TenetTrace } from './tenet.js';
