export { type DiskOperation, FileSection, FileSystem, OpenFile, type OpenOptions } from './file-system.js';
export {
  ATTRIBUTE,
  ConsoleFile,
  FILE_ERROR,
  FileNode,
  FindFile,
  fullPath,
  matchesPattern,
  Volume,
  VolumeError,
  VolumeFile,
} from './volume.js';
