import type { ServiceCall, SimulatedExport } from '../dispatch/index.js';
import { fail, giveText, setLastError } from './disk-access.js';
import { defineExport } from './simulated-export.js';

const CP_ACP = 0;
const CP_OEMCP = 1;
const CP_THREAD_ACP = 3;
const CP_UTF7 = 65000;
const CP_UTF8 = 65001;
const LATIN1 = 28591;
const WINDOWS_1252 = 1252;
const ERROR = {
  insufficientBuffer: 122,
  invalidFlags: 1004,
  noUnicodeTranslation: 1113,
  invalidParameter: 87,
} as const;
const MB_ERR_INVALID_CHARS = 8;
const WC_ERR_INVALID_CHARS = 0x80;

/** The bytes 80 to 9F of Windows-1252 that are not those of Latin-1 (unicode.org, CP1252.TXT with best fit). */
const HIGH =
  '\u20ac\x81\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\x8d\u017d\x8f\x90\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\x9d\u017e\u0178';

/** The code page of a machine: 1252, as of an English Windows. */
const actual = (codePage: number): number =>
  codePage === CP_ACP || codePage === CP_OEMCP || codePage === CP_THREAD_ACP ? WINDOWS_1252 : codePage;

const isKnown = (codePage: number): boolean =>
  [WINDOWS_1252, LATIN1, CP_UTF8, 20127, 437, CP_UTF7].includes(codePage) &&
  codePage !== 437 &&
  codePage !== CP_UTF7;

function decode(bytes: Uint8Array, codePage: number): string {
  if (codePage === CP_UTF8) return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  const text = Buffer.from(bytes).toString('latin1');
  if (codePage !== WINDOWS_1252) return text;
  return text.replace(/[\x80-\x9f]/g, (code) => HIGH[code.charCodeAt(0) - 0x80] ?? code);
}

/** What the code page does not have becomes `fallback`. */
function encode(text: string, codePage: number, fallback: number): { bytes: Uint8Array; replaced: boolean } {
  if (codePage === CP_UTF8) return { bytes: Buffer.from(text, 'utf8'), replaced: false };
  let replaced = false;
  const bytes = [...splitUnits(text)].map((unit) => {
    const code = unit.charCodeAt(0);
    if (codePage === WINDOWS_1252) {
      const index = HIGH.indexOf(unit);
      if (index >= 0) return 0x80 + index;
    }
    const highest = codePage === 20127 ? 0x7f : 0xff;
    if (code <= highest) return code;
    replaced = true;
    return fallback;
  });
  return { bytes: Uint8Array.from(bytes), replaced };
}

/** A pair of surrogates is one character. */
function* splitUnits(text: string): Iterable<string> {
  for (const character of text) yield character;
}

const isInvalidUtf8 = (bytes: Uint8Array): boolean => {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return false;
  } catch {
    return true;
  }
};

function toWide(
  call: ServiceCall,
  given: { codePage: number; flags: number; from: bigint; length: number; to: bigint; room: number },
): number {
  const { memory } = call;
  const { from, length, to, room, flags } = given;
  const codePage = actual(given.codePage);
  if (!isKnown(codePage) || from === 0n || length === 0 || room < 0)
    return fail(call, ERROR.invalidParameter, 0);
  const bytes =
    length < 0
      ? Buffer.concat([memory.readTerminated(from, 1), Uint8Array.of(0)])
      : memory.read(from, length);
  if ((flags & MB_ERR_INVALID_CHARS) !== 0 && codePage === CP_UTF8 && isInvalidUtf8(bytes))
    return fail(call, ERROR.noUnicodeTranslation, 0);
  const text = decode(bytes, codePage);
  if (room === 0) return text.length;
  if (text.length > room) return fail(call, ERROR.insufficientBuffer, 0);
  memory.write(to, Buffer.from(text, 'utf16le'));
  return text.length;
}

function toBytes(
  call: ServiceCall,
  given: {
    codePage: number;
    flags: number;
    from: bigint;
    length: number;
    to: bigint;
    room: number;
    fallback: bigint;
    used: bigint;
  },
): number {
  const { memory } = call;
  const { from, length, to, room, fallback, used, flags } = given;
  const codePage = actual(given.codePage);
  if (!isKnown(codePage) || from === 0n || length === 0 || room < 0)
    return fail(call, ERROR.invalidParameter, 0);
  if (codePage === CP_UTF8 && (fallback !== 0n || used !== 0n)) return fail(call, ERROR.invalidParameter, 0);
  const text =
    length < 0
      ? `${memory.readUtf16(from)}\0`
      : Buffer.from(memory.read(from, length * 2)).toString('utf16le');
  if (
    (flags & WC_ERR_INVALID_CHARS) !== 0 &&
    codePage === CP_UTF8 &&
    /(?:[\ud800-\udbff](?![\udc00-\udfff]))|(?:(?<![\ud800-\udbff])[\udc00-\udfff])/.test(text)
  )
    return fail(call, ERROR.noUnicodeTranslation, 0);
  const { bytes, replaced } = encode(text, codePage, fallback === 0n ? 0x3f : memory.readU8(fallback));
  if (used !== 0n) memory.writeU32(used, replaced ? 1 : 0);
  if (room === 0) return bytes.length;
  if (bytes.length > room) return fail(call, ERROR.insufficientBuffer, 0);
  memory.write(to, bytes);
  return bytes.length;
}

const FORMAT = {
  allocate: 0x100,
  ignoreInserts: 0x200,
  fromString: 0x400,
  fromModule: 0x800,
  fromSystem: 0x1000,
  array: 0x2000,
} as const;

/** Texts of system errors (winerror.h), as far as this system gives them. */
const SYSTEM_MESSAGES: Readonly<Record<number, string>> = {
  0: 'The operation completed successfully.',
  2: 'The system cannot find the file specified.',
  3: 'The system cannot find the path specified.',
  5: 'Access is denied.',
  6: 'The handle is invalid.',
  8: 'Not enough memory resources are available to process this command.',
  18: 'There are no more files.',
  32: 'The process cannot access the file because it is being used by another process.',
  38: 'Reached the end of the file.',
  80: 'The file exists.',
  87: 'The parameter is incorrect.',
  122: 'The data area passed to a system call is too small.',
  123: 'The filename, directory name, or volume label syntax is incorrect.',
  126: 'The specified module could not be found.',
  127: 'The specified procedure could not be found.',
  145: 'The directory is not empty.',
  183: 'Cannot create a file when that file already exists.',
};

function formatMessage(
  call: ServiceCall,
  unit: 1 | 2,
  [flags, source, id, target, room, list]: readonly [number, bigint, number, bigint, number, bigint],
): number {
  const { memory, process, thread, pointerSize } = call;
  const read = (at: bigint) => (unit === 1 ? memory.readCString(at) : memory.readUtf16(at));
  let text: string | undefined;
  if ((flags & FORMAT.fromString) !== 0) text = read(source);
  else if ((flags & FORMAT.fromSystem) !== 0 && SYSTEM_MESSAGES[id] !== undefined)
    text = `${SYSTEM_MESSAGES[id]}\r\n`;
  if (text === undefined) return fail(call, 317, 0);
  if ((flags & FORMAT.ignoreInserts) === 0)
    text = text.replace(
      /%([1-9]\d?)(?:!s!)?|%(.)/g,
      (_, number: string | undefined, letter: string | undefined) => {
        if (number === undefined) return letter === 'n' ? '\r\n' : letter === '0' ? '' : (letter ?? '');
        const at = (flags & FORMAT.array) !== 0 ? list : list === 0n ? 0n : memory.readPointer(list);
        return at === 0n ? '' : read(memory.readPointer(at + BigInt((Number(number) - 1) * pointerSize)));
      },
    );
  const bytes = Buffer.from(`${text}\0`, unit === 1 ? 'latin1' : 'utf16le');
  if ((flags & FORMAT.allocate) !== 0) {
    const block = process.allocateHeap(thread, Math.max(bytes.length, room * unit));
    memory.write(block, bytes);
    memory.writePointer(target, block);
    return text.length;
  }
  if (text.length >= room) return fail(call, ERROR.insufficientBuffer, 0);
  memory.write(target, bytes);
  return text.length;
}

/** Text of kernelbase.dll (stringapiset.h, winnls.h, winbase.h). */
export function userText(): SimulatedExport[] {
  const both = ([1, 2] as const).flatMap((unit) => {
    const letter = unit === 1 ? 'A' : 'W';
    const read = ({ memory }: ServiceCall, at: bigint) =>
      unit === 1 ? memory.readCString(at) : memory.readUtf16(at);
    const write = ({ memory }: ServiceCall, at: bigint, text: string) =>
      memory.write(at, Buffer.from(`${text}\0`, unit === 1 ? 'latin1' : 'utf16le'));
    const compare = (name: string, fold: boolean) =>
      defineExport(`${name}${letter}`, ['pointer', 'pointer'], (call, a, b) => {
        const [left, right] = [read(call, a), read(call, b)].map((text) =>
          fold ? text.toLowerCase() : text,
        ) as [string, string];
        return left === right ? 0 : left < right ? -1 : 1;
      });
    return [
      defineExport(
        `FormatMessage${letter}`,
        ['u32', 'pointer', 'u32', 'u32', 'pointer', 'u32', 'pointer'],
        (call, flags, source, id, _language, target, room, list) =>
          formatMessage(call, unit, [flags, source, id, target, room, list]),
      ),
      defineExport(`lstrlen${letter}`, ['pointer'], (call, text) =>
        text === 0n ? 0 : read(call, text).length,
      ),
      defineExport(`lstrcpy${letter}`, ['pointer', 'pointer'], (call, to, from) => {
        write(call, to, read(call, from));
        return to;
      }),
      defineExport(`lstrcpyn${letter}`, ['pointer', 'pointer', 'i32'], (call, to, from, room) => {
        if (room > 0) write(call, to, read(call, from).slice(0, room - 1));
        return to;
      }),
      defineExport(`lstrcat${letter}`, ['pointer', 'pointer'], (call, to, from) => {
        write(call, to, read(call, to) + read(call, from));
        return to;
      }),
      compare('lstrcmp', false),
      compare('lstrcmpi', true),
    ];
  });
  return [
    ...both,
    defineExport(
      'MultiByteToWideChar',
      ['u32', 'u32', 'pointer', 'i32', 'pointer', 'i32'],
      (call, codePage, flags, from, length, to, room) =>
        toWide(call, { codePage, flags, from, length, to, room }),
    ),
    defineExport(
      'WideCharToMultiByte',
      ['u32', 'u32', 'pointer', 'i32', 'pointer', 'i32', 'pointer', 'pointer'],
      (call, codePage, flags, from, length, to, room, fallback, used) =>
        toBytes(call, { codePage, flags, from, length, to, room, fallback, used }),
    ),
    defineExport('GetACP', [], () => WINDOWS_1252),
    defineExport('GetOEMCP', [], () => WINDOWS_1252),
    defineExport('IsValidCodePage', ['u32'], (_call, codePage) => (isKnown(codePage) ? 1 : 0)),
    defineExport('GetCPInfo', ['u32', 'pointer'], (call, codePage, info) => {
      if (!isKnown(actual(codePage))) return fail(call, ERROR.invalidParameter, 0);
      const bytes = new Uint8Array(20);
      bytes[0] = actual(codePage) === CP_UTF8 ? 4 : 1;
      bytes[4] = 0x3f;
      call.memory.write(info, bytes);
      return 1;
    }),
    defineExport('GetUserDefaultLCID', [], () => 0x409),
    defineExport('GetSystemDefaultLCID', [], () => 0x409),
    defineExport('GetUserDefaultLangID', [], () => 0x409),
    defineExport('GetThreadLocale', [], () => 0x409),
    defineExport('IsDBCSLeadByte', ['u32'], () => 0),
    defineExport('IsDBCSLeadByteEx', ['u32', 'u32'], () => 0),
    // CSTR_LESS_THAN 1, CSTR_EQUAL 2, CSTR_GREATER_THAN 3; code units are compared (modelled).
    defineExport(
      'CompareStringOrdinal',
      ['pointer', 'i32', 'pointer', 'i32', 'u32'],
      (call, a, aLength, b, bLength, fold) => {
        const text = (at: bigint, length: number) => {
          const own =
            length < 0
              ? call.memory.readUtf16(at)
              : Buffer.from(call.memory.read(at, 2 * length)).toString('utf16le');
          return fold !== 0 ? own.toUpperCase() : own;
        };
        const [left, right] = [text(a, aLength), text(b, bLength)];
        return left === right ? 2 : left < right ? 1 : 3;
      },
    ),
    defineExport('GetComputerNameW', ['pointer', 'pointer'], (call, to, size) =>
      computerName(call, to, size, 2),
    ),
    defineExport('GetComputerNameA', ['pointer', 'pointer'], (call, to, size) =>
      computerName(call, to, size, 1),
    ),
    defineExport('GetUserNameA', ['pointer', 'pointer'], (call, to, size) => computerName(call, to, size, 1)),
    defineExport('GetUserNameW', ['pointer', 'pointer'], (call, to, size) => computerName(call, to, size, 2)),
  ];
}

function computerName(call: ServiceCall, to: bigint, size: bigint, unit: 1 | 2): number {
  const room = call.memory.readU32(size);
  const length = giveText(call, to, room, 'LAB', unit);
  call.memory.writeU32(size, length);
  if (length < room) return 1;
  setLastError(call, 111);
  return 0;
}
