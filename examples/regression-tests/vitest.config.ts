import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Adds toExecuteBase, toExecutePatch, toHaveResult and toHaveOriginalBytes to every test.
    setupFiles: ['hotpatch-lab/vitest'],
    pool: 'forks',
    testTimeout: 30_000,
  },
});
