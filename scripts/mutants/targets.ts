/** Files whose lines are changed, and the test files that must notice, those that notice most in least time first. */
export interface Target {
  readonly name: string;
  readonly files: readonly string[];
  readonly tests: readonly string[];
}

const engine: Target = {
  name: 'engine',
  files: [
    'apply',
    'apply-image',
    'callout',
    'engine',
    'forms',
    'image-record',
    'in-use',
    'journal',
    'manage-hot-patch',
    'manage-requests',
    'patch',
    'plan',
    'plan-value',
    'revert',
    'sequence',
    'trampoline',
    'trampoline-arm64',
    'trampoline-x86',
    'transaction',
    'undo-table',
  ]
    .map((name) => `src/engine/${name}.ts`)
    .concat(['src/loader/hpat.ts', 'src/loader/image-writer.ts']),
  tests: [
    'test/engine',
    'test/proof/refusals.test.ts',
    'test/proof/findings.test.ts',
    'test/proof/replay.test.ts',
    'test/proof/properties.test.ts',
    'test/proof/faults.test.ts',
  ],
};

/** The paths by which bytes of memory change, and by which processors come to see it. */
const cpu: Target = {
  name: 'cpu',
  files: [
    'machine',
    'instruction-fetch',
    'physical-memory',
    'page-table',
    'address-space',
    'snapshot',
    'serialising',
    'unicorn/engine',
    'unicorn/callbacks',
  ].map((name) => `src/cpu/${name}.ts`),
  tests: ['test/cpu', 'test/engine/apply.test.ts', 'test/proof/replay.test.ts'],
};

export const TARGETS: readonly Target[] = [engine, cpu];
