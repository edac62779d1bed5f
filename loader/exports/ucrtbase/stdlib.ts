import type { ArchitectureName } from '../../../cpu/index.js';
import type { ArgumentType, ServiceCall, SimulatedExport } from '../../dispatch/index.js';
import type { GuestCall, GuestProcedure } from '../../threads/index.js';
import { cdecl, readArguments, wide } from '../simulated-export.js';
import { ERRNO, failed, invalidParameter, PROCESS, processData, THREAD, threadData } from './state.js';

type Compare = (a: bigint, b: bigint) => Generator<GuestCall, number, bigint>;

function comparator(target: bigint, context: bigint | undefined): Compare {
  return function* (a, b) {
    const given = context === undefined ? [a, b] : [context, a, b];
    return Number(BigInt.asIntN(32, yield { target, arguments: given }));
  };
}

/** Sorts indices by merging, so that equal elements keep their order; `compare` gets addresses of elements that stay where they are. */
function* sorted(
  base: bigint,
  count: number,
  size: bigint,
  compare: Compare,
): Generator<GuestCall, number[], bigint> {
  let runs = Array.from({ length: count }, (_, index) => [index]);
  while (runs.length > 1) {
    const merged: number[][] = [];
    for (let at = 0; at < runs.length; at += 2) {
      const [left = [], right = []] = [runs[at], runs[at + 1]];
      const all: number[] = [];
      let [l, r] = [0, 0];
      while (l < left.length && r < right.length) {
        const [a = 0, b = 0] = [left[l], right[r]];
        if ((yield* compare(base + BigInt(a) * size, base + BigInt(b) * size)) <= 0) {
          all.push(a);
          l += 1;
        } else {
          all.push(b);
          r += 1;
        }
      }
      merged.push([...all, ...left.slice(l), ...right.slice(r)]);
    }
    runs = merged;
  }
  return runs[0] ?? [];
}

function* sort(
  call: ServiceCall,
  base: bigint,
  count: bigint,
  size: bigint,
  compare: Compare,
): GuestProcedure {
  const { memory } = call;
  memory.probe(base, count * size, 'write');
  const order = yield* sorted(base, Number(count), size, compare);
  const width = Number(size);
  const before = memory.read(base, count * size);
  const after = new Uint8Array(before.length);
  for (const [to, from] of order.entries())
    after.set(before.subarray(from * width, (from + 1) * width), to * width);
  memory.write(base, after);
  return undefined;
}

function* search(key: bigint, base: bigint, count: bigint, size: bigint, compare: Compare): GuestProcedure {
  let [low, high] = [0n, count];
  while (low < high) {
    const middle = (low + high) / 2n;
    const at = base + middle * size;
    const order = yield* compare(key, at);
    if (order === 0) return at;
    if (order < 0) high = middle;
    else low = middle + 1n;
  }
  return 0n;
}

const MULTIPLIER = 214_013;
const INCREMENT = 2_531_011;

/** State 1 is what a thread begins with; it is kept with that bit turned around. */
function random(call: ServiceCall): number {
  const at = threadData(call, THREAD.rand);
  if (at === undefined) return 0;
  const state = (call.memory.readU32(at) ^ 1) >>> 0;
  const next = (Math.imul(state, MULTIPLIER) + INCREMENT) >>> 0;
  call.memory.writeU32(at, (next ^ 1) >>> 0);
  return (next >>> 16) & 0x7fff;
}

/** 64 bits of the lab's own randomness: a counter in the process, mixed (splitmix64). */
export function labRandom(call: ServiceCall): bigint {
  const at = processData(call, PROCESS.random);
  const seed = BigInt(call.kernel.machine.seed) * 0x9e37_79b9n + BigInt(call.process.id);
  const count = call.memory.readU64(at) + 1n;
  call.memory.writeU64(at, count);
  let z = BigInt.asUintN(64, (seed + count) * 0x9e37_79b9_7f4a_7c15n);
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58_476d_1ce4_e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d0_49bb_1331_11ebn);
  return z ^ (z >> 31n);
}

const rotate = (value: bigint, count: number, bits: number): bigint => {
  const by = BigInt(((count % bits) + bits) % bits);
  return BigInt.asUintN(bits, (value << by) | (value >> (BigInt(bits) - by)));
};

/** qsort, bsearch, rand, div, abs and rotations (stdlib.h). */
export function stdlibExports(): SimulatedExport[] {
  const valid = (count: bigint, base: bigint, size: bigint, compare: bigint) =>
    compare !== 0n && (count === 0n || (base !== 0n && size !== 0n)) && count < 0x1000_0000n;
  return [
    cdecl('qsort', ['pointer', 'size', 'size', 'pointer'], (call, base, count, size, compare) =>
      valid(count, base, size, compare)
        ? sort(call, base, count, size, comparator(compare, undefined))
        : invalidParameter(call, 'qsort', 0),
    ),
    cdecl(
      'qsort_s',
      ['pointer', 'size', 'size', 'pointer', 'pointer'],
      (call, base, count, size, compare, context) =>
        valid(count, base, size, compare)
          ? sort(call, base, count, size, comparator(compare, context))
          : invalidParameter(call, 'qsort_s', 0),
    ),
    cdecl(
      'bsearch',
      ['pointer', 'pointer', 'size', 'size', 'pointer'],
      (call, key, base, count, size, compare) =>
        valid(count, base, size, compare)
          ? search(key, base, count, size, comparator(compare, undefined))
          : invalidParameter(call, 'bsearch', 0n),
    ),
    cdecl(
      'bsearch_s',
      ['pointer', 'pointer', 'size', 'size', 'pointer', 'pointer'],
      (call, key, base, count, size, compare, context) =>
        valid(count, base, size, compare)
          ? search(key, base, count, size, comparator(compare, context))
          : invalidParameter(call, 'bsearch_s', 0n),
    ),
    cdecl('rand', [], random),
    cdecl('srand', ['u32'], (call, seed) => {
      const at = threadData(call, THREAD.rand);
      if (at !== undefined) call.memory.writeU32(at, (seed ^ 1) >>> 0);
    }),
    cdecl('rand_s', ['pointer'], (call, target) => {
      if (target === 0n) return invalidParameter(call, 'rand_s', ERRNO.EINVAL);
      call.memory.writeU32(target, Number(BigInt.asUintN(32, labRandom(call))));
      return 0;
    }),
    cdecl('abs', ['i32'], (_call, value) => Math.abs(value) | 0),
    cdecl('labs', ['i32'], (_call, value) => Math.abs(value) | 0),
    ...['llabs', '_abs64', 'imaxabs'].map((name) =>
      cdecl(name, ['i64'], (_call, value) => wide(value < 0n ? -value : value)),
    ),
    ...['div', 'ldiv'].map((name) =>
      cdecl(name, ['i32', 'i32'], (_call, a, b) => {
        const quotient = Math.trunc(a / b) | 0;
        return wide(
          BigInt.asUintN(32, BigInt(quotient)) | (BigInt.asUintN(32, BigInt((a - quotient * b) | 0)) << 32n),
        );
      }),
    ),
    ...['lldiv', 'imaxdiv'].map((name) => cdecl(name, [], longDivision)),
    ...(
      [
        ['_rotl', 1, 32],
        ['_rotr', -1, 32],
        ['_lrotl', 1, 32],
        ['_lrotr', -1, 32],
      ] as const
    ).map(([name, direction]) =>
      cdecl(name, ['u32', 'i32'], (_call, value, count) => rotate(BigInt(value), direction * count, 32)),
    ),
    ...(
      [
        ['_rotl64', 1],
        ['_rotr64', -1],
      ] as const
    ).map(([name, direction]) =>
      cdecl(name, ['u64', 'i32'], (_call, value, count) => wide(rotate(value, direction * count, 64))),
    ),
    cdecl('_byteswap_ushort', ['u32'], (_call, value) => ((value & 0xff) << 8) | ((value >> 8) & 0xff)),
    cdecl('_byteswap_ulong', ['u32'], (_call, value) =>
      Buffer.from(new Uint32Array([value]).buffer).readUInt32BE(),
    ),
    cdecl('_byteswap_uint64', ['u64'], (_call, value) =>
      wide(Buffer.from(new BigUint64Array([value]).buffer).readBigUInt64BE()),
    ),
    cdecl('mblen', ['pointer', 'size'], (call, at, size) =>
      at === 0n || size === 0n || call.memory.readU8(at) === 0 ? 0 : 1,
    ),
    ...multibyteExports(),
  ];
}

type StorePair = (call: ServiceCall, quotient: bigint, rest: bigint) => bigint;

const throughPointer: StorePair = (call, quotient, rest) => {
  const target = call.argument(0);
  call.memory.writeU64(target, quotient);
  call.memory.writeU64(target + 8n, rest);
  return target;
};

/** lldiv_t has 16 bytes: through a hidden pointer, the first argument, on x64 and x86, in x0 and x1 on ARM64. */
const LONG_PAIR: Readonly<
  Record<ArchitectureName, { readonly hidden: readonly ArgumentType[]; readonly store: StorePair }>
> = {
  x64: { hidden: ['pointer'], store: throughPointer },
  x86: { hidden: ['pointer'], store: throughPointer },
  arm64: {
    hidden: [],
    store({ processor }, quotient, rest) {
      processor.set('x1', BigInt.asUintN(64, rest));
      return BigInt.asUintN(64, quotient);
    },
  },
};

function longDivision(call: ServiceCall) {
  const { hidden, store } = LONG_PAIR[call.thread.architecture.name];
  const [a = 0n, b = 0n] = readArguments(call, [...hidden, 'i64', 'i64'])
    .slice(hidden.length)
    .map(BigInt);
  // Division by zero faults in the guest's own way on x86; here it gives zero, as on ARM64.
  const quotient = b === 0n ? 0n : a / b;
  return store(call, quotient, a - quotient * b);
}

/** Between bytes and UTF-16 in the locale "C": characters are bytes. */
function multibyteExports(): SimulatedExport[] {
  const MAXIMUM = { 4: 0xffff_ffffn, 8: 0xffff_ffff_ffff_ffffn } as const;
  return [
    cdecl('mbtowc', ['pointer', 'pointer', 'size'], ({ memory }, to, from, size) => {
      if (from === 0n || size === 0n) return 0;
      const code = memory.readU8(from);
      if (to !== 0n) memory.writeU16(to, code);
      return code === 0 ? 0 : 1;
    }),
    cdecl('wctomb', ['pointer', 'u32'], (call, to, code) => {
      if (to === 0n) return 0;
      if ((code & 0xffff) > 0xff) return failed(call, ERRNO.EILSEQ, -1);
      call.memory.writeU8(to, code & 0xff);
      return 1;
    }),
    cdecl('mbstowcs', ['pointer', 'pointer', 'size'], ({ memory }, to, from, room) => {
      const bytes = memory.readTerminated(from, 1);
      if (to === 0n) return BigInt(bytes.length);
      const count = BigInt(bytes.length) < room ? bytes.length : Number(room);
      const all = BigInt(count) < room ? count + 1 : count;
      const text = new Uint16Array(all);
      text.set(bytes.subarray(0, count));
      memory.write(to, new Uint8Array(text.buffer));
      return BigInt(count);
    }),
    cdecl('wcstombs', ['pointer', 'pointer', 'size'], (call, to, from, room) => {
      const { memory, pointerSize } = call;
      const text = memory.readUtf16(from);
      if (/[^\0-\xff]/.test(text)) return failed(call, ERRNO.EILSEQ, MAXIMUM[pointerSize]);
      if (to === 0n) return BigInt(text.length);
      const count = BigInt(text.length) < room ? text.length : Number(room);
      memory.write(to, Buffer.from(text.slice(0, count) + (BigInt(count) < room ? '\0' : ''), 'latin1'));
      return BigInt(count);
    }),
    ...['mbrtowc', 'mbrlen'].map((name) =>
      cdecl(name, ['pointer', 'pointer', 'size', 'pointer'], ({ memory }, to, from, size) => {
        if (from === 0n || size === 0n) return 0;
        const code = memory.readU8(from);
        if (name === 'mbrtowc' && to !== 0n) memory.writeU16(to, code);
        return code === 0 ? 0 : 1;
      }),
    ),
    cdecl('wcrtomb', ['pointer', 'u32', 'pointer'], (call, to, code) => {
      if (to === 0n) return 1;
      if ((code & 0xffff) > 0xff) return failed(call, ERRNO.EILSEQ, MAXIMUM[call.pointerSize]);
      call.memory.writeU8(to, code & 0xff);
      return 1;
    }),
    cdecl('btowc', ['i32'], (_call, code) => (code < 0 || code > 0xff ? 0xffff : code)),
    cdecl('wctob', ['u32'], (_call, code) => ((code & 0xffff) > 0xff ? -1 : code & 0xff)),
    cdecl('___mb_cur_max_func', [], () => 1),
    cdecl('___lc_codepage_func', [], () => 0),
  ];
}
