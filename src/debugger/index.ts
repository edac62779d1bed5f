export { debugCommands, parseCommand } from './commands/index.js';
export { DebugError } from './error.js';
export { comparePositions, formatPosition, type Position, parsePosition } from './position.js';
export { Prompt, type Terminal } from './prompt.js';
export { runDebugScript, type ScriptOptions } from './script.js';
export { DebugSession, type FrontEnd } from './session.js';
export type { Goal, Stop, StopReason } from './stop.js';
export { View } from './view.js';
