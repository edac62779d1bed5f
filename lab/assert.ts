/**
 * What `hotpatch-lab/vitest` adds to vitest, as assertions for `node:test` and others. Each throws an `AssertionError` that
 * says what was executed instead, or which bytes differ and what they mean:
 *
 * ```ts
 * import { executesPatch, hasOriginalBytes, returns } from 'hotpatch-lab/assert';
 *
 * const thread = lab.startThread(driver.symbol('HandleRequest'), [packet, 2]);
 * executesPatch(thread, 'ReceivePacket');
 * returns(thread, 'STATUS_INVALID_PARAMETER');
 * ```
 *
 * The first one that is asked runs the thread to its end.
 *
 * @module
 */
import { AssertionError } from 'node:assert';
import type { LoadedImage, Thread } from '../loader/index.js';
import {
  type ExpectedReturn,
  executes,
  type MatcherResult,
  toHaveOriginalBytes,
  toHaveResult,
} from './thread-matchers.js';

export type { ExpectedReturn } from './thread-matchers.js';

/**
 * The thread executes code of the function in its base image: one that is not patched, or that it was inside of.
 * @param fn name of the function, `ReceivePacket` or `packets!ReceivePacket`
 * @throws AssertionError
 */
export function executesBase(thread: Thread, fn: string): void {
  assertThat(executes(thread, fn, 'base'), executesBase);
}

/**
 * The thread executes code of the function in a patch image.
 * @throws AssertionError
 */
export function executesPatch(thread: Thread, fn: string): void {
  assertThat(executes(thread, fn, 'patch'), executesPatch);
}

/**
 * The thread's function returns this: a C `int`, a bigint for the whole register, or the name of an NTSTATUS. Without a
 * value: it returns at all.
 * @throws AssertionError
 */
export function returns(thread: Thread, expected?: ExpectedReturn): void {
  assertThat(toHaveResult(thread, expected), returns);
}

/**
 * Every byte of the image's code is the one that it was loaded with: never patched, or rolled back.
 * @throws AssertionError that lists the bytes that differ
 */
export function hasOriginalBytes(image: LoadedImage): void {
  assertThat(toHaveOriginalBytes(image), hasOriginalBytes);
}

// biome-ignore lint/complexity/noBannedTypes: what AssertionError takes
function assertThat({ pass, message, actual, expected }: MatcherResult, stackStartFn: Function): void {
  if (!pass) throw new AssertionError({ message: message(), actual, expected, stackStartFn });
}
