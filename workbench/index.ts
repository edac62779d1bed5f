export { WorkbenchError } from './error.js';
export type { RunLimits } from './limits.js';
export type { BuildOutcome, Mark, Program, SourcePair } from './protocol.js';
export { startWorkbench, type Workbench, type WorkbenchOptions } from './server.js';
