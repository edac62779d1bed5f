export { PatchGuard } from './patch-guard.js';
export { SecureKernel } from './secure-kernel.js';
