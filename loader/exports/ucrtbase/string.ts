import type { ServiceCall, SimulatedExport } from '../../dispatch/index.js';
import type { ServiceResult } from '../../threads/index.js';
import { cdecl } from '../simulated-export.js';
import { ERRNO, failed, invalidParameter, setErrno, THREAD, threadData } from './state.js';

/** The width of a character: the str functions are 1, the wcs ones 2. */
export type Unit = 1 | 2;
const TRUNCATE32 = 0xffff_ffffn;
const STRUNCATE = 80;

const unitAt = ({ memory }: ServiceCall, at: bigint, unit: Unit): number =>
  unit === 1 ? memory.readU8(at) : memory.readU16(at);

/** Units up to the terminator as numbers. */
export function units(call: ServiceCall, at: bigint, unit: Unit, limit?: bigint): Uint8Array | Uint16Array {
  const bytes = call.memory.readTerminated(at, unit, limit);
  return unit === 1 ? bytes : new Uint16Array(bytes.slice().buffer);
}

function store(
  { memory }: ServiceCall,
  at: bigint,
  text: Uint8Array | Uint16Array,
  terminated: boolean,
): void {
  const all = terminated ? concat(text) : text;
  memory.write(at, new Uint8Array(all.buffer, all.byteOffset, all.byteLength));
}

function concat(text: Uint8Array | Uint16Array): Uint8Array | Uint16Array {
  const all = text instanceof Uint8Array ? new Uint8Array(text.length + 1) : new Uint16Array(text.length + 1);
  all.set(text);
  return all;
}

const PIECE = 0x40;

/** -1, 0 or 1, reading both texts no further than the first difference, piece by piece. */
export function compareUnits(
  call: ServiceCall,
  a: bigint,
  b: bigint,
  unit: Unit,
  limit: bigint | undefined,
  fold: (code: number) => number = (code) => code,
): number {
  for (let done = 0n; limit === undefined || done < limit; done += BigInt(PIECE)) {
    const most = limit === undefined || limit - done > PIECE ? BigInt(PIECE) : limit - done;
    const [left, right] = bothPieces(call, a + done * BigInt(unit), b + done * BigInt(unit), unit, most);
    for (let index = 0; index < Number(most); index++) {
      const difference = fold(left[index] ?? 0) - fold(right[index] ?? 0);
      if (difference !== 0) return difference < 0 ? -1 : 1;
      if ((left[index] ?? 0) === 0) return 0;
    }
  }
  return 0;
}

/** Two pieces of text; where one cannot be read whole, unit by unit, so that a difference before the end is found. */
function bothPieces(call: ServiceCall, a: bigint, b: bigint, unit: Unit, count: bigint) {
  const bytes = count * BigInt(unit);
  if (call.memory.allows(a, bytes, 'read') && call.memory.allows(b, bytes, 'read'))
    return [units(call, a, unit, count), units(call, b, unit, count)] as const;
  const left: number[] = [];
  const right: number[] = [];
  for (let index = 0n; index < count; index++) {
    left.push(unitAt(call, a + index * BigInt(unit), unit));
    right.push(unitAt(call, b + index * BigInt(unit), unit));
    if (left.at(-1) !== right.at(-1) || left.at(-1) === 0) break;
  }
  return [left, right] as const;
}

export const lower = (code: number): number => (code >= 0x41 && code <= 0x5a ? code + 0x20 : code);
export const upper = (code: number): number => (code >= 0x61 && code <= 0x7a ? code - 0x20 : code);

/** Text that may be searched for: everything before the terminator, as Latin-1 or UTF-16. */
const textOf = (call: ServiceCall, at: bigint, unit: Unit, limit?: bigint): string =>
  unit === 1 ? call.memory.readCString(at, limit) : call.memory.readUtf16(at, limit);

/** The functions that do not change what errno is: shared with ntdll and ntoskrnl. Pairs of narrow and wide. */
export function plainStringExports(): SimulatedExport[] {
  const both = (make: (unit: Unit, name: (narrow: string, wide: string) => string) => SimulatedExport[]) =>
    ([1, 2] as const).flatMap((unit) => make(unit, (narrow, wide) => (unit === 1 ? narrow : wide)));
  return both((unit, name) => {
    const size = BigInt(unit);
    const mask = unit === 1 ? 0xff : 0xffff;
    return [
      cdecl(name('strlen', 'wcslen'), ['pointer'], (call, text) => BigInt(units(call, text, unit).length)),
      cdecl(name('strnlen', 'wcsnlen'), ['pointer', 'size'], (call, text, most) =>
        BigInt(units(call, text, unit, most).length),
      ),
      cdecl(name('strcmp', 'wcscmp'), ['pointer', 'pointer'], (call, a, b) =>
        compareUnits(call, a, b, unit, undefined),
      ),
      cdecl(name('strncmp', 'wcsncmp'), ['pointer', 'pointer', 'size'], (call, a, b, count) =>
        compareUnits(call, a, b, unit, count),
      ),
      ...[name('_stricmp', '_wcsicmp')].map((named) =>
        cdecl(named, ['pointer', 'pointer'], (call, a, b) =>
          compareUnits(call, a, b, unit, undefined, lower),
        ),
      ),
      ...[name('_strnicmp', '_wcsnicmp')].map((named) =>
        cdecl(named, ['pointer', 'pointer', 'size'], (call, a, b, count) =>
          compareUnits(call, a, b, unit, count, lower),
        ),
      ),
      cdecl(name('strcpy', 'wcscpy'), ['pointer', 'pointer'], (call, to, from) => {
        store(call, to, units(call, from, unit), true);
        return to;
      }),
      cdecl(name('strcat', 'wcscat'), ['pointer', 'pointer'], (call, to, from) => {
        const end = to + BigInt(units(call, to, unit).length) * size;
        store(call, end, units(call, from, unit), true);
        return to;
      }),
      cdecl(name('strncpy', 'wcsncpy'), ['pointer', 'pointer', 'size'], (call, to, from, count) => {
        const text = units(call, from, unit, count);
        store(call, to, text, false);
        call.memory.fill(to + BigInt(text.length) * size, (count - BigInt(text.length)) * size, 0);
        return to;
      }),
      cdecl(name('strncat', 'wcsncat'), ['pointer', 'pointer', 'size'], (call, to, from, count) => {
        const end = to + BigInt(units(call, to, unit).length) * size;
        store(call, end, units(call, from, unit, count), true);
        return to;
      }),
      cdecl(name('strchr', 'wcschr'), ['pointer', 'u32'], (call, text, code) => {
        const all = units(call, text, unit);
        const wanted = code & mask;
        const index = wanted === 0 ? all.length : all.indexOf(wanted);
        return index < 0 ? 0n : text + BigInt(index) * size;
      }),
      cdecl(name('strrchr', 'wcsrchr'), ['pointer', 'u32'], (call, text, code) => {
        const all = units(call, text, unit);
        const wanted = code & mask;
        const index = wanted === 0 ? all.length : all.lastIndexOf(wanted);
        return index < 0 ? 0n : text + BigInt(index) * size;
      }),
      cdecl(name('strstr', 'wcsstr'), ['pointer', 'pointer'], (call, text, part) => {
        const index = textOf(call, text, unit).indexOf(textOf(call, part, unit));
        return index < 0 ? 0n : text + BigInt(index) * size;
      }),
      cdecl(name('strspn', 'wcsspn'), ['pointer', 'pointer'], (call, text, set) => {
        const members = new Set(units(call, set, unit));
        const index = units(call, text, unit).findIndex((code) => !members.has(code));
        return BigInt(index < 0 ? units(call, text, unit).length : index);
      }),
      cdecl(name('strcspn', 'wcscspn'), ['pointer', 'pointer'], (call, text, set) => {
        const members = new Set(units(call, set, unit));
        const index = units(call, text, unit).findIndex((code) => members.has(code));
        return BigInt(index < 0 ? units(call, text, unit).length : index);
      }),
      cdecl(name('strpbrk', 'wcspbrk'), ['pointer', 'pointer'], (call, text, set) => {
        const members = new Set(units(call, set, unit));
        const index = units(call, text, unit).findIndex((code) => members.has(code));
        return index < 0 ? 0n : text + BigInt(index) * size;
      }),
      ...changed(name('_strlwr', '_wcslwr'), unit, lower),
      ...changed(name('_strupr', '_wcsupr'), unit, upper),
      cdecl(name('_strrev', '_wcsrev'), ['pointer'], (call, text) => {
        store(call, text, units(call, text, unit).slice().reverse(), false);
        return text;
      }),
      cdecl(name('_strset', '_wcsset'), ['pointer', 'u32'], (call, text, code) => {
        store(
          call,
          text,
          units(call, text, unit)
            .slice()
            .fill(code & mask),
          false,
        );
        return text;
      }),
    ];
  });
}

function changed(name: string, unit: Unit, map: (code: number) => number): SimulatedExport[] {
  return [
    cdecl(name, ['pointer'], (call, text) => {
      store(call, text, units(call, text, unit).map(map), false);
      return text;
    }),
  ];
}

/** Searching and comparing bytes, of vcruntime140.dll, ucrtbase.dll and the kernels (string.h). */
export function byteExports(): SimulatedExport[] {
  return [
    cdecl('memchr', ['pointer', 'u32', 'size'], (call, at, code, size) =>
      findByte(call, at, code & 0xff, size),
    ),
    cdecl('wmemchr', ['pointer', 'u32', 'size'], (call, at, code, count) => {
      for (let index = 0n; index < count; index++)
        if (call.memory.readU16(at + 2n * index) === (code & 0xffff)) return at + 2n * index;
      return 0n;
    }),
    cdecl('_memicmp', ['pointer', 'pointer', 'size'], (call, a, b, size) => {
      for (let index = 0n; index < size; index++) {
        const difference = lower(call.memory.readU8(a + index)) - lower(call.memory.readU8(b + index));
        if (difference !== 0) return difference;
      }
      return 0;
    }),
  ];
}

/** Reads page by page, so that nothing behind the byte that is found need be readable. */
function findByte({ memory }: ServiceCall, at: bigint, code: number, size: bigint): bigint {
  for (let done = 0n; done < size; ) {
    const rest = 0x1000n - ((at + done) & 0xfffn);
    const count = rest < size - done ? rest : size - done;
    const index = memory.read(at + done, count).indexOf(code);
    if (index >= 0) return at + done + BigInt(index);
    done += count;
  }
  return 0n;
}

/** `strcpy_s` and its like: errors go to the invalid parameter handler (string.h, Annex K as Windows has it). */
export function secureStringExports(): SimulatedExport[] {
  return ([1, 2] as const).flatMap((unit) => {
    const name = (narrow: string, wide: string) => (unit === 1 ? narrow : wide);
    const size = BigInt(unit);
    const clear = ({ memory }: ServiceCall, to: bigint) => memory.fill(to, size, 0);
    const copyTo = (
      call: ServiceCall,
      named: string,
      to: bigint,
      room: bigint,
      from: bigint,
      limit: bigint | undefined,
      append: boolean,
    ): ServiceResult => {
      if (limit === 0n && to === 0n && room === 0n) return 0;
      if (to === 0n || room === 0n) return invalidParameter(call, named, ERRNO.EINVAL);
      const used = append ? BigInt(units(call, to, unit, room).length) : 0n;
      if (used >= room) {
        clear(call, to);
        return invalidParameter(call, named, ERRNO.EINVAL);
      }
      if (from === 0n && limit !== 0n) {
        clear(call, to);
        return invalidParameter(call, named, ERRNO.EINVAL);
      }
      const isTruncating = limit !== undefined && limit === truncate(call);
      const wanted = isTruncating || limit === undefined || limit > room ? room - used : limit;
      const text = limit === 0n ? units(call, to, unit, 0n) : units(call, from, unit, wanted);
      if (BigInt(text.length) + used >= room) {
        if (isTruncating) {
          store(call, to + used * size, text.subarray(0, Number(room - used) - 1), true);
          return STRUNCATE;
        }
        clear(call, to);
        return invalidParameter(call, named, ERRNO.ERANGE, ERRNO.ERANGE);
      }
      store(call, to + used * size, text, true);
      return 0;
    };
    const copies = (named: string, append: boolean) =>
      cdecl(named, ['pointer', 'size', 'pointer'], (call, to, room, from) =>
        copyTo(call, named, to, room, from, undefined, append),
      );
    const counted = (named: string, append: boolean) =>
      cdecl(named, ['pointer', 'size', 'pointer', 'size'], (call, to, room, from, count) =>
        copyTo(call, named, to, room, from, count, append),
      );
    return [
      copies(name('strcpy_s', 'wcscpy_s'), false),
      copies(name('strcat_s', 'wcscat_s'), true),
      counted(name('strncpy_s', 'wcsncpy_s'), false),
      counted(name('strncat_s', 'wcsncat_s'), true),
    ];
  });
}

const truncate = ({ pointerSize }: ServiceCall): bigint => BigInt.asUintN(8 * pointerSize, -1n);

function tokens(call: ServiceCall, text: bigint, set: bigint, context: bigint, unit: Unit): bigint {
  const { memory } = call;
  const size = BigInt(unit);
  const start = text === 0n ? memory.readPointer(context) : text;
  if (start === 0n) return 0n;
  const members = new Set(units(call, set, unit));
  const all = units(call, start, unit);
  const first = all.findIndex((code) => !members.has(code));
  if (first < 0) {
    memory.writePointer(context, start + BigInt(all.length) * size);
    return 0n;
  }
  const length = all.subarray(first).findIndex((code) => members.has(code));
  const end = start + BigInt(length < 0 ? all.length : first + length) * size;
  if (length >= 0) memory.fill(end, size, 0);
  memory.writePointer(context, length < 0 ? end : end + size);
  return start + BigInt(first) * size;
}

/** strtok, strdup and what else needs memory or state of the runtime. */
export function statefulStringExports(): SimulatedExport[] {
  return ([1, 2] as const).flatMap((unit) => {
    const name = (narrow: string, wide: string) => (unit === 1 ? narrow : wide);
    const context = unit === 1 ? THREAD.strtok : THREAD.wcstok;
    return [
      cdecl(name('strtok', '_wcstok'), ['pointer', 'pointer'], (call, text, set) => {
        const at = threadData(call, context);
        return at === undefined ? 0n : tokens(call, text, set, at, unit);
      }),
      cdecl(name('strtok_s', 'wcstok_s'), ['pointer', 'pointer', 'pointer'], (call, text, set, at) =>
        tokens(call, text, set, at, unit),
      ),
      cdecl(name('_strdup', '_wcsdup'), ['pointer'], (call, text) => {
        if (text === 0n) return 0n;
        const all = units(call, text, unit);
        const copy = call.process.allocateHeap(call.thread, (all.length + 1) * unit);
        if (copy === 0n) return failed(call, ERRNO.ENOMEM, 0n);
        store(call, copy, all, true);
        return copy;
      }),
      cdecl(name('strcoll', 'wcscoll'), ['pointer', 'pointer'], (call, a, b) =>
        compareUnits(call, a, b, unit, undefined),
      ),
      cdecl(name('_stricoll', '_wcsicoll'), ['pointer', 'pointer'], (call, a, b) =>
        compareUnits(call, a, b, unit, undefined, lower),
      ),
      cdecl(name('strxfrm', 'wcsxfrm'), ['pointer', 'pointer', 'size'], (call, to, from, room) => {
        const all = units(call, from, unit);
        if (room > 0n) store(call, to, all.subarray(0, Number(room) - 1), true);
        return BigInt(all.length);
      }),
      ...[name('_strlwr_s', '_wcslwr_s'), name('_strupr_s', '_wcsupr_s')].map((named) =>
        cdecl(named, ['pointer', 'size'], (call, text, room) => {
          if (text === 0n || BigInt(units(call, text, unit, room).length) >= room)
            return invalidParameter(call, named, ERRNO.EINVAL);
          store(call, text, units(call, text, unit).map(named.includes('lwr') ? lower : upper), false);
          setErrno(call, 0);
          return 0;
        }),
      ),
    ];
  });
}
