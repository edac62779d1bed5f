/**
 * Images and their symbols. Everything but {@link findSymbols} and {@link readNamedFile} is in `portable.ts`, which browsers get: it needs nothing of
 * Node.
 *
 * @module
 */

export { readNamedFile } from './named-file.js';
export * from './portable.js';
export { findAllSymbols, findSymbols } from './symbols/find-symbols.js';
