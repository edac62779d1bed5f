import { readFileSync } from 'node:fs';
import { isDecorated, undecorate } from '../../image/index.js';
import { storedObject } from './compile.js';
import { globalSymbols } from './link.js';
import type { Product } from './product.js';
import type { Session } from './session.js';
import { TARGETS } from './toolchain.js';

/**
 * Functions that a DLL without any export of its own shall export: all that its objects define for others, as mingw's
 * linker does. Empty when an object says itself what it exports.
 */
export function defaultExports(session: Session, { objects, definition }: Product): string[] {
  if (definition !== undefined) return [];
  return exportsOf(
    session,
    objects.filter(({ isLazy }) => !isLazy).map(({ hash }) => storedObject(session, hash)),
  );
}

/** Functions that object files define for others, as `/export` wants them. */
export function exportsOf(session: Session, files: readonly string[]): string[] {
  if (files.some(hasExportDirective)) return [];
  const { prefix } = TARGETS[session.architecture];
  const names = files.flatMap((file) => globalSymbols(file).filter(({ isFunction }) => isFunction));
  return [...new Set(names.map(({ name }) => exportName(name, prefix)))]
    .filter((name) => !/^(?:DllMain|main|wmain|DriverEntry|_DllMainCRTStartup)$/.test(name))
    .sort();
}

/**
 * What `/export` wants for a linker's name, so that it is exported by the one in the source. On x86 it finds decorated names by
 * itself; vectorcall decorates on x64 too.
 */
export function exportName(name: string, prefix: '' | '_'): string {
  if (prefix !== '') return undecorate(name);
  const plain = isDecorated(name) ? undecorate(name) : name;
  return plain === name ? name : `${plain}=${name}`;
}

function hasExportDirective(file: string): boolean {
  return /[-/]export:/i.test(readFileSync(file, 'latin1'));
}
