export { type InlinedRange, inlinedRanges } from './inline-sites.js';
export type { InlineeSource, LineContribution, LineEntry } from './line-blocks.js';
export { type CodeLine, type LineTable, lineTable, type SourceFrame, type SourceLine } from './line-table.js';
export { type ModuleLines, NO_LINES, readModuleLines } from './module-lines.js';
export { type SourceFile, StringTable } from './source-files.js';
