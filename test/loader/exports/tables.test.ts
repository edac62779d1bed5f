import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseFloatLiteral, roundLiteral } from '../../../loader/exports/text/decimal.js';
import { bitsToNumber, numberToBits } from '../../../loader/exports/text/format-float.js';
import { type PrintfOptions, printf } from '../../../loader/exports/text/printf.js';
import { scanf, textInput } from '../../../loader/exports/text/scanf.js';
import type { VariadicArguments } from '../../../loader/exports/text/varargs.js';
import { parseInteger } from '../../../loader/exports/ucrtbase/convert.js';
import { ucrtbase } from '../../../loader/exports/ucrtbase/index.js';
import { scale, split } from '../../../loader/exports/ucrtbase/math.js';
import { formatTime } from '../../../loader/exports/ucrtbase/time.js';

/** What glibc 2.36 gives: written by host-c-library.c beside this file. */
const TABLE = JSON.parse(readFileSync(new URL('./host-c-library.json', import.meta.url), 'utf8')) as Record<
  string,
  (string | number)[][]
>;
const rows = (name: string) => TABLE[name] ?? [];
const OPTIONS: PrintfOptions = { wide: false, legacyWideSpecifiers: false, rounding: 'toEven' };

/** Memory of a few texts and cells: addresses count from 1. */
function memoryOf(texts: readonly string[] = []) {
  const cells = new Map<bigint, string | number>();
  const memory = {
    pointerSize: 8,
    readCString: (at: bigint, limit?: number) => (texts[Number(at) - 1] ?? '').slice(0, limit),
    write: (at: bigint, bytes: Uint8Array) => {
      cells.set(at, Buffer.from(bytes).toString('latin1').replace(/\0$/, ''));
    },
    writeU32: (at: bigint, value: number) => {
      cells.set(at, value | 0);
    },
  };
  return { cells, memory: memory as unknown as VariadicArguments['memory'] };
}

function argumentsOf(values: readonly bigint[], texts: readonly string[] = []): VariadicArguments {
  let next = 0;
  const take = () => values[next++] ?? 0n;
  return { memory: memoryOf(texts).memory, pointerSize: 8, word: take, quad: take };
}

function format(text: string, values: readonly bigint[], texts: readonly string[] = [], options = OPTIONS) {
  let all = '';
  printf(text, argumentsOf(values, texts), options, {
    text: (piece) => {
      all += piece;
    },
    fill: (character, count) => {
      all += character.repeat(count);
    },
  });
  return all;
}

describe('formatting, against the C library of the host', () => {
  it('prints every double as it does', () => {
    const wrong = rows('float').filter(
      ([f, raw, wanted]) => format(String(f), [BigInt(`0x${raw}`)]) !== String(wanted),
    );
    expect(wrong).toEqual([]);
    expect(rows('float').length).toBeGreaterThan(500);
  });

  it.each(['integer', 'long'])('prints every %s as it does', (name) => {
    const wrong = rows(name).filter(
      ([f, value, wanted]) => format(String(f), [BigInt.asUintN(64, BigInt(value ?? 0))]) !== wanted,
    );
    expect(wrong).toEqual([]);
  });

  it('prints text as it does', () => {
    const wrong = rows('string').filter(
      ([f, text, wanted]) => format(String(f), [1n], [String(text)]) !== wanted,
    );
    expect(wrong).toEqual([]);
  });

  it.each([
    // learn.microsoft.com, "Format specification syntax": what the universal C runtime has of its own.
    ['%p', 0x1234n, '0000000000001234'],
    ['%a', numberToBits(1), '0x1.0000000000000p+0'],
    ['%I64d', BigInt.asUintN(64, -5n), '-5'],
    ['%I32u', 0xffff_ffff_ffff_ffffn, '4294967295'],
    ['%zx', 0xffff_ffff_ffff_ffffn, 'ffffffffffffffff'],
    ['%f', 0x7ff8_0000_0000_0000n, 'nan'],
    ['%f', 0xfff8_0000_0000_0000n, '-nan(ind)'],
    ['%f', 0x7ff0_0000_0000_0001n, 'nan(snan)'],
    ['%s', 0n, '(null)'],
  ])('prints %s of %s as the universal C runtime does', (f, value, wanted) => {
    expect(format(f, [value])).toBe(wanted);
  });

  it('rounds exact halves away from zero and writes three digits of exponent when it is asked to', () => {
    expect(format('%.0f', [numberToBits(2.5)], [], { ...OPTIONS, rounding: 'up' })).toBe('3');
    expect(format('%.0f', [numberToBits(2.5)])).toBe('2');
    expect(format('%e', [numberToBits(1)], [], { ...OPTIONS, threeDigitExponents: true })).toBe(
      '1.000000e+000',
    );
  });
});

describe('numbers from text, against the C library of the host', () => {
  const bitsOf = (text: string, size: 'single' | 'double') => {
    const spaces = /^\s*/.exec(text)?.[0].length ?? 0;
    const parsed = parseFloatLiteral(text.slice(spaces));
    if (parsed === undefined) return { value: 0, end: 0 };
    const end = spaces + parsed.length;
    if (parsed.kind === 'number') return { value: roundLiteral(parsed.literal, size).value, end };
    if (parsed.kind === 'nan') return { value: Number.NaN, end };
    return { value: parsed.negative ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY, end };
  };

  it('rounds every literal to the same double, and stops at the same character', () => {
    const wrong = rows('strtod').filter(([text, raw, end]) => {
      const own = bitsOf(String(text), 'double');
      return numberToBits(own.value) !== BigInt(`0x${raw}`) || own.end !== end;
    });
    expect(wrong).toEqual([]);
  });

  it('rounds every literal to the same float, once', () => {
    const view = new DataView(new ArrayBuffer(4));
    const wrong = rows('strtof').filter(([text, raw]) => {
      view.setFloat32(0, bitsOf(String(text), 'single').value);
      return view.getUint32(0) !== Number(`0x${raw}`);
    });
    expect(wrong).toEqual([]);
  });

  it('reads every integer', () => {
    const clamp = (value: bigint, low: bigint, high: bigint) =>
      value < low ? low : value > high ? high : value;
    const wrong = rows('strtoll').filter(([text, base, value, end]) => {
      const own = parseInteger(String(text), Number(base));
      return clamp(own.value, -(1n << 63n), (1n << 63n) - 1n) !== BigInt(value ?? 0) || own.length !== end;
    });
    expect(wrong).toEqual([]);
  });

  it('scans as it does', () => {
    const wrong = rows('sscanf').flatMap(([text, f, count, ...values]) => {
      const { cells, memory } = memoryOf();
      let next = 0n;
      const take = () => (next += 1n);
      const assigned = scanf(
        String(f),
        { memory, pointerSize: 8, word: take, quad: take },
        { wide: false, legacyWideSpecifiers: false, secure: false },
        textInput(String(text)),
      );
      const own = [...cells.values()];
      return assigned === count && values.every((value, index) => own[index] === value)
        ? []
        : [[text, f, count, values, assigned, own]];
    });
    expect(wrong).toEqual([]);
  });
});

describe('mathematics, against the C library of the host', () => {
  const exports = new Map(ucrtbase().exports.map((entry) => [entry.name, entry]));
  const evaluate = (name: string, values: readonly number[]): number => {
    const call = {
      pointerSize: 8,
      thread: { teb: undefined, architecture: { name: 'x64' } },
      process: { environment: undefined },
      argument: () => 0n,
      floatArgument: (index: number) => values[index] ?? 0,
    };
    const result = exports.get(name)?.serve(call as never) as { value: number };
    return result.value;
  };
  const number = (raw: string | number | undefined) => bitsToNumber(BigInt(`0x${raw}`));
  /** Units in the last place between two numbers. */
  const distance = (name: string, a: number, b: number): bigint => {
    if (Object.is(a, b) || (Number.isNaN(a) && Number.isNaN(b))) return 0n;
    if (Number.isNaN(a) || Number.isNaN(b)) return 1n << 64n;
    const ordered = (value: number) => {
      const raw = numberToBits(value);
      return raw >> 63n === 0n ? raw : -(raw & ~(1n << 63n));
    };
    const steps = ordered(a) - ordered(b);
    // C leaves open which zero fmin and fmax give.
    if (a === 0 && b === 0) return name.startsWith('fm') ? 0n : 1n << 32n;
    return steps < 0n ? -steps : steps;
  };

  it('is right to one unit in the last place', () => {
    const wrong = [...rows('math1'), ...rows('math2')].flatMap(([name, ...given]) => {
      const values = given.slice(0, -1).map(number);
      const wanted = number(given.at(-1));
      const own = evaluate(String(name), values);
      return distance(String(name), own, wanted) <= 1n
        ? []
        : [`${name}(${values.join(', ')}) = ${own}, not ${wanted}`];
    });
    expect(wrong).toEqual([]);
    expect(rows('math1').length + rows('math2').length).toBeGreaterThan(1000);
  });

  it('scales and splits exactly', () => {
    const scaled = rows('ldexp').filter(
      ([x, by, wanted]) => !Object.is(scale(number(x), Number(by)), number(wanted)),
    );
    const parts = rows('frexp').filter(([x, fraction, exponent]) => {
      const own = split(number(x));
      return !Object.is(own.fraction, number(fraction)) || own.exponent !== exponent;
    });
    expect([scaled, parts]).toEqual([[], []]);
  });
});

describe('time, against the C library of the host', () => {
  it('prints every date as it does', () => {
    const wrong = rows('strftime').filter(([f, time, wanted]) => {
      const date = new Date(Number(time) * 1000);
      const year = date.getUTCFullYear();
      const yday = Math.floor((date.getTime() - Date.UTC(year, 0, 1)) / 86_400_000);
      const own = formatTime(String(f), [
        date.getUTCSeconds(),
        date.getUTCMinutes(),
        date.getUTCHours(),
        date.getUTCDate(),
        date.getUTCMonth(),
        year - 1900,
        date.getUTCDay(),
        yday,
        0,
      ]);
      return own !== wanted;
    });
    expect(wrong).toEqual([]);
  });
});
