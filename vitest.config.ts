import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';

const source = (path: string) => fileURLToPath(new URL(`./${path}`, import.meta.url));

/** Every export with bad arguments of every sort: minutes for each architecture, `npm run sweep:exports`. */
export const EXPORT_SWEEP = 'test/loader/exports/sweep.test.ts';

/** Tests that only build or run everything again: `npm run test:whole`. */
export const WHOLE: readonly string[] = [
  'test/docs/docs.test.ts',
  'test/documented.test.ts',
  'test/exported-types.test.ts',
  'test/proof/determinism.test.ts',
];

/** Tests that take long, of what others test in small: `npm run test:long`. */
export const LONG: readonly string[] = [
  'test/builder/make/make.test.ts',
  'test/builder/references.test.ts',
  'test/campaign/differential.test.ts',
  'test/campaign/queue.test.ts',
  'test/cli/build-with-pdb.test.ts',
  'test/cli/interruption.test.ts',
  'test/cli/isolate.test.ts',
  'test/cli/scenario-modules.test.ts',
  'test/cli/streams.test.ts',
  'test/cli/verify-calls.test.ts',
  'test/cli/table/processes.test.ts',
  'test/cli/table/successes.test.ts',
  'test/corpus/fixes/fixes.test.ts',
  'test/corpus/refused/2003/sources.test.ts',
  'test/corpus/refused/sources.test.ts',
  'test/debugger/dap.test.ts',
  'test/debugger/gdb.test.ts',
  'test/debugger/live.test.ts',
  'test/debugger/step-command.test.ts',
  'test/engine/apply-image-faults.test.ts',
  'test/engine/processes.test.ts',
  'test/engine/server-2003/conformance.test.ts',
  'test/engine/server-2003/disk-refusals.test.ts',
  'test/engine/server-2003/sequences.test.ts',
  'test/engine/server-2003/thread-steps.test.ts',
  'test/engine/windows-build.test.ts',
  'test/lab/memory.test.ts',
  'test/proof/composition.test.ts',
  'test/proof/equivalence.test.ts',
  'test/proof/explore-2003.test.ts',
  'test/proof/hooks.test.ts',
  'test/proof/protocols.test.ts',
  'test/proof/replay.test.ts',
  'test/proof/shapes.test.ts',
  'test/viewer/page.test.ts',
  'test/workbench/workbench.test.ts',
];

/** Of which `npm test` takes a share (test/share.ts), and `npm run test:long` all. */
export const SHARED: readonly string[] = [
  'test/engine/table.test.ts',
  'test/image/fuzz.test.ts',
  'test/image/symbols/fuzz.test.ts',
];

export default defineConfig({
  resolve: {
    alias: [
      { find: /^hotpatch-lab$/, replacement: source('lab/index.ts') },
      { find: /^hotpatch-lab\/assert$/, replacement: source('lab/assert.ts') },
      { find: /^hotpatch-lab\/vitest$/, replacement: source('lab/vitest.ts') },
      { find: /^hotpatch-lab\/([a-z]+)$/, replacement: source('$1/index.ts') },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...WHOLE, ...LONG, EXPORT_SWEEP],
    globalSetup: ['test/test-folder.ts'],
    pool: 'forks',
    // What files import is loaded once for each worker: a quarter of all time otherwise.
    isolate: false,
    maxWorkers: '100%',
    expect: { requireAssertions: true },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
