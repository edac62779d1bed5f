export * from './arm64.js';
export * from './function-table.js';
export * from './x64.js';
