export { ExportTable, type MissingImport } from './export-table.js';
export { kernelModules, secureModules, simulatedModules, userModules } from './modules.js';
export { defineExport, type Values } from './simulated-export.js';
