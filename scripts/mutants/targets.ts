/** Files whose lines are changed, and the test files that must notice, those that notice most in least time first. */
export interface Target {
  readonly name: string;
  /** A folder stands for the TypeScript files in it that are named nowhere else here. */
  readonly files: readonly string[];
  /** Lists of exports, types, and what errors look like. */
  readonly withoutFiles: readonly string[];
  readonly tests: readonly string[];
  /** Test files that are run as a whole with mutants of code that runs when a module is loaded. */
  readonly whole: readonly string[];
}

const engine: Target = {
  name: 'engine',
  files: ['engine', 'loader/images/hpat.ts', 'loader/memory/image-writer.ts'],
  withoutFiles: ['application', 'error', 'index', 'options', 'steps'].map((name) => `engine/${name}.ts`),
  tests: [
    'test/engine',
    'test/loader/hpat.test.ts',
    'test/proof/refusals.test.ts',
    'test/proof/findings.test.ts',
    'test/engine/table.test.ts',
    'test/engine/conformance.test.ts',
    'test/proof/faults.test.ts',
    'test/proof/properties.test.ts',
    'test/proof/replay.test.ts',
    'test/proof/explore-command.test.ts',
    'test/scenarios/scenarios.test.ts',
    'test/engine/apply-image-faults.test.ts',
  ],
  whole: ['test/engine/apply.test.ts', 'test/engine/table.test.ts', 'test/engine/guest-requests.test.ts'],
};

const engine2003: Target = {
  name: 'engine-2003',
  files: ['engine/server-2003'],
  withoutFiles: ['index', 'options'].map((name) => `engine/server-2003/${name}.ts`),
  tests: [
    'test/engine/server-2003',
    'test/scenarios/scenarios.test.ts',
    'test/engine/server-2003/conformance.test.ts',
    'test/proof/explore-2003.test.ts',
  ],
  whole: ['apply', 'set-system-information', 'code-information'].map(
    (name) => `test/engine/server-2003/${name}.test.ts`,
  ),
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
  ].map((name) => `cpu/${name}.ts`),
  withoutFiles: [],
  tests: [
    'test/cpu/page-table.test.ts',
    'test/cpu/physical-memory.test.ts',
    'test/cpu/address-space.test.ts',
    'test/cpu/snapshot.test.ts',
    'test/cpu/serialising.test.ts',
    'test/cpu/engine.test.ts',
    'test/cpu/machine.test.ts',
    'test/cpu/instruction-fetch.test.ts',
    'test/cpu/conformance',
    'test/cpu/hostile-arguments.test.ts',
    'test/cpu/robustness.test.ts',
    'test/cpu/wow64.test.ts',
    'test/engine/apply.test.ts',
    'test/proof/replay.test.ts',
  ],
  whole: [
    'test/cpu/address-space.test.ts',
    'test/cpu/engine.test.ts',
    'test/cpu/instruction-fetch.test.ts',
    'test/cpu/conformance/calls.test.ts',
    'test/cpu/conformance/faults.test.ts',
  ],
};

export const TARGETS: readonly Target[] = [engine, engine2003, cpu];
