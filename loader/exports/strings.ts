import type { SimulatedExport } from '../dispatch/index.js';
import { defineExport } from './simulated-export.js';

const order = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1);

/** The string functions of the C runtime and of ntoskrnl and ntdll. */
export function stringExports(): SimulatedExport[] {
  return [
    defineExport('strlen', ['cstring'], (_call, text) => BigInt(text.length), 'cdecl'),
    defineExport('wcslen', ['wstring'], (_call, text) => BigInt(text.length), 'cdecl'),
    defineExport('strcmp', ['cstring', 'cstring'], (_call, a, b) => order(a, b), 'cdecl'),
    defineExport('wcscmp', ['wstring', 'wstring'], (_call, a, b) => order(a, b), 'cdecl'),
    defineExport(
      'strncmp',
      ['cstring', 'cstring', 'size'],
      (_call, a, b, size) => order(a.slice(0, Number(size)), b.slice(0, Number(size))),
      'cdecl',
    ),
    defineExport(
      'wcsncmp',
      ['wstring', 'wstring', 'size'],
      (_call, a, b, size) => order(a.slice(0, Number(size)), b.slice(0, Number(size))),
      'cdecl',
    ),
    defineExport(
      'strcpy_s',
      ['pointer', 'size', 'cstring'],
      ({ thread }, to, size, text) => {
        const ERANGE = 34;
        if (BigInt(text.length) >= size) return ERANGE;
        thread.memory.write(to, Buffer.from(`${text}\0`, 'latin1'));
        return 0;
      },
      'cdecl',
    ),
    // UNICODE_STRING { USHORT Length, MaximumLength; PWSTR Buffer; }
    defineExport('RtlInitUnicodeString', ['pointer', 'pointer'], (call, target, source) => {
      const { thread, pointerSize } = call;
      const { memory } = thread;
      const bytes = source === 0n ? 0 : 2 * call.memory.readUtf16(source).length;
      memory.writeU16(target, bytes);
      memory.writeU16(target + 2n, source === 0n ? 0 : bytes + 2);
      if (pointerSize === 8) memory.writeU64(target + 8n, source);
      else memory.writeU32(target + 4n, Number(source));
    }),
    defineExport('RtlEqualUnicodeString', ['ustring', 'ustring', 'u32'], (_call, a, b, ignoreCase) =>
      ((ignoreCase & 0xff) === 0 ? a === b : a.toUpperCase() === b.toUpperCase()) ? 1 : 0,
    ),
    defineExport('RtlCompareUnicodeString', ['ustring', 'ustring', 'u32'], (_call, a, b, ignoreCase) =>
      (ignoreCase & 0xff) === 0 ? order(a, b) : order(a.toUpperCase(), b.toUpperCase()),
    ),
  ];
}
