import type { ServiceCall, SimulatedExport } from '../dispatch/index.js';
import { cdecl, defineExport } from './simulated-export.js';

const order = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1);
const LONGEST = 0xfffe;

/** STRING and UNICODE_STRING { USHORT Length, MaximumLength; P(W)STR Buffer; } */
function initialize(
  { memory, pointerSize }: ServiceCall,
  target: bigint,
  source: bigint,
  bytes: number,
  unit: 1 | 2,
): void {
  memory.writeU16(target, source === 0n ? 0 : Math.min(bytes, LONGEST - (unit === 2 ? 2 : 0)));
  memory.writeU16(target + 2n, source === 0n ? 0 : Math.min(bytes + unit, LONGEST));
  memory.writePointer(target + BigInt(pointerSize), source);
}

/** Counted strings of ntoskrnl and ntdll (wdm.h, winternl.h). */
export function rtlStringExports(): SimulatedExport[] {
  const upper = (text: string) => text.toUpperCase();
  return [
    defineExport('RtlInitUnicodeString', ['pointer', 'pointer'], (call, target, source) =>
      initialize(call, target, source, source === 0n ? 0 : call.memory.readTerminated(source, 2).length, 2),
    ),
    ...['RtlInitAnsiString', 'RtlInitString'].map((name) =>
      defineExport(name, ['pointer', 'pointer'], (call, target, source) =>
        initialize(call, target, source, source === 0n ? 0 : call.memory.readTerminated(source, 1).length, 1),
      ),
    ),
    defineExport('RtlEqualUnicodeString', ['ustring', 'ustring', 'u32'], (_call, a, b, ignoreCase) =>
      ((ignoreCase & 0xff) === 0 ? a === b : upper(a) === upper(b)) ? 1 : 0,
    ),
    defineExport('RtlCompareUnicodeString', ['ustring', 'ustring', 'u32'], (_call, a, b, ignoreCase) =>
      (ignoreCase & 0xff) === 0 ? order(a, b) : order(upper(a), upper(b)),
    ),
    defineExport('RtlPrefixUnicodeString', ['ustring', 'ustring', 'u32'], (_call, a, b, ignoreCase) =>
      ((ignoreCase & 0xff) === 0 ? b.startsWith(a) : upper(b).startsWith(upper(a))) ? 1 : 0,
    ),
    defineExport(
      'RtlCopyUnicodeString',
      ['pointer', 'pointer'],
      ({ memory, pointerSize }, target, source) => {
        const length = source === 0n ? 0 : memory.readU16(source);
        const copied = Math.min(length, memory.readU16(target + 2n));
        const buffer = memory.readPointer(target + BigInt(pointerSize));
        if (copied > 0) memory.copy(buffer, memory.readPointer(source + BigInt(pointerSize)), copied);
        memory.writeU16(target, copied);
        if (copied + 2 <= memory.readU16(target + 2n)) memory.writeU16(buffer + BigInt(copied), 0);
      },
    ),
    defineExport(
      'RtlAppendUnicodeToString',
      ['pointer', 'wstring'],
      ({ memory, pointerSize }, target, text) => {
        const STATUS_BUFFER_TOO_SMALL = 0xc000_0023;
        const length = memory.readU16(target);
        const bytes = Buffer.from(text, 'utf16le');
        const maximum = memory.readU16(target + 2n);
        if (length + bytes.length > maximum) return STATUS_BUFFER_TOO_SMALL;
        const end = memory.readPointer(target + BigInt(pointerSize)) + BigInt(length);
        memory.write(end, bytes);
        if (length + bytes.length + 2 <= maximum) memory.writeU16(end + BigInt(bytes.length), 0);
        memory.writeU16(target, length + bytes.length);
        return 0;
      },
    ),
    // Of the kernels: no handler, the error is the result.
    cdecl('strcpy_s', ['pointer', 'size', 'pointer'], ({ memory }, to, size, from) => {
      const [EINVAL, ERANGE] = [22, 34];
      if (to === 0n || size === 0n) return EINVAL;
      const text = from === 0n ? undefined : memory.readTerminated(from, 1, size);
      if (text === undefined || BigInt(text.length) >= size) {
        memory.writeU8(to, 0);
        return text === undefined ? EINVAL : ERANGE;
      }
      const all = new Uint8Array(text.length + 1);
      all.set(text);
      memory.write(to, all);
      return 0;
    }),
  ];
}
