export { type AssembledPatch, type AssemblyProgram, assembleImage, assemblePatch } from './assembly.js';
export { type BuildInput, type BuiltHotPatch, buildHotPatch } from './build.js';
export { type Comparison, compare, type FunctionComparison, type Verdict } from './compare.js';
export { BuildError } from './error.js';
export type { BuildFinding } from './finding.js';
export { type BuildSource, type CodeFunction, Program, type Variable } from './program.js';
export type { FunctionReport } from './report.js';
export { BUILD_RULES, type BuildRule, type BuildRuleId, isBuildRule, type Severity } from './rules.js';
export { type Verification, type VerifyInput, verifyHotPatch } from './verify.js';
