export * from './arm64.js';
export {
  FUNCTION_TABLE_ENTRY_SIZE,
  type FunctionTableEntry,
  type FunctionTableEntryArm64,
  type FunctionTableEntryX64,
  isX64Entry,
} from './function-table.js';
export * from './x64.js';
