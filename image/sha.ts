/**
 * SHA-1 and SHA-256 (FIPS 180-4) of whole files: this room runs in browsers, too, where the platform's own digests are
 * asynchronous.
 */

const rotate = (value: number, count: number): number => (value >>> count) | (value << (32 - count));

/** The message with its padding: a 1 bit, zeros, its length in bits. */
function padded(message: Uint8Array): DataView {
  const bytes = new Uint8Array(Math.ceil((message.length + 9) / 64) * 64);
  bytes.set(message);
  bytes[message.length] = 0x80;
  const view = new DataView(bytes.buffer);
  view.setBigUint64(bytes.length - 8, BigInt(message.length) * 8n);
  return view;
}

function digest(
  message: Uint8Array,
  initial: readonly number[],
  words: number,
  block: (state: Int32Array, schedule: Int32Array) => void,
): Uint8Array {
  const view = padded(message);
  const state = Int32Array.from(initial);
  const schedule = new Int32Array(words);
  for (let at = 0; at < view.byteLength; at += 64) {
    for (let index = 0; index < 16; index++) schedule[index] = view.getInt32(at + 4 * index);
    block(state, schedule);
  }
  const result = new DataView(new ArrayBuffer(4 * state.length));
  state.forEach((word, index) => {
    result.setInt32(4 * index, word);
  });
  return new Uint8Array(result.buffer);
}

const word = (values: Int32Array, index: number): number => values[index] ?? 0;

const SHA1_INITIAL = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];
const SHA1_CONSTANTS = [0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6];

export function sha1(message: Uint8Array): Uint8Array {
  return digest(message, SHA1_INITIAL, 80, (state, w) => {
    for (let t = 16; t < 80; t++)
      w[t] = rotate(word(w, t - 3) ^ word(w, t - 8) ^ word(w, t - 14) ^ word(w, t - 16), 31);
    let [a = 0, b = 0, c = 0, d = 0, e = 0] = state;
    for (let t = 0; t < 80; t++) {
      const choose = (b & c) | (~b & d);
      const majority = (b & c) | (b & d) | (c & d);
      const f = t < 20 ? choose : t >= 40 && t < 60 ? majority : b ^ c ^ d;
      const next = (rotate(a, 27) + f + e + (SHA1_CONSTANTS[Math.floor(t / 20)] ?? 0) + word(w, t)) | 0;
      [e, d, c, b, a] = [d, c, rotate(b, 2), a, next];
    }
    for (const [index, value] of [a, b, c, d, e].entries()) state[index] = (word(state, index) + value) | 0;
  });
}

const PRIMES = firstPrimes(64);
/** The first 32 bits of the fractional parts of the square roots of the first 8 primes, the cube roots of the first 64. */
const SHA256_INITIAL = PRIMES.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)));
const SHA256_CONSTANTS = PRIMES.map((prime) => fraction(Math.cbrt(prime)));

function firstPrimes(count: number): number[] {
  const primes: number[] = [];
  for (let candidate = 2; primes.length < count; candidate++)
    if (primes.every((prime) => candidate % prime !== 0)) primes.push(candidate);
  return primes;
}

function fraction(value: number): number {
  return Math.floor((value - Math.floor(value)) * 2 ** 32) | 0;
}

export function sha256(message: Uint8Array): Uint8Array {
  return digest(message, SHA256_INITIAL, 64, (state, w) => {
    for (let t = 16; t < 64; t++) {
      const [before, last] = [word(w, t - 15), word(w, t - 2)];
      const s0 = rotate(before, 7) ^ rotate(before, 18) ^ (before >>> 3);
      const s1 = rotate(last, 17) ^ rotate(last, 19) ^ (last >>> 10);
      w[t] = word(w, t - 16) + s0 + word(w, t - 7) + s1;
    }
    let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = state;
    for (let t = 0; t < 64; t++) {
      const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
      const first = h + s1 + ((e & f) ^ (~e & g)) + (SHA256_CONSTANTS[t] ?? 0) + word(w, t);
      const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
      const second = s0 + ((a & b) ^ (a & c) ^ (b & c));
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
    }
    for (const [index, value] of [a, b, c, d, e, f, g, h].entries())
      state[index] = (word(state, index) + value) | 0;
  });
}
