export { type DiskOperation, FileSection, FileSystem, OpenFile, type OpenOptions } from './file-system.js';
