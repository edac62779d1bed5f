import type { ServiceCall, SimulatedExport } from '../../dispatch/index.js';
import { cdecl } from '../simulated-export.js';
import { scanf, textInput } from '../text/scanf.js';
import { argumentsOfCall, argumentsOfList } from '../text/varargs.js';
import {
  formatText,
  LARGEST_OUTPUT,
  PRINTF,
  printfOptions,
  printToMemory,
  printToStream,
  SCANF,
  scanfOptions,
  streamInput,
  type Unit,
} from './formatted.js';
import { invalidParameter } from './state.js';
import { streamOf } from './stream.js';

/**
 * The variadic functions themselves, which msvcrt.dll exports and ucrtbase.dll does not: exact halves go up, exponents have
 * three digits, as that library prints.
 */
export function variadicExports(): SimulatedExport[] {
  const narrow = printfOptions(PRINTF.threeDigits, 1);
  const wideOptions = printfOptions(PRINTF.threeDigits | PRINTF.legacyWide, 2);
  const stdout = (call: ServiceCall) =>
    streamOf(call, call.process.environment === undefined ? 0n : outputStream(call));
  const scan = (options: bigint, unit: Unit) => scanfOptions(options | SCANF.legacyWide, unit);
  return [
    cdecl('sprintf', ['pointer', 'pointer'], (call, buffer, format) =>
      printToMemory(
        call,
        'sprintf',
        { buffer, room: BigInt(LARGEST_OUTPUT) + 1n },
        'unlimited',
        format,
        argumentsOfCall(call, 2),
        narrow,
      ),
    ),
    cdecl('vsprintf', ['pointer', 'pointer', 'pointer'], (call, buffer, format, list) =>
      printToMemory(
        call,
        'vsprintf',
        { buffer, room: BigInt(LARGEST_OUTPUT) + 1n },
        'unlimited',
        format,
        argumentsOfList(call, list),
        narrow,
      ),
    ),
    ...['_snprintf', 'snprintf'].map((name) =>
      cdecl(name, ['pointer', 'size', 'pointer'], (call, buffer, room, format) =>
        printToMemory(
          call,
          name,
          { buffer, room },
          name === 'snprintf' ? 'standard' : 'legacy',
          format,
          argumentsOfCall(call, 3),
          narrow,
        ),
      ),
    ),
    ...['_vsnprintf', 'vsnprintf'].map((name) =>
      cdecl(name, ['pointer', 'size', 'pointer', 'pointer'], (call, buffer, room, format, list) =>
        printToMemory(
          call,
          name,
          { buffer, room },
          name === 'vsnprintf' ? 'standard' : 'legacy',
          format,
          argumentsOfList(call, list),
          narrow,
        ),
      ),
    ),
    cdecl('_snwprintf', ['pointer', 'size', 'pointer'], (call, buffer, room, format) =>
      printToMemory(
        call,
        '_snwprintf',
        { buffer, room },
        'legacy',
        format,
        argumentsOfCall(call, 3),
        wideOptions,
      ),
    ),
    cdecl('_vsnwprintf', ['pointer', 'size', 'pointer', 'pointer'], (call, buffer, room, format, list) =>
      printToMemory(
        call,
        '_vsnwprintf',
        { buffer, room },
        'legacy',
        format,
        argumentsOfList(call, list),
        wideOptions,
      ),
    ),
    cdecl('printf', ['pointer'], (call, format) =>
      printToStream(call, 'printf', stdout(call), format, argumentsOfCall(call, 1), narrow),
    ),
    cdecl('vprintf', ['pointer', 'pointer'], (call, format, list) =>
      printToStream(call, 'vprintf', stdout(call), format, argumentsOfList(call, list), narrow),
    ),
    cdecl('fprintf', ['pointer', 'pointer'], (call, stream, format) =>
      printToStream(call, 'fprintf', streamOf(call, stream), format, argumentsOfCall(call, 2), narrow),
    ),
    cdecl('vfprintf', ['pointer', 'pointer', 'pointer'], (call, stream, format, list) =>
      printToStream(call, 'vfprintf', streamOf(call, stream), format, argumentsOfList(call, list), narrow),
    ),
    cdecl('sscanf', ['pointer', 'pointer'], (call, text, format) =>
      scanf(
        formatText(call, format, 1),
        argumentsOfCall(call, 2),
        scan(0n, 1),
        textInput(call.memory.readCString(text)),
      ),
    ),
    cdecl('swscanf', ['pointer', 'pointer'], (call, text, format) =>
      scanf(
        formatText(call, format, 2),
        argumentsOfCall(call, 2),
        scan(0n, 2),
        textInput(call.memory.readUtf16(text)),
      ),
    ),
    cdecl('fscanf', ['pointer', 'pointer'], (call, address, format) => {
      const stream = streamOf(call, address);
      if (stream === undefined) return invalidParameter(call, 'fscanf', -1);
      return scanf(formatText(call, format, 1), argumentsOfCall(call, 2), scan(0n, 1), streamInput(stream));
    }),
  ];
}

const STDOUT_OFFSET = 0x1040n;
const outputStream = ({ process }: ServiceCall): bigint =>
  (process.environment?.runtimeData ?? 0n) + STDOUT_OFFSET;
