import { fileURLToPath } from 'node:url';
import { defineConfig, mergeConfig } from 'vitest/config';
import base from '../../vitest.config.js';

/** `npm run corpus`: the corpus with zlib, whose sources are fetched when it runs. */
export default mergeConfig(
  base,
  defineConfig({
    root: fileURLToPath(new URL('../../', import.meta.url)),
    test: { include: ['test/corpus/**/*.corpus.ts'], testTimeout: 300_000, hookTimeout: 600_000 },
  }),
);
