// Instructions of FEAT_LSE, FEAT_PAuth, FEAT_BTI, FEAT_LRCPC and FEAT_SB, which keystone 0.9 does not know.
// Encodings: Arm Architecture Reference Manual, C6.2, under each name.

/** `hint #n` by name. */
const HINTS: Readonly<Record<string, number>> = {
  xpaclri: 7,
  pacia1716: 8,
  pacib1716: 10,
  autia1716: 12,
  autib1716: 14,
  esb: 16,
  'psb csync': 17,
  csdb: 20,
  paciaz: 24,
  paciasp: 25,
  pacibz: 26,
  pacibsp: 27,
  autiaz: 28,
  autiasp: 29,
  autibz: 30,
  autibsp: 31,
  bti: 32,
  'bti c': 34,
  'bti j': 36,
  'bti jc': 38,
};

const FIXED: Readonly<Record<string, number>> = {
  retaa: 0xd65f0bff,
  retab: 0xd65f0fff,
  eretaa: 0xd69f0bff,
  eretab: 0xd69f0fff,
  sb: 0xd50330ff,
};

/** Operands `Xd, Xn`. */
const SIGN: Readonly<Record<string, number>> = {
  pacia: 0xdac10000,
  pacib: 0xdac10400,
  pacda: 0xdac10800,
  pacdb: 0xdac10c00,
  autia: 0xdac11000,
  autib: 0xdac11400,
  autda: 0xdac11800,
  autdb: 0xdac11c00,
};

/** Operand `Xd`. */
const SIGN_ZERO: Readonly<Record<string, number>> = {
  paciza: 0xdac123e0,
  pacizb: 0xdac127e0,
  pacdza: 0xdac12be0,
  pacdzb: 0xdac12fe0,
  autiza: 0xdac133e0,
  autizb: 0xdac137e0,
  autdza: 0xdac13be0,
  autdzb: 0xdac13fe0,
  xpaci: 0xdac143e0,
  xpacd: 0xdac147e0,
};

/** Operands `Xn, Xm`; without `Xm` for the forms that end in z. */
const BRANCHES: Readonly<Record<string, number>> = {
  braa: 0xd71f0800,
  brab: 0xd71f0c00,
  blraa: 0xd73f0800,
  blrab: 0xd73f0c00,
  braaz: 0xd61f081f,
  brabz: 0xd61f0c1f,
  blraaz: 0xd63f081f,
  blrabz: 0xd63f0c1f,
};

/** Bits 15:12 of the atomic memory operations; SWP is one of them with o3 set. */
const ATOMICS: Readonly<Record<string, number>> = {
  add: 0,
  clr: 1,
  eor: 2,
  set: 3,
  smax: 4,
  smin: 5,
  umax: 6,
  umin: 7,
};

interface Register {
  readonly number: number;
  readonly is64: boolean;
}

/** The instruction word as bytes, or undefined when `name` is none of these or its operands have another shape. */
export function encodeArm64Extension(name: string, operands: string): Uint8Array | undefined {
  const list = operands
    .toLowerCase()
    .split(',')
    .map((operand) => operand.replaceAll(' ', ''));
  const hint = HINTS[operands === '' ? name : `${name} ${list.join(',')}`];
  if (hint !== undefined) return word(0xd503201f | (hint << 5));
  if (operands === '') {
    const fixed = FIXED[name];
    return fixed === undefined ? undefined : word(fixed);
  }
  const udf = name === 'udf' ? /^#?(0x[0-9a-f]{1,4})$/.exec(list.join(',')) : null;
  if (udf !== null) return word(Number(udf[1]));
  const pointer = pointerAuthentication(name, list) ?? exclusive(name, list) ?? atomic(name, list);
  return pointer === undefined ? undefined : word(pointer);
}

function pointerAuthentication(name: string, operands: readonly string[]): number | undefined {
  const [first, second] = operands.map((operand) => register(operand));
  if (first?.is64 !== true || operands.length > 2) return undefined;
  const zero = SIGN_ZERO[name];
  if (zero !== undefined && operands.length === 1) return zero | first.number;
  const branch = BRANCHES[name];
  if (branch !== undefined && name.endsWith('z'))
    return operands.length === 1 ? branch | (first.number << 5) : undefined;
  const modifier = register(operands[1] ?? '', true);
  if (modifier === undefined || !modifier.is64 || operands.length !== 2) return undefined;
  if (branch !== undefined) return branch | (first.number << 5) | modifier.number;
  const sign = SIGN[name];
  return sign === undefined || (second === undefined && modifier.number !== 31)
    ? undefined
    : sign | (modifier.number << 5) | first.number;
}

/** CAS, CASP, LDAPR. */
function exclusive(name: string, operands: readonly string[]): number | undefined {
  const compare = /^cas(a?)(l?)([bh]?)$/.exec(name);
  if (compare !== null && operands.length === 3) {
    const [, acquire, release, width = ''] = compare;
    const parsed = twoAndAddress(operands, width);
    if (parsed === undefined) return undefined;
    const { s, t, n, size } = parsed;
    return (
      0x08a07c00 | (size << 30) | (acquire ? 1 << 22 : 0) | (s << 16) | (release ? 1 << 15 : 0) | (n << 5) | t
    );
  }
  const pair = /^casp(a?)(l?)$/.exec(name);
  if (pair !== null && operands.length === 5) {
    const [s, s2, t, t2] = operands.slice(0, 4).map((operand) => register(operand));
    const n = address(operands[4]);
    if (s === undefined || s2 === undefined || t === undefined || t2 === undefined || n === undefined)
      return undefined;
    const isPair = (low: Register, high: Register): boolean =>
      low.number % 2 === 0 && high.number === low.number + 1 && low.is64 === s.is64 && high.is64 === s.is64;
    if (!isPair(s, s2) || !isPair(t, t2)) return undefined;
    const bits = (s.is64 ? 1 << 30 : 0) | (pair[1] ? 1 << 22 : 0) | (pair[2] ? 1 << 15 : 0);
    return 0x08207c00 | bits | (s.number << 16) | (n << 5) | t.number;
  }
  const load = /^ldapr([bh]?)$/.exec(name);
  if (load !== null && operands.length === 2) {
    const t = register(operands[0] ?? '');
    const n = address(operands[1]);
    const size = t === undefined ? undefined : sizeOf(load[1] ?? '', t.is64);
    return t === undefined || n === undefined || size === undefined
      ? undefined
      : 0x38bfc000 | (size << 30) | (n << 5) | t.number;
  }
  return undefined;
}

/** LDADD and its siblings, their store forms, SWP. */
function atomic(name: string, operands: readonly string[]): number | undefined {
  const match = /^(ld|st|swp)(add|clr|eor|set|[su]max|[su]min|)(a?)(l?)([bh]?)$/.exec(name);
  if (match === null) return undefined;
  const [, kind = '', operation = '', acquire, release, width = ''] = match;
  if ((kind === 'swp') !== (operation === '') || (kind === 'st' && acquire)) return undefined;
  const parsed = twoAndAddress(
    kind === 'st' ? [operands[0] ?? '', registerNamed(operands[0], 31), ...operands.slice(1)] : operands,
    width,
  );
  if (parsed === undefined) return undefined;
  const { s, t, n, size } = parsed;
  const code = kind === 'swp' ? 0x8000 : (ATOMICS[operation] ?? 0) << 12;
  return (
    0x38200000 |
    (size << 30) |
    (acquire ? 1 << 23 : 0) |
    (release ? 1 << 22 : 0) |
    (s << 16) |
    code |
    (n << 5) |
    t
  );
}

function twoAndAddress(
  operands: readonly string[],
  width: string,
): { s: number; t: number; n: number; size: number } | undefined {
  const s = register(operands[0] ?? '');
  const t = register(operands[1] ?? '');
  const n = address(operands[2]);
  if (s === undefined || t === undefined || n === undefined || s.is64 !== t.is64 || operands.length !== 3)
    return undefined;
  const size = sizeOf(width, s.is64);
  return size === undefined ? undefined : { s: s.number, t: t.number, n, size };
}

function sizeOf(width: string, is64: boolean): number | undefined {
  if (width === '') return is64 ? 3 : 2;
  if (is64) return undefined;
  return width === 'b' ? 0 : 1;
}

const registerNamed = (like: string | undefined, number: number): string =>
  `${like?.startsWith('w') ? 'w' : 'x'}${number === 31 ? 'zr' : number}`;

/** `x0`…`x30`, `xzr`, and the `w` forms; `sp` as number 31 only where `allowsStackPointer`. */
function register(text: string, allowsStackPointer = false): Register | undefined {
  if (text === 'sp' && allowsStackPointer) return { number: 31, is64: true };
  if (text === 'fp') return { number: 29, is64: true };
  if (text === 'lr') return { number: 30, is64: true };
  const match = /^([xw])(?:(\d|[12]\d|30)|(zr))$/.exec(text);
  return match === null
    ? undefined
    : { number: match[3] === undefined ? Number(match[2]) : 31, is64: match[1] === 'x' };
}

function address(text: string | undefined): number | undefined {
  const match = /^\[(\w+)\]$/.exec(text ?? '');
  const base = register(match?.[1] ?? '', true);
  return base?.is64 === true && match?.[1] !== 'xzr' ? base.number : undefined;
}

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value >>> 0, true);
  return bytes;
}
