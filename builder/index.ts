// Symbol.dispose is defined before any class uses it.
import '../cpu/index.js';

export { type AssembledPatch, type AssemblyProgram, assembleImage, assemblePatch } from './assembly.js';
export {
  attemptHotPatch,
  type BuildInput,
  type BuiltHotPatch,
  buildHotPatch,
  type HotPatchAttempt,
} from './build.js';
export type { CodeInstruction, CodeStream, Reference } from './code-stream.js';
export {
  type CompareOptions,
  type Comparison,
  compare,
  type FunctionComparison,
  type VariableComparison,
  type Verdict,
} from './compare.js';
export { BuildError } from './error.js';
export type { BuildFinding } from './finding.js';
export * from './make/index.js';
export type { PatchedText } from './make/patch-file.js';
export type { Environment } from './make/toolchain.js';
export type { ApplyOptions } from './make/tree.js';
export type { Matching, NamedPair } from './match.js';
export type { BuildReport, PatchedFunction } from './outcome.js';
export type { Pairs } from './pairs.js';
export type { Contribution } from './pdb-facts.js';
export {
  type BuildSource,
  type CodeFunction,
  type Named,
  type Place,
  Program,
  type Variable,
} from './program.js';
export type { FunctionReport } from './report.js';
export {
  BUILD_RULES,
  type BuildRule,
  type BuildRuleId,
  buildRule,
  isBuildRule,
  type RuleData,
  type Severity,
} from './rules.js';
export * from './server-2003/index.js';
export type { Suggestion } from './suggest.js';
export type { VariableReport } from './variables.js';
export { type Verification, type VerifyInput, verifyHotPatch } from './verify.js';
