export {
  type DiskOperation,
  FileSection,
  FileSystem,
  OpenFile,
  type OpenOptions,
  type Registry,
} from './file-system.js';
export type { PendingRename } from './pending.js';
export {
  ATTRIBUTE,
  ConsoleFile,
  FILE_ERROR,
  FileNode,
  FindFile,
  fullPath,
  matchesPattern,
  type NodeState,
  Volume,
  VolumeError,
  VolumeFile,
  type VolumeState,
} from './volume.js';
