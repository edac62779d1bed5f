export { type BuildHow, type CompileStep, readCompileCommands } from './build-command.js';
export { cacheFolder } from './cache.js';
export { MakeError, type MakeErrorDetails, type MakeRule } from './error.js';
export type { FirstChange, ShownInstruction } from './first-change.js';
export type { Linked } from './link.js';
export { makeBase, makeHotPatch } from './make.js';
export { isProjectName, newProject, type ProjectKind } from './new-project.js';
export { applyHunks, type FilePatch, type Hunk, parsePatch } from './patch-file.js';
export {
  MAKE_STAGES,
  type MadeBase,
  type MadeHotPatch,
  type MakeInput,
  type MakeProgress,
  type MakeResult,
  type MakeStage,
  type MarkedObject,
} from './request.js';
export { SingleBuilder, type SingleProgram } from './single.js';
export { findHeaders, type MissingTool, missingForMake } from './toolchain.js';
export { applyPatches, type PatchedFile, type PatchInput } from './tree.js';
export { type WrapperName, wrapper } from './wrapper.js';
