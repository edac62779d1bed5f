// Symbol.dispose is defined before any class uses it.
import '../cpu/index.js';

export type { Breakpoint, BreakpointKind, Breakpoints, NewBreakpoint } from './breakpoint.js';
export { BlockingEnd, type ChannelEnds, WakingEnd } from './channel.js';
export type { CommandContext, CommandResult, DebugCommand, Walk } from './command.js';
export { debugCommands, parseCommand } from './commands/index.js';
export * from './dap/index.js';
export * from './dump/index.js';
export { DebugError } from './error.js';
export * from './export/index.js';
export { symbolEnd } from './functions.js';
export * from './gdb/index.js';
export type { GdbRegister } from './gdb/target-description.js';
export { describeHop } from './hops.js';
export type { LineStep } from './line-step.js';
export { type LiveCall, LiveMachine, type LiveMachineOptions, type LiveResult } from './live-machine.js';
export { comparePositions, formatPosition, type Position, parsePosition } from './position.js';
export { Prompt, type Terminal } from './prompt.js';
export { RemoteTerminal, type TerminalInput, type TerminalOutput } from './remote-terminal.js';
export type { DebugRun, RunOwner } from './run.js';
export { runDebugScript, type ScriptOptions } from './script.js';
export { DebugSession, type FrontEnd } from './session.js';
export type { SourceFiles, SourceText } from './source.js';
export type { CallSearch, Goal, Stop, StopReason } from './stop.js';
export { ThreadView } from './thread-view.js';
export { View } from './view.js';
