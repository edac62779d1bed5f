import type { ServiceCall, SimulatedExport } from '../../dispatch/index.js';
import { cdecl } from '../simulated-export.js';
import { PROCESS, processData } from './state.js';

const CHAR_MAX = 0x7f;
const POINTERS = 10;
const NUMBERS = 8;

/** struct lconv: ten char*, eight chars, eight wchar_t*: those of the locale "C". */
function writeLconv(call: ServiceCall): bigint {
  const { memory, pointerSize } = call;
  const at = processData(call, PROCESS.lconv);
  if (memory.readPointer(at) !== 0n) return at;
  const text = processData(call, PROCESS.lconvText);
  memory.write(text, Buffer.from('.\0\0\0.\0\0\0', 'latin1'));
  const [point, empty, widePoint, wideEmpty] = [text, text + 1n, text + 4n, text + 6n];
  for (let index = 0; index < POINTERS; index++)
    memory.writePointer(at + BigInt(index * pointerSize), index === 0 ? point : empty);
  const numbers = at + BigInt(POINTERS * pointerSize);
  memory.fill(numbers, NUMBERS, CHAR_MAX);
  for (let index = 0; index < 8; index++)
    memory.writePointer(numbers + BigInt(NUMBERS + index * pointerSize), index === 0 ? widePoint : wideEmpty);
  return at;
}

/** locale.h: there is the locale "C" only. */
export function localeExports(): SimulatedExport[] {
  const isC = (name: string) => name === '' || name === 'C' || name === 'POSIX';
  const set = (call: ServiceCall, locale: bigint, unit: 1 | 2): bigint => {
    const { memory } = call;
    if (locale !== 0n && !isC(unit === 1 ? memory.readCString(locale) : memory.readUtf16(locale))) return 0n;
    const at = processData(call, PROCESS.locale) + (unit === 1 ? 0n : 4n);
    memory.write(at, Buffer.from('C\0', unit === 1 ? 'latin1' : 'utf16le'));
    return at;
  };
  return [
    cdecl('setlocale', ['i32', 'pointer'], (call, _category, locale) => set(call, locale, 1)),
    cdecl('_wsetlocale', ['i32', 'pointer'], (call, _category, locale) => set(call, locale, 2)),
    cdecl('localeconv', [], writeLconv),
    cdecl('_create_locale', ['i32', 'pointer'], (call) => processData(call, PROCESS.locale)),
    cdecl('_free_locale', ['pointer'], () => {}),
    cdecl('_get_current_locale', [], (call) => processData(call, PROCESS.locale)),
    cdecl('___lc_locale_name_func', [], () => 0n),
    cdecl('___lc_collate_cp_func', [], () => 0),
    cdecl('_getmbcp', [], () => 0),
    cdecl('_setmbcp', ['i32'], () => 0),
  ];
}
