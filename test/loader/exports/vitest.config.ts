import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';
import base, { EXPORT_SWEEP } from '../../../vitest.config.js';

/** Every simulated export with bad arguments of every sort, in every world. */
export default defineConfig({
  ...base,
  root: fileURLToPath(new URL('../../../', import.meta.url)),
  test: {
    ...base.test,
    include: [EXPORT_SWEEP],
    exclude: [...configDefaults.exclude],
    testTimeout: 1_200_000,
  },
});
