export * from './encode.js';
export * from './extent.js';
export type { Finding } from './finding.js';
export * from './format.js';
export { hotPatchFileName } from './names.js';
export {
  hotPatchTableBytes,
  type ReadHotPatchOptions,
  readHotPatchTable,
  readImageHotPatchTable,
} from './read.js';
export * from './rules.js';
export { findHotPatchBase, validateHotPatch } from './validate.js';
