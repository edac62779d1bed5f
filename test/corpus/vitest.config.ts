import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import base from '../../vitest.config.js';

/** The whole corpus: with zlib, whose sources are fetched when it runs, and with five times as many generated inputs. */
export default defineConfig({
  ...base,
  root: fileURLToPath(new URL('../../', import.meta.url)),
  test: {
    ...base.test,
    include: ['test/corpus/**/*.{test,corpus}.ts'],
    env: { HOTPATCH_CORPUS_INPUTS: '2000' },
    testTimeout: 300_000,
    hookTimeout: 600_000,
  },
});
