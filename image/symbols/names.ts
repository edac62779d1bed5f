import type { MachineName } from '../winnt.js';

/**
 * Do the tools of a machine put the calling convention around C names?
 * https://learn.microsoft.com/cpp/build/reference/decorated-names
 */
export const DECORATES_NAMES: Readonly<Record<MachineName, boolean>> = {
  UNKNOWN: false,
  I386: true,
  ARMNT: false,
  AMD64: false,
  ARM64EC: false,
  ARM64X: false,
  ARM64: false,
};

/**
 * The source name of a C symbol as the x86 tools decorate it: `_name` (cdecl), `_name@8` (stdcall), `@name@8`
 * (fastcall), `name@@16` (vectorcall), also behind `__imp_`. C++ names (`?…`) and everything else come back unchanged.
 * https://learn.microsoft.com/cpp/build/reference/decorated-names
 */
export function undecorate(name: string): string {
  if (name.startsWith('__imp_')) {
    const imported = undecorate(name.slice(6));
    return `__imp_${imported}`;
  }
  const match =
    /^(?:_(?<cdecl>[^@]+)|_(?<stdcall>[^@]+)@\d+|@(?<fastcall>[^@]+)@\d+|(?<vectorcall>[^@?_][^@]*)@@\d+)$/.exec(
      name,
    );
  const groups = match?.groups;
  return groups?.cdecl ?? groups?.stdcall ?? groups?.fastcall ?? groups?.vectorcall ?? name;
}

/** Has a name what compilers put around those of stdcall, fastcall (x86) and vectorcall (x64 too)? C++ has names of its own. */
export function isDecorated(name: string): boolean {
  return /^[^?].*@\d+$/.test(name);
}

/**
 * The source name behind a compiler's: LLVM marks a name that already is the linker's with a byte 1, as in
 * `\x01_convention@8` for a stdcall function of x86.
 */
export function undecorateCompilerName(name: string): string {
  return name.startsWith('\x01') ? undecorate(name.slice(1)) : name;
}

/** `name` and `rawName` of a linker symbol. */
export function namesOf(linkerName: string, decoratesNames: boolean): { name: string; rawName?: string } {
  const name = decoratesNames ? undecorate(linkerName) : linkerName;
  return name === linkerName ? { name } : { name, rawName: linkerName };
}

/** `demo.obj` of `C:\build\demo.obj` or `/build/demo.obj`. */
export function baseName(path: string): string {
  return path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
}
