import { loadDisassembler } from '../cpu/index.js';
import { type NtStatusName, ntStatus } from '../image/index.js';
import { KernelError, LoadedImage, Thread } from '../loader/index.js';
import { codeDifferences, describeDifferences } from './code-difference.js';
import { type ExecutedFunction, watchedRun } from './executed-code.js';

/** What a thread's result is compared with: a C `int`, a whole result register, or an NTSTATUS by name. */
export type ExpectedReturn = number | bigint | NtStatusName;

/** What vitest takes from a matcher, and others turn into an assertion. */
export interface MatcherResult {
  /** Does it hold? */
  readonly pass: boolean;
  /** Why not; of one that holds, why its opposite does not. */
  readonly message: () => string;
  /** What was found, for a comparison to be shown. */
  readonly actual?: unknown;
  /** What was expected. */
  readonly expected?: unknown;
}

// Matchers answer at once, and loading the disassembler does not.
const disassemble = await loadDisassembler();

/** Whether a thread, run to its end, executes code of a function in its base image or in a patch image. */
export function executes(subject: unknown, fn: string, where: 'base' | 'patch'): MatcherResult {
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

/** Whether every byte of an image's code is the one that it was loaded with. */
export function toHaveOriginalBytes(subject: unknown): MatcherResult {
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

/** Whether a thread, run to its end, returns a value, or at all. */
export function toHaveResult(subject: unknown, expected?: ExpectedReturn): MatcherResult {
  const thread = threadOf(subject, 'toHaveResult');
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
      place: 'toHaveResult',
      message: `toHaveResult: ${expected} is no 32-bit integer`,
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
