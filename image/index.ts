/**
 * Images and their symbols. Everything but {@link findSymbols} is in `portable.ts`, which browsers get: it needs nothing of
 * Node.
 *
 * @module
 */
export * from './portable.js';
export { findSymbols } from './symbols/find-symbols.js';
