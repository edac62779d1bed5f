export { assembleKernel, type KernelParts } from './assemble.js';
export { type BootDecisions, type BootOptions, hotPatchingEnabled } from './boot.js';
export { BOOT_OPTIONS } from './options.js';
export type { BootSeams, KernelRequest } from './seams.js';
export { WINDOWS_BUILDS, type WindowsBuild } from './windows-build.js';
