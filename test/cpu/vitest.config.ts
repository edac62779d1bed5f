import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';
import base from '../../vitest.config.js';

/** The tests of processors again, with instructions counted one by one, as where the host permits no machine code. */
export default defineConfig({
  ...base,
  root: fileURLToPath(new URL('../../', import.meta.url)),
  test: {
    ...base.test,
    include: ['test/cpu/conformance/**/*.test.ts', 'test/cpu/{machine,robustness,snapshot,wow64}.test.ts'],
    exclude: [...configDefaults.exclude, 'test/cpu/conformance/counting.test.ts'],
    env: { HOTPATCH_COUNTING: 'instructions' },
  },
});
