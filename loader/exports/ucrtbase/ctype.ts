import type { SimulatedExport } from '../../dispatch/index.js';
import { cdecl } from '../simulated-export.js';
import { PROCESS, processData } from './state.js';
import { lower, upper } from './string.js';

/** ctype.h of the universal C runtime: what `_isctype` is asked for, and what its table holds. */
const UPPER = 1;
const LOWER = 2;
const DIGIT = 4;
const SPACE = 8;
const PUNCT = 0x10;
const CONTROL = 0x20;
const BLANK = 0x40;
const HEX = 0x80;
const ALPHA = 0x100;

/** The character types of the locale "C": none above 7F. */
export function characterType(code: number): number {
  if (code >= 0x41 && code <= 0x5a) return UPPER | ALPHA | (code <= 0x46 ? HEX : 0);
  if (code >= 0x61 && code <= 0x7a) return LOWER | ALPHA | (code <= 0x66 ? HEX : 0);
  if (code >= 0x30 && code <= 0x39) return DIGIT | HEX;
  if (code === 0x20) return SPACE | BLANK;
  if (code === 9) return SPACE | CONTROL | BLANK;
  if (code >= 0x0a && code <= 0x0d) return SPACE | CONTROL;
  if (code < 0x20 || code === 0x7f) return CONTROL;
  return code < 0x7f ? PUNCT : 0;
}

const LETTER = UPPER | LOWER | ALPHA;
/** `isblank` and `isprint`: the table's bit BLANK is the space alone when it is asked with graphic characters. */
const CLASSES: readonly (readonly [name: string, mask: number])[] = [
  ['alpha', LETTER],
  ['upper', UPPER],
  ['lower', LOWER],
  ['digit', DIGIT],
  ['xdigit', HEX],
  ['space', SPACE],
  ['punct', PUNCT],
  ['alnum', LETTER | DIGIT],
  ['graph', PUNCT | LETTER | DIGIT],
  ['cntrl', CONTROL],
];

const isPrintable = (code: number): boolean => code >= 0x20 && code < 0x7f;
const isBlank = (code: number): boolean => code === 0x20 || code === 9;

/** The table that `__pctype_func` gives: unsigned short [-1…255]. */
export function characterTable(): Uint8Array {
  const table = new Uint16Array(257);
  for (let code = 0; code < 256; code++) table[code + 1] = code === 9 ? SPACE | CONTROL : characterType(code);
  return new Uint8Array(table.buffer);
}

export function ctypeExports(): SimulatedExport[] {
  const tests = CLASSES.flatMap(([name, mask]) => {
    const test = (code: number) => characterType(code) & mask;
    return [
      cdecl(`is${name}`, ['i32'], (_call, code) => test(code)),
      cdecl(`_is${name}_l`, ['i32', 'pointer'], (_call, code) => test(code)),
      cdecl(`isw${name}`, ['u32'], (_call, code) => test(code & 0xffff)),
      cdecl(`_isw${name}_l`, ['u32', 'pointer'], (_call, code) => test(code & 0xffff)),
    ];
  });
  const simple = (name: string, test: (code: number) => boolean) => [
    cdecl(`is${name}`, ['i32'], (_call, code) => (test(code) ? 1 : 0)),
    cdecl(`_is${name}_l`, ['i32', 'pointer'], (_call, code) => (test(code) ? 1 : 0)),
    cdecl(`isw${name}`, ['u32'], (_call, code) => (test(code & 0xffff) ? 1 : 0)),
    cdecl(`_isw${name}_l`, ['u32', 'pointer'], (_call, code) => (test(code & 0xffff) ? 1 : 0)),
  ];
  const maps = (name: string, map: (code: number) => number) => [
    cdecl(`to${name}`, ['i32'], (_call, code) => map(code)),
    cdecl(`_to${name}_l`, ['i32', 'pointer'], (_call, code) => map(code)),
    cdecl(`tow${name}`, ['u32'], (_call, code) => map(code & 0xffff)),
    cdecl(`_tow${name}_l`, ['u32', 'pointer'], (_call, code) => map(code & 0xffff)),
  ];
  return [
    ...tests,
    ...simple('print', isPrintable),
    ...simple('blank', isBlank),
    ...maps('lower', lower),
    ...maps('upper', upper),
    cdecl('_tolower', ['i32'], (_call, code) => code + 0x20),
    cdecl('_toupper', ['i32'], (_call, code) => code - 0x20),
    cdecl('__isascii', ['i32'], (_call, code) => (code >= 0 && code < 0x80 ? 1 : 0)),
    cdecl('__toascii', ['i32'], (_call, code) => code & 0x7f),
    cdecl('__iscsym', ['i32'], (_call, code) =>
      characterType(code) & (LETTER | DIGIT) || code === 0x5f ? 1 : 0,
    ),
    cdecl('__iscsymf', ['i32'], (_call, code) => (characterType(code) & LETTER || code === 0x5f ? 1 : 0)),
    cdecl('_isctype', ['i32', 'i32'], (_call, code, mask) => characterType(code) & mask),
    cdecl('_isctype_l', ['i32', 'i32', 'pointer'], (_call, code, mask) => characterType(code) & mask),
    cdecl('iswctype', ['u32', 'u32'], (_call, code, mask) => characterType(code & 0xffff) & mask),
    cdecl('is_wctype', ['u32', 'u32'], (_call, code, mask) => characterType(code & 0xffff) & mask),
    ...['__pctype_func', '__pwctype_func'].map((name) =>
      cdecl(name, [], (call) => {
        const at = processData(call, PROCESS.ctype);
        if (call.memory.readU16(at + 2n) === 0) call.memory.write(at, characterTable());
        return at + 2n;
      }),
    ),
  ];
}
