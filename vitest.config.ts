import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const source = (path: string) => fileURLToPath(new URL(`./${path}`, import.meta.url));

export default defineConfig({
  resolve: {
    alias: [
      { find: /^hotpatch-lab$/, replacement: source('lab/index.ts') },
      { find: /^hotpatch-lab\/vitest$/, replacement: source('lab/vitest.ts') },
      { find: /^hotpatch-lab\/([a-z]+)$/, replacement: source('$1/index.ts') },
    ],
  },
  test: { include: ['test/**/*.test.ts'], pool: 'forks', testTimeout: 60_000, hookTimeout: 60_000 },
});
