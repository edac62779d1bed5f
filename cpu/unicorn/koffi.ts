import { createRequire } from 'node:module';
import { messageOf } from '../error.js';

export type Koffi = typeof import('koffi');

let loaded: Koffi | undefined;

/**
 * The package that calls native libraries, loaded on first use: where it does not work, everything that needs no
 * processor still does. Throws what `require` throws; {@link searchUnicorn} makes a reason of it, so that whoever
 * needs a processor hears of it as UnicornMissing.
 */
export function koffi(): Koffi {
  loaded ??= createRequire(import.meta.url)('koffi') as Koffi;
  return loaded;
}

/** Why the package does not work here; undefined when it does. */
export function koffiDefect(): string | undefined {
  try {
    koffi();
    return undefined;
  } catch (cause) {
    return messageOf(cause).split('\n', 1)[0];
  }
}
