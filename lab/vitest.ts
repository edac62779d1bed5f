/**
 * Matchers for tests of hotpatches with vitest. Import it once, in a set-up file or in the test:
 *
 * ```ts
 * import 'hotpatch-lab/vitest';
 *
 * const thread = lab.startThread(driver.symbol('HandleRequest'), [packet, 2]);
 * expect(thread).toExecutePatch('ReceivePacket');
 * expect(thread).toReturn('STATUS_INVALID_PARAMETER');
 * expect(driver).toHaveOriginalBytes();
 * ```
 *
 * `toExecuteBase`, `toExecutePatch` and `toReturn` run the thread to its end, the first of them that is asked. Each
 * execution is watched from there on: a thread that was stopped inside an old function finishes in it.
 *
 * @module
 */
import { test as base, expect, vi } from 'vitest';
import { Lab, type LabOptions } from './lab.js';
import {
  type ExpectedReturn,
  executes,
  type MatcherResult,
  toHaveOriginalBytes,
  toReturn,
} from './thread-matchers.js';

export type { ExpectedReturn, MatcherResult } from './thread-matchers.js';

/** The matchers that hotpatch-lab adds; `R` is what vitest returns from them. */
export interface HotPatchMatchers<R = unknown> {
  /**
   * The thread executes code of the function in its base image: one that is not patched, or that it was inside of.
   * @param fn name of the function, `ReceivePacket` or `packets!ReceivePacket`
   */
  toExecuteBase(fn: string): R;
  /** The thread executes code of the function in a patch image. */
  toExecutePatch(fn: string): R;
  /** Every byte of the image's code is the one that it was loaded with: never patched, or rolled back. */
  toHaveOriginalBytes(): R;
}

/** The matchers as `expect.extend` takes them; importing this module has done that. */
export const vitestMatchers = {
  toExecuteBase: (subject: unknown, fn: string) => executes(subject, fn, 'base'),
  toExecutePatch: (subject: unknown, fn: string) => executes(subject, fn, 'patch'),
  toHaveOriginalBytes,
  toReturn: (subject: unknown, expected?: ExpectedReturn): MatcherResult =>
    mockReturned(subject, expected) ?? toReturn(subject, expected),
};

expect.extend(vitestMatchers);

/** vitest's own matcher of this name is for mock functions. */
function mockReturned(subject: unknown, expected: ExpectedReturn | undefined): MatcherResult | undefined {
  if (!vi.isMockFunction(subject) || expected !== undefined) return undefined;
  const returned = subject.mock.results.some(({ type }) => type === 'return');
  return {
    pass: returned,
    message: () => `expected ${subject.getMockName()}${returned ? ' not' : ''} to return`,
  };
}

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

declare module 'vitest' {
  // biome-ignore lint/suspicious/noExplicitAny: type parameters must be those of vitest's own declaration
  interface Matchers<T = any> extends HotPatchMatchers {}
  // biome-ignore lint/suspicious/noExplicitAny: as above
  interface Assertion<T = any> {
    /**
     * Of a thread: its function returns this. A number is compared with the result as a 32-bit integer, a bigint with
     * the whole register, a name such as `STATUS_SUCCESS` with the NTSTATUS. Without a value: it returns at all.
     */
    toReturn(expected?: ExpectedReturn): void;
  }
}
