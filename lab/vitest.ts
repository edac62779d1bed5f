/**
 * Matchers for tests of hotpatches with vitest. Import it once, in a set-up file or in the test:
 *
 * ```ts
 * import 'hotpatch-lab/vitest';
 *
 * const thread = lab.startThread(driver.symbol('HandleRequest'), [packet, 2]);
 * expect(thread).toExecutePatch('ReceivePacket');
 * expect(thread).toHaveResult('STATUS_INVALID_PARAMETER');
 * expect(driver).toHaveOriginalBytes();
 * ```
 *
 * `toExecuteBase`, `toExecutePatch` and `toHaveResult` run the thread to its end, the first of them that is asked. Each
 * execution is watched from there on: a thread that was stopped inside an old function finishes in it.
 *
 * @module
 */
import { test as base, expect } from 'vitest';
import { Lab, type LabOptions } from './lab.js';
import { type ExpectedReturn, executes, toHaveOriginalBytes, toHaveResult } from './thread-matchers.js';

export type { ExpectedReturn, MatcherResult } from './thread-matchers.js';

/** The matchers that hotpatch-lab adds, as chai's `Assertion` takes them: vitest 4 and 5 both build theirs on it. */
export interface HotPatchMatchers {
  /**
   * The thread executes code of the function in its base image: one that is not patched, or that it was inside of.
   * @param fn name of the function, `ReceivePacket` or `packets!ReceivePacket`
   */
  toExecuteBase(fn: string): void;
  /**
   * The thread executes code of the function in a patch image.
   * @param fn name of the function in the base, `ReceivePacket` or `packets!ReceivePacket`
   */
  toExecutePatch(fn: string): void;
  /**
   * The thread's function returns this. A number is compared with the result as a 32-bit integer, a bigint with the whole
   * register, a name such as `STATUS_SUCCESS` with the NTSTATUS. Without a value: it returns at all.
   */
  toHaveResult(expected?: ExpectedReturn): void;
  /** Every byte of the image's code is the one that it was loaded with: never patched, or rolled back. */
  toHaveOriginalBytes(): void;
}

/** The matchers as `expect.extend` takes them; importing this module has done that. */
export const vitestMatchers = {
  toExecuteBase: (subject: unknown, fn: string) => executes(subject, fn, 'base'),
  toExecutePatch: (subject: unknown, fn: string) => executes(subject, fn, 'patch'),
  toHaveOriginalBytes,
  toHaveResult,
};

expect.extend(vitestMatchers);

/** What {@link test} hands to a test. */
export interface LabFixtures {
  /** How {@link LabFixtures.lab} is booted. Default: x64 with one processor. */
  readonly labOptions: LabOptions;
  /** A machine of its own for each test that names it, disposed of when the test has ended, however it ended. */
  readonly lab: Lab;
}

/**
 * vitest's `test` with a machine that disposes of itself:
 *
 * ```ts
 * import { test } from 'hotpatch-lab/vitest';
 *
 * test('the hotpatch goes away without a trace', ({ lab }) => {
 *   const driver = lab.loadDriver('packets.sys');
 *   lab.unloadHotPatch(lab.loadHotPatch('packets_hp.sys'));
 *   expect(driver).toHaveOriginalBytes();
 * });
 *
 * const onArm64 = test.extend<LabFixtures>({ labOptions: { architecture: 'arm64', processors: 2 } });
 * ```
 */
export const test = base.extend<LabFixtures>({
  labOptions: { architecture: 'x64' },
  lab: async ({ labOptions }, use) => {
    const lab = Lab.boot(labOptions);
    try {
      await use(lab);
    } finally {
      lab[Symbol.dispose]();
    }
  },
});

declare global {
  namespace Chai {
    // vitest's own interfaces have one type parameter in version 4 and two in version 5; this one has none in both.
    interface Assertion extends HotPatchMatchers {}
  }
}
