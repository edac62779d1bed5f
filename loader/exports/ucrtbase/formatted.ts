import type { ServiceCall, SimulatedExport } from '../../dispatch/index.js';
import type { ServiceResult } from '../../threads/index.js';
import { cdecl } from '../simulated-export.js';
import { FormatError, type FormatOutput, type PrintfOptions, printf } from '../text/printf.js';
import { type ScanInput, scanf, textInput } from '../text/scanf.js';
import { argumentsOfList, type VariadicArguments } from '../text/varargs.js';
import { ERRNO, failed, invalidParameter } from './state.js';
import { type Stream, streamOf } from './stream.js';

/** _CRT_INTERNAL_PRINTF_* and _CRT_INTERNAL_SCANF_* (corecrt_stdio_config.h). */
export const PRINTF = {
  legacyTermination: 1n,
  standardSnprintf: 2n,
  legacyWide: 4n,
  threeDigits: 0x10n,
  standardRounding: 0x20n,
} as const;
export const SCANF = { secure: 1n, legacyWide: 2n } as const;
/** What a program formats at most in one call: more would be a mistake of its own. */
export const LARGEST_OUTPUT = 0x100_0000;

export type Unit = 1 | 2;

export function printfOptions(options: bigint, unit: Unit): PrintfOptions {
  return {
    wide: unit === 2,
    legacyWideSpecifiers: (options & PRINTF.legacyWide) !== 0n,
    rounding: (options & PRINTF.standardRounding) !== 0n ? 'toEven' : 'up',
    threeDigitExponents: (options & PRINTF.threeDigits) !== 0n,
  };
}

/** Keeps the first `room` characters of what is formatted, and counts all. */
class Collector implements FormatOutput {
  readonly #pieces: string[] = [];
  #kept = 0;
  count = 0;

  constructor(private readonly room: number) {}

  text(text: string): void {
    this.count += text.length;
    const rest = this.room - this.#kept;
    if (rest <= 0) return;
    this.#pieces.push(text.length <= rest ? text : text.slice(0, rest));
    this.#kept += Math.min(rest, text.length);
  }

  fill(character: string, count: number): void {
    const kept = Math.min(count, Math.max(0, this.room - this.#kept));
    this.count += count - kept;
    if (kept > 0) this.text(character.repeat(kept));
  }

  get all(): string {
    return this.#pieces.join('');
  }
}

const encoded = (text: string, unit: Unit): Uint8Array =>
  Buffer.from(text, unit === 1 ? 'latin1' : 'utf16le');
export const formatText = ({ memory }: ServiceCall, format: bigint, unit: Unit): string =>
  unit === 1 ? memory.readCString(format) : memory.readUtf16(format);

/** Formats; what cannot be formatted is an invalid parameter, or EILSEQ. */
function collect(
  call: ServiceCall,
  name: string,
  format: bigint,
  args: VariadicArguments,
  options: PrintfOptions,
  room: number,
): Collector | { readonly failed: ServiceResult } {
  const unit = options.wide ? 2 : 1;
  if (format === 0n) return { failed: invalidParameter(call, name, -1) };
  const output = new Collector(room);
  try {
    printf(formatText(call, format, unit), args, options, output);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    if (error.kind === 'cannotEncode') return { failed: failed(call, ERRNO.EILSEQ, -1) };
    return { failed: invalidParameter(call, name, -1) };
  }
  return output;
}

interface Target {
  readonly buffer: bigint;
  /** In characters, with the terminator. */
  readonly room: bigint;
}

/** How the functions differ that print into memory. */
type Overflow = 'standard' | 'legacyTerminated' | 'legacy' | 'secure' | 'unlimited';

export function printToMemory(
  call: ServiceCall,
  name: string,
  { buffer, room }: Target,
  overflow: Overflow,
  format: bigint,
  args: VariadicArguments,
  options: PrintfOptions,
): ServiceResult {
  const unit = options.wide ? 2 : 1;
  if (format === 0n || (buffer === 0n && room > 0n)) return invalidParameter(call, name, -1);
  const limited = buffer === 0n ? 0 : room > LARGEST_OUTPUT ? LARGEST_OUTPUT : Number(room);
  const output = collect(call, name, format, args, options, limited);
  if (!(output instanceof Collector)) return output.failed;
  const { count, all } = output;
  if (buffer === 0n) return count;
  if (count < limited) {
    call.memory.write(buffer, encoded(`${all}\0`, unit));
    return count;
  }
  if (room > LARGEST_OUTPUT) return failed(call, ERRNO.ENOMEM, -1);
  switch (overflow) {
    case 'secure':
      call.memory.fill(buffer, unit, 0);
      return invalidParameter(call, name, -1, ERRNO.ERANGE);
    case 'legacy':
      // Without room for it the terminator is left out; exactly full is no error.
      call.memory.write(buffer, encoded(all, unit));
      return count === limited ? count : -1;
    default:
      if (limited > 0) call.memory.write(buffer, encoded(`${all.slice(0, limited - 1)}\0`, unit));
      return overflow === 'standard'
        ? count
        : limited === 0
          ? -1
          : overflow === 'legacyTerminated' && unit === 2
            ? -2
            : -1;
  }
}

function overflowOf(options: bigint): Overflow {
  if ((options & PRINTF.standardSnprintf) !== 0n) return 'standard';
  return (options & PRINTF.legacyTermination) !== 0n ? 'legacy' : 'legacyTerminated';
}

export function printToStream(
  call: ServiceCall,
  name: string,
  stream: Stream | undefined,
  format: bigint,
  args: VariadicArguments,
  options: PrintfOptions,
): ServiceResult {
  if (stream === undefined) return invalidParameter(call, name, -1);
  const output = collect(call, name, format, args, options, LARGEST_OUTPUT);
  if (!(output instanceof Collector)) return output.failed;
  if (output.count > LARGEST_OUTPUT) return failed(call, ERRNO.ENOMEM, -1);
  return stream.write(encoded(output.all, 1)) ? output.count : -1;
}

export function streamInput(stream: Stream): ScanInput {
  let current: number | undefined;
  let have = false;
  return {
    peek: () => {
      if (!have) {
        current = stream.next();
        have = true;
        if (current !== undefined) stream.push(current);
      }
      return current === undefined ? undefined : String.fromCharCode(current);
    },
    next: () => {
      if (have && current !== undefined) stream.next();
      have = false;
    },
  };
}

/** The functions that everything in stdio.h goes through: `__stdio_common_v*`. */
export function formattedExports(): SimulatedExport[] {
  return ([1, 2] as const).flatMap((unit) => {
    const name = (narrow: string, wideName: string) => (unit === 1 ? narrow : wideName);
    const vsprintf = name('__stdio_common_vsprintf', '__stdio_common_vswprintf');
    const prints = (named: string, decide: (options: bigint) => Overflow) =>
      cdecl(
        named,
        ['u64', 'pointer', 'size', 'pointer', 'pointer', 'pointer'],
        (call, options, buffer, room, format, _locale, list) =>
          printToMemory(
            call,
            named,
            { buffer, room },
            decide(options),
            format,
            argumentsOfList(call, list),
            printfOptions(options, unit),
          ),
      );
    return [
      prints(vsprintf, overflowOf),
      prints(`${vsprintf}_s`, () => 'secure'),
      cdecl(
        name('__stdio_common_vsnprintf_s', '__stdio_common_vsnwprintf_s'),
        ['u64', 'pointer', 'size', 'size', 'pointer', 'pointer', 'pointer'],
        (call, options, buffer, room, count, format, _locale, list) => {
          const isTruncating = count === BigInt.asUintN(8 * call.pointerSize, -1n);
          const given = printfOptions(options, unit);
          const args = argumentsOfList(call, list);
          const named = '_vsnprintf_s';
          if (isTruncating || count + 1n <= room) {
            const target = { buffer, room: isTruncating ? room : count + 1n };
            return printToMemory(call, named, target, 'unlimited', format, args, given);
          }
          return printToMemory(call, named, { buffer, room }, 'secure', format, args, given);
        },
      ),
      ...['', '_s', '_p'].map((suffix) =>
        cdecl(
          name('__stdio_common_vfprintf', '__stdio_common_vfwprintf') + suffix,
          ['u64', 'pointer', 'pointer', 'pointer', 'pointer'],
          (call, options, stream, format, _locale, list) =>
            printToStream(
              call,
              'fprintf',
              streamOf(call, stream),
              format,
              argumentsOfList(call, list),
              printfOptions(options, unit),
            ),
        ),
      ),
      cdecl(
        name('__stdio_common_vsscanf', '__stdio_common_vswscanf'),
        ['u64', 'pointer', 'size', 'pointer', 'pointer', 'pointer'],
        (call, options, buffer, room, format, _locale, list) => {
          if (buffer === 0n || format === 0n) return invalidParameter(call, 'sscanf', -1);
          const text =
            unit === 1 ? call.memory.readCString(buffer, room) : call.memory.readUtf16(buffer, room);
          return scanf(
            formatText(call, format, unit),
            argumentsOfList(call, list),
            scanfOptions(options, unit),
            textInput(text),
          );
        },
      ),
      cdecl(
        name('__stdio_common_vfscanf', '__stdio_common_vfwscanf'),
        ['u64', 'pointer', 'pointer', 'pointer', 'pointer'],
        (call, options, address, format, _locale, list) => {
          const stream = streamOf(call, address);
          if (stream === undefined || format === 0n) return invalidParameter(call, 'fscanf', -1);
          return scanf(
            formatText(call, format, unit),
            argumentsOfList(call, list),
            scanfOptions(options, unit),
            streamInput(stream),
          );
        },
      ),
    ];
  });
}

export const scanfOptions = (options: bigint, unit: Unit) => ({
  wide: unit === 2,
  legacyWideSpecifiers: (options & SCANF.legacyWide) !== 0n,
  secure: (options & SCANF.secure) !== 0n,
});
