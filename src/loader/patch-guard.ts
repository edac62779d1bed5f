import type { Kernel } from './kernel.js';

export class PatchGuard {
  constructor(readonly kernel: Kernel) {}
}
