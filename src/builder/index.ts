export { type BuildInput, type BuildSource, type BuiltHotPatch, buildHotPatch } from './build.js';
export { BuildError } from './error.js';
