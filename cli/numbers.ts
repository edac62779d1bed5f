import { InvalidArgumentError } from 'commander';
import { WINDOWS_BUILDS, type WindowsBuild } from '../loader/index.js';

/** A parser of options that take a whole number between two others. */
export function numberFrom(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = wholeNumber(text);
    if (value < least || value > most)
      throw new InvalidArgumentError(`it must be from ${least} to ${most}, not ${value}`);
    return value;
  };
}

/** `42` or `0x2a`. */
export function wholeNumber(text: string): number {
  const value = /^(0x[0-9a-f]+|[0-9]+)$/i.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError(`'${text}' is not a whole number`);
  return value;
}

/** A build of Windows whose hotpatching is known to differ from others'. */
export function windowsBuild(text: string): WindowsBuild {
  const build = wholeNumber(text);
  const known = WINDOWS_BUILDS.find((candidate) => candidate === build);
  if (known === undefined)
    throw new InvalidArgumentError(`it must be one of ${WINDOWS_BUILDS.join(', ')}, not ${build}`);
  return known;
}

/** What the registry value may be: the reserve behind each image is twice that. */
export const hotPatchTableSize = numberFrom(0, 0x1000_0000);
