import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';
import base, { WHOLE } from '../vitest.config.js';

/** What builds or runs everything again: the pages of the documentation, every scenario in processes of its own. */
export default defineConfig({
  ...base,
  root: fileURLToPath(new URL('../', import.meta.url)),
  test: { ...base.test, include: [...WHOLE], exclude: [...configDefaults.exclude], testTimeout: 600_000 },
});
