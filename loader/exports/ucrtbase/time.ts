import { SECOND, UNIX_EPOCH } from '../../common/index.js';
import type { ServiceCall, SimulatedExport } from '../../dispatch/index.js';
import { cdecl, double, wide } from '../simulated-export.js';
import { ERRNO, failed, invalidParameter, PROCESS, processData, THREAD, threadData } from './state.js';

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'] as const;
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
] as const;
/** _MAX__TIME64_T: the end of the year 3000. */
const LAST = 32_535_215_999n;
const DAY = 86_400;

/** Seconds since 1970 by the clock of the machine. */
export const unixTime = ({ kernel }: ServiceCall): bigint => (kernel.now - UNIX_EPOCH) / SECOND;

/** struct tm: nine ints. */
type Fields = readonly [
  sec: number,
  min: number,
  hour: number,
  mday: number,
  mon: number,
  year: number,
  wday: number,
  yday: number,
  isdst: number,
];

function fieldsOf(time: bigint): Fields {
  const date = new Date(Number(time) * 1000);
  const year = date.getUTCFullYear();
  const yday = Math.floor((date.getTime() - Date.UTC(year, 0, 1)) / (DAY * 1000));
  return [
    date.getUTCSeconds(),
    date.getUTCMinutes(),
    date.getUTCHours(),
    date.getUTCDate(),
    date.getUTCMonth(),
    year - 1900,
    date.getUTCDay(),
    yday,
    0,
  ];
}

const writeTm = ({ memory }: ServiceCall, at: bigint, fields: Fields): void =>
  memory.write(at, new Uint8Array(Int32Array.from(fields).buffer));

function readTm({ memory }: ServiceCall, at: bigint): Fields {
  const bytes = memory.read(at, 36);
  return [...new Int32Array(bytes.slice().buffer)] as unknown as Fields;
}

/** mktime with fields in any range; undefined outside of what time_t has. */
function toTime([sec, min, hour, mday, mon, year]: Fields): bigint | undefined {
  const years = year + Math.floor(mon / 12);
  const days = Date.UTC(2000 + ((years + 1900) % 400), ((mon % 12) + 12) % 12, 1) / 1000;
  const cycles = Math.floor((years + 1900) / 400) - 5;
  const shift = Date.UTC(2000 + ((years + 1900) % 400), 0, 1) / 1000;
  const base = BigInt(cycles) * 146_097n * BigInt(DAY) + BigInt(days - shift) + BigInt(shift);
  const time = base + BigInt(mday - 1) * BigInt(DAY) + BigInt(hour) * 3600n + BigInt(min) * 60n + BigInt(sec);
  return time < 0n || time > LAST ? undefined : time;
}

const two = (value: number, fill = '0'): string => value.toString().padStart(2, fill);

function ascTime([sec, min, hour, mday, mon, year, wday]: Fields): string {
  return `${DAYS[wday]?.slice(0, 3) ?? '???'} ${MONTHS[mon]?.slice(0, 3) ?? '???'} ${two(mday)} ${two(hour)}:${two(min)}:${two(sec)} ${year + 1900}\n`;
}

/** ISO 8601 week and the year that it belongs to. */
function isoWeek(fields: Fields): { week: number; year: number } {
  const [, , , , , year, wday, yday] = fields;
  const weekday = (wday + 6) % 7;
  const week = Math.floor((yday - weekday + 10) / 7);
  const isLeap = (y: number) => (y % 4 === 0 && y % 100 !== 0) || y % 400 === 0;
  const weeksIn = (y: number) => {
    const first = new Date(Date.UTC(y, 0, 1)).getUTCDay();
    return first === 4 || (first === 3 && isLeap(y)) ? 53 : 52;
  };
  const full = year + 1900;
  if (week < 1) return { week: weeksIn(full - 1), year: full - 1 };
  if (week > weeksIn(full)) return { week: 1, year: full + 1 };
  return { week, year: full };
}

/** strftime in the locale "C"; undefined when a conversion makes no sense. */
export function formatTime(format: string, fields: Fields): string | undefined {
  const [sec, min, hour, mday, mon, year, wday, yday] = fields;
  const full = year + 1900;
  const twelve = hour % 12 === 0 ? 12 : hour % 12;
  let valid = true;
  const expand = (text: string): string =>
    text.replace(/%([EO#]*)(.?)/gs, (_, flags: string, letter: string) => {
      const number = (value: number, width: number) =>
        flags.includes('#') ? value.toString() : value.toString().padStart(width, '0');
      switch (letter) {
        case 'a':
          return DAYS[wday]?.slice(0, 3) ?? '?';
        case 'A':
          return DAYS[wday] ?? '?';
        case 'b':
        case 'h':
          return MONTHS[mon]?.slice(0, 3) ?? '?';
        case 'B':
          return MONTHS[mon] ?? '?';
        case 'c':
          return flags.includes('#') ? expand('%A, %B %d, %Y %H:%M:%S') : expand('%a %b %e %H:%M:%S %Y');
        case 'C':
          return number(Math.floor(full / 100), 2);
        case 'd':
          return number(mday, 2);
        case 'D':
          return expand('%m/%d/%y');
        case 'e':
          return flags.includes('#') ? mday.toString() : two(mday, ' ');
        case 'F':
          return expand('%Y-%m-%d');
        case 'g':
          return number(isoWeek(fields).year % 100, 2);
        case 'G':
          return number(isoWeek(fields).year, 4);
        case 'H':
          return number(hour, 2);
        case 'I':
          return number(twelve, 2);
        case 'j':
          return number(yday + 1, 3);
        case 'm':
          return number(mon + 1, 2);
        case 'M':
          return number(min, 2);
        case 'n':
          return '\n';
        case 'p':
          return hour < 12 ? 'AM' : 'PM';
        case 'r':
          return expand('%I:%M:%S %p');
        case 'R':
          return expand('%H:%M');
        case 'S':
          return number(sec, 2);
        case 't':
          return '\t';
        case 'T':
          return expand('%H:%M:%S');
        case 'u':
          return (wday === 0 ? 7 : wday).toString();
        case 'U':
          return number(Math.floor((yday + 7 - wday) / 7), 2);
        case 'V':
          return number(isoWeek(fields).week, 2);
        case 'w':
          return wday.toString();
        case 'W':
          return number(Math.floor((yday + 7 - ((wday + 6) % 7)) / 7), 2);
        case 'x':
          return flags.includes('#') ? expand('%A, %B %d, %Y') : expand('%m/%d/%y');
        case 'X':
          return expand('%H:%M:%S');
        case 'y':
          return number(full % 100, 2);
        case 'Y':
          return full.toString();
        case 'z':
          return '+0000';
        case 'Z':
          return 'UTC';
        case '%':
          return '%';
        default:
          valid = false;
          return '';
      }
    });
  const text = expand(format);
  return valid ? text : undefined;
}

/** time.h by the machine's own clock; the time zone is UTC. */
export function timeExports(): SimulatedExport[] {
  const broken = (call: ServiceCall, time: bigint): bigint => {
    const at = threadData(call, THREAD.tm);
    if (at === undefined || time < 0n || time > LAST) return failed(call, ERRNO.EINVAL, 0n);
    writeTm(call, at, fieldsOf(time));
    return at;
  };
  const read = (call: ServiceCall, at: bigint, bits: 32 | 64): bigint =>
    bits === 64 ? BigInt.asIntN(64, call.memory.readU64(at)) : BigInt(call.memory.readU32(at) | 0);
  const asText = (call: ServiceCall, text: string, unit: 1 | 2): bigint => {
    const at = threadData(call, unit === 1 ? THREAD.asctime : THREAD.wasctime);
    if (at === undefined) return 0n;
    call.memory.write(at, Buffer.from(`${text}\0`, unit === 1 ? 'latin1' : 'utf16le'));
    return at;
  };
  const sized = ([32, 64] as const).flatMap((bits) => [
    cdecl(`_time${bits}`, ['pointer'], (call, target) => {
      const now = unixTime(call);
      if (target !== 0n && bits === 64) call.memory.writeU64(target, now);
      else if (target !== 0n) call.memory.writeU32(target, Number(now));
      return wide(now);
    }),
    ...[`_gmtime${bits}`, `_localtime${bits}`].flatMap((name) => [
      cdecl(name, ['pointer'], (call, source) =>
        source === 0n ? invalidParameter(call, name, 0n) : broken(call, read(call, source, bits)),
      ),
      cdecl(`${name}_s`, ['pointer', 'pointer'], (call, target, source) => {
        if (target === 0n || source === 0n) return invalidParameter(call, `${name}_s`, ERRNO.EINVAL);
        const time = read(call, source, bits);
        if (time < 0n || time > LAST) return failed(call, ERRNO.EINVAL, ERRNO.EINVAL);
        writeTm(call, target, fieldsOf(time));
        return 0;
      }),
    ]),
    ...[`_mktime${bits}`, `_mkgmtime${bits}`].map((name) =>
      cdecl(name, ['pointer'], (call, source) => {
        const time = toTime(readTm(call, source));
        if (time === undefined) return wide(failed(call, ERRNO.EINVAL, -1n));
        writeTm(call, source, fieldsOf(time));
        return wide(time);
      }),
    ),
    ...([1, 2] as const).flatMap((unit) => {
      const name = unit === 1 ? `_ctime${bits}` : `_wctime${bits}`;
      return [
        cdecl(name, ['pointer'], (call, source) =>
          asText(call, ascTime(fieldsOf(read(call, source, bits))), unit),
        ),
        cdecl(`${name}_s`, ['pointer', 'size', 'pointer'], (call, to, room, source) => {
          if (to === 0n || room < 26n || source === 0n)
            return invalidParameter(call, `${name}_s`, ERRNO.EINVAL);
          const text = ascTime(fieldsOf(read(call, source, bits)));
          call.memory.write(to, Buffer.from(`${text}\0`, unit === 1 ? 'latin1' : 'utf16le'));
          return 0;
        }),
      ];
    }),
    bits === 64
      ? cdecl('_difftime64', ['i64', 'i64'], (_call, a, b) => double(Number(a - b)))
      : cdecl('_difftime32', ['i32', 'i32'], (_call, a, b) => double(a - b)),
    // struct _timeb { time_t time; unsigned short millitm; short timezone, dstflag; }
    ...['', '_s'].map((suffix) =>
      cdecl(`_ftime${bits}${suffix}`, ['pointer'], (call, target) => {
        const now = unixTime(call);
        if (bits === 64) call.memory.writeU64(target, now);
        else call.memory.writeU32(target, Number(now));
        const after = target + BigInt(bits / 8);
        call.memory.writeU16(after, Number(((call.kernel.now - UNIX_EPOCH) / 10_000n) % 1000n));
        call.memory.writeU32(after + 2n, 0);
        return 0;
      }),
    ),
    // struct timespec { time_t tv_sec; long tv_nsec; }
    cdecl(`_timespec${bits}_get`, ['pointer', 'i32'], (call, target, base) => {
      if (base !== 1) return 0;
      const ticks = call.kernel.now - UNIX_EPOCH;
      if (bits === 64) call.memory.writeU64(target, ticks / SECOND);
      else call.memory.writeU32(target, Number(ticks / SECOND));
      call.memory.writeU32(target + BigInt(bits / 8), Number((ticks % SECOND) * 100n));
      return 1;
    }),
  ]);
  const formatted = ([1, 2] as const).map((unit) =>
    cdecl(
      unit === 1 ? 'strftime' : 'wcsftime',
      ['pointer', 'size', 'pointer', 'pointer'],
      (call, to, room, format, tm) => {
        if (to === 0n || room === 0n || format === 0n) return invalidParameter(call, 'strftime', 0n);
        const text = unit === 1 ? call.memory.readCString(format) : call.memory.readUtf16(format);
        const result = formatTime(text, readTm(call, tm));
        if (result === undefined) return invalidParameter(call, 'strftime', 0n);
        if (BigInt(result.length) >= room) {
          call.memory.fill(to, unit, 0);
          return failed(call, ERRNO.ERANGE, 0n);
        }
        call.memory.write(to, Buffer.from(`${result}\0`, unit === 1 ? 'latin1' : 'utf16le'));
        return BigInt(result.length);
      },
    ),
  );
  const variable = (name: string, offset: bigint) => cdecl(name, [], (call) => processData(call, offset));
  const getter = (name: string) =>
    cdecl(name, ['pointer'], (call, target) => {
      call.memory.writeU32(target, 0);
      return 0;
    });
  return [
    ...sized,
    ...formatted,
    cdecl('asctime', ['pointer'], (call, tm) => asText(call, ascTime(readTm(call, tm)), 1)),
    cdecl('clock', [], ({ kernel }) => Number(kernel.scheduler.time / 10_000n) | 0),
    variable('__timezone', PROCESS.timezone),
    variable('__daylight', PROCESS.daylight),
    variable('__dstbias', PROCESS.dstbias),
    getter('_get_timezone'),
    getter('_get_daylight'),
    getter('_get_dstbias'),
    cdecl('_tzset', [], () => {}),
    cdecl('_get_tzname', ['pointer', 'pointer', 'size', 'i32'], ({ memory }, length, to, room) => {
      memory.writePointer(length, 4n);
      if (to !== 0n && room >= 4n) memory.write(to, Buffer.from('UTC\0'));
      return 0;
    }),
  ];
}
