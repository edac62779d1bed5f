import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';
import base, { LONG, SHARED } from '../vitest.config.js';

/** What takes long, of what others test in small. */
export default defineConfig({
  ...base,
  root: fileURLToPath(new URL('../', import.meta.url)),
  test: {
    ...base.test,
    include: [...LONG, ...SHARED],
    exclude: [...configDefaults.exclude],
    isolate: true,
    env: { HOTPATCH_TESTS: 'all' },
  },
});
