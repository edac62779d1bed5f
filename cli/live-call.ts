import type { LiveCall } from '../debugger/index.js';
import { callWords, parseArgument } from './arguments.js';
import { UsageError } from './errors.js';

/** `F 1 "two words" @file buf:16`: words as on the command line of `hotpatch call`. */
export function liveCall(text: string): LiveCall {
  const [name, ...parameters] = callWords(text);
  if (name === undefined) throw new UsageError(`call '${text}': write FUNCTION ARGUMENTS`);
  return {
    text: [name, ...parameters].join(' '),
    function: name,
    arguments: parameters.map((word) => {
      const argument = parseArgument(word);
      return typeof argument === 'bigint' ? argument : argument.bytes;
    }),
  };
}
