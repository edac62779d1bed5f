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
import { expect, vi } from 'vitest';
import { loadDisassembler } from '../cpu/index.js';
import { type NtStatusName, ntStatus } from '../image/index.js';
import { KernelError, LoadedImage, Thread } from '../loader/index.js';
import { codeDifferences, describeDifferences } from './code-difference.js';
import { type ExecutedFunction, watchedRun } from './executed-code.js';

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

/** What {@link vitestMatchers}.toReturn compares with: a C `int`, a whole result register, or an NTSTATUS by name. */
export type ExpectedReturn = number | bigint | NtStatusName;

interface MatcherResult {
  readonly pass: boolean;
  readonly message: () => string;
  readonly actual?: unknown;
  readonly expected?: unknown;
}

// Matchers answer at once, and loading the disassembler does not.
const disassemble = await loadDisassembler();

/** The matchers as `expect.extend` takes them; importing this module has done that. */
export const vitestMatchers = {
  toExecuteBase: (subject: unknown, fn: string) => executes(subject, fn, 'base'),
  toExecutePatch: (subject: unknown, fn: string) => executes(subject, fn, 'patch'),
  toHaveOriginalBytes,
  toReturn,
};

expect.extend(vitestMatchers);

function executes(subject: unknown, fn: string, where: 'base' | 'patch'): MatcherResult {
  const thread = threadOf(subject, where === 'base' ? 'toExecuteBase' : 'toExecutePatch');
  const { functions, error } = watchedRun(thread);
  const wanted = functions.filter(({ name, image }) => isNamed(fn, name, image));
  const fits = wanted.filter(({ image }) => (image.loadReason === 'PatchImage') === (where === 'patch'));
  return {
    pass: fits.length > 0,
    message: () =>
      [
        `expected thread ${thread.id}, ${thread.describe(thread.startAddress)},${fits.length > 0 ? ' not' : ''} to execute ${fn} of ${where === 'base' ? 'its base image' : 'a patch image'}`,
        wanted.length > 0
          ? `of ${fn} it executed ${listing(wanted)}`
          : `it executed nothing of ${fn}, but ${listing(functions)}`,
        ...(error === undefined ? [] : [`it did not come to its end: ${error.message}`]),
      ].join('\n'),
  };
}

/** `packets` in `packets!ReceivePacket` is the base's name; a patch image has one of its own. */
function isNamed(fn: string, name: string, image: LoadedImage): boolean {
  const [module, bare] = fn.includes('!') ? fn.split('!') : [undefined, fn];
  if (name !== bare) return false;
  return module === undefined || image.loadReason === 'PatchImage' || image.moduleName === module;
}

function listing(functions: readonly ExecutedFunction[]): string {
  if (functions.length === 0) return 'no code of any image';
  return functions
    .map(({ name, image, instructions }) => {
      const kind = image.loadReason === 'PatchImage' ? 'patch' : 'base';
      return `${image.moduleName}!${name} (${kind}, ${instructions} instruction${instructions === 1 ? '' : 's'})`;
    })
    .join(', ');
}

function toHaveOriginalBytes(subject: unknown): MatcherResult {
  if (!(subject instanceof LoadedImage))
    throw new TypeError(
      'toHaveOriginalBytes: expect a LoadedImage, as lab.loadDriver and lab.loadDll return',
    );
  const differences = codeDifferences(subject);
  return {
    pass: differences.length === 0,
    message: () =>
      differences.length === 0
        ? `expected ${subject.baseDllName} to differ from its original bytes: nothing of it is patched`
        : `expected ${subject.baseDllName} to have its original bytes, but ${differences.length} place(s) differ:\n${describeDifferences(subject, differences, disassemble)}`,
  };
}

function toReturn(subject: unknown, expected?: ExpectedReturn): MatcherResult {
  // vitest's own matcher of this name is for mock functions.
  if (vi.isMockFunction(subject) && expected === undefined) {
    const returned = subject.mock.results.some(({ type }) => type === 'return');
    return {
      pass: returned,
      message: () => `expected ${subject.getMockName()}${returned ? ' not' : ''} to return`,
    };
  }
  const thread = threadOf(subject, 'toReturn');
  const error = thread.finished ? undefined : watchedRun(thread).error;
  const name = `thread ${thread.id}, ${thread.describe(thread.startAddress)},`;
  const { returnValue } = thread;
  if (returnValue === undefined) {
    const why = error?.message ?? thread.crash?.text ?? 'it did not return';
    return {
      pass: false,
      message: () => `expected ${name} to return${expected === undefined ? '' : ` ${expected}`}, but: ${why}`,
    };
  }
  const { bits, value } = comparable(expected ?? returnValue, thread.architecture.pointerSize * 8);
  const actual = BigInt.asUintN(bits, returnValue);
  const pass = actual === BigInt.asUintN(bits, value);
  return {
    pass,
    actual: show(actual, bits),
    expected: show(value, bits),
    message: () =>
      `expected ${name} ${pass ? 'not ' : ''}to return ${show(value, bits)}${typeof expected === 'string' ? ` ${expected}` : ''}${pass ? '' : `, but it returned ${show(actual, bits)}`}`,
  };
}

/** A number means a C `int` or an NTSTATUS: 32 bits. A bigint means the whole register. */
function comparable(expected: ExpectedReturn, register: number): { bits: number; value: bigint } {
  if (typeof expected === 'bigint') return { bits: register, value: BigInt.asUintN(register, expected) };
  if (typeof expected === 'string') return { bits: 32, value: BigInt(ntStatus(expected).value >>> 0) };
  if (!Number.isSafeInteger(expected) || expected < -(2 ** 31) || expected >= 2 ** 32)
    throw new KernelError({
      rule: 'expectation.value',
      status: 'STATUS_INVALID_PARAMETER',
      message: `toReturn: ${expected} is no 32-bit integer`,
      hint: 'write a bigint for the whole register',
    });
  return { bits: 32, value: BigInt(expected) };
}

function show(value: bigint, bits: number): string {
  const signed = BigInt.asIntN(bits, value);
  return `${signed} (0x${BigInt.asUintN(bits, value).toString(16)})`;
}

function threadOf(subject: unknown, matcher: string): Thread {
  if (subject instanceof Thread) return subject;
  throw new TypeError(`${matcher}: expect a Thread, as lab.startThread and process.createThread return`);
}

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
