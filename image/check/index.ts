export { type CheckOptions, type CheckReport, checkImage, type FunctionCheck } from './check.js';
export type { InstructionDecoder } from './code.js';
export { endlessCode, type FlowInstruction } from './endless.js';
export { type CheckSymbols, type FunctionPlace, listFunctions } from './functions.js';
export { CHECK_RULES, type CheckFinding, type CheckRuleId } from './rules.js';
