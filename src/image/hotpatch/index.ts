export * from './encode.js';
export * from './format.js';
export {
  hotPatchTableBytes,
  type ReadHotPatchOptions,
  readHotPatchTable,
  readImageHotPatchTable,
} from './read.js';
export * from './rules.js';
