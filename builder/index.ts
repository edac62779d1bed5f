export { type AssembledPatch, type AssemblyProgram, assembleImage, assemblePatch } from './assembly.js';
export {
  attemptHotPatch,
  type BuildInput,
  type BuiltHotPatch,
  buildHotPatch,
  type HotPatchAttempt,
} from './build.js';
export { type Comparison, compare, type FunctionComparison, type Verdict } from './compare.js';
export { BuildError } from './error.js';
export type { BuildFinding } from './finding.js';
export * from './make/index.js';
export type { BuildReport, PatchedFunction } from './outcome.js';
export { type BuildSource, type CodeFunction, Program, type Variable } from './program.js';
export type { FunctionReport } from './report.js';
export {
  BUILD_RULES,
  type BuildRule,
  type BuildRuleId,
  buildRule,
  isBuildRule,
  type Severity,
} from './rules.js';
export * from './server-2003/index.js';
export type { Suggestion } from './suggest.js';
export type { VariableReport } from './variables.js';
export { type Verification, type VerifyInput, verifyHotPatch } from './verify.js';
