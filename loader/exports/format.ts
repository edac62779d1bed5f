import type { ServiceCall } from '../dispatch/index.js';
import { FormatError, type FormatOutput, printf } from './text/printf.js';
import { argumentsOfCall, argumentsOfList, type VariadicArguments } from './text/varargs.js';

/** DbgPrint transmits at most 512 bytes (learn.microsoft.com, "DbgPrint"). */
const LONGEST_LINE = 512;

/** What DbgPrint makes of a format; arguments are taken from guest argument `first` on. */
export function formatGuestString(call: ServiceCall, format: string, first: number): string {
  return formatLine(format, argumentsOfCall(call, first));
}

/** As {@link formatGuestString}, with a va_list. */
export function formatGuestList(call: ServiceCall, format: string, list: bigint): string {
  return formatLine(format, argumentsOfList(call, list));
}

function formatLine(format: string, args: VariadicArguments): string {
  let line = '';
  const output: FormatOutput = {
    text: (text) => {
      if (line.length < LONGEST_LINE) line = (line + text).slice(0, LONGEST_LINE);
    },
    fill: (character, count) => {
      output.text(character.repeat(Math.min(count, LONGEST_LINE)));
    },
  };
  const options = { wide: true, legacyWideSpecifiers: false, rounding: 'up' } as const;
  try {
    printf(format, args, options, output);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
  }
  return line;
}
