export { ExportTable, type PlacedExport } from './export-table.js';
export { memoryExports } from './memory.js';
export { kernelModules, simulatedModules, userModules } from './modules.js';
export { defineExport } from './simulated-export.js';
