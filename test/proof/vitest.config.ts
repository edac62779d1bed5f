import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';
import base from '../../vitest.config.js';

/** The whole proof: every fault campaign, shape and cell of the matrices, and many more random sequences. */
export default defineConfig({
  ...base,
  root: fileURLToPath(new URL('../../', import.meta.url)),
  test: {
    ...base.test,
    include: ['test/proof/**/*.test.ts'],
    exclude: [...configDefaults.exclude],
    env: { HOTPATCH_PROOF: 'all' },
    testTimeout: 600_000,
  },
});
