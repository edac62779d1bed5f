import type { ByteReader } from '../reader.js';

/** General and floating-point registers by the names of the Arm manual. */
export type RegisterArm64 = `x${number}` | `d${number}` | `q${number}` | 'lr' | 'fp';

/**
 * One unwind code (ARM64 exception handling, "Unwind codes"). Offsets and sizes are bytes, positive; `offset` counts up
 * from sp, and with `preIndexed` the store first moves sp down by that much.
 */
export type UnwindCodeArm64 =
  | { readonly op: 'alloc'; readonly size: number; readonly bytes: Uint8Array }
  | {
      readonly op: 'save';
      /** One register or a pair that lies in ascending addresses. */
      readonly registers: readonly RegisterArm64[];
      readonly offset: number;
      readonly preIndexed: boolean;
      readonly bytes: Uint8Array;
    }
  /** mov x29, sp */
  | { readonly op: 'set_fp'; readonly bytes: Uint8Array }
  /** add x29, sp, #offset */
  | { readonly op: 'add_fp'; readonly offset: number; readonly bytes: Uint8Array }
  /** alloc_z: `vectors` times the vector length */
  | { readonly op: 'alloc_z'; readonly vectors: number; readonly bytes: Uint8Array }
  | { readonly op: SimpleUnwindCodeArm64; readonly bytes: Uint8Array };

/** Codes without operands: `end_c` ends a chained scope, `save_next` repeats the save before it for the next pair. */
export type SimpleUnwindCodeArm64 =
  | 'nop'
  | 'end'
  | 'end_c'
  | 'save_next'
  | 'pac_sign_lr'
  | 'trap_frame'
  | 'machine_frame'
  | 'context'
  | 'ec_context'
  | 'clear_unwound_to_call'
  | 'unknown';

const X19 = 19;
const D8 = 8;

/** Decodes from byte `start` up to and including `end` or `end_c`, or to the last byte. */
export function decodeUnwindCodesArm64(codes: ByteReader, start: number): UnwindCodeArm64[] {
  const list: UnwindCodeArm64[] = [];
  let at = start;
  while (at < codes.length) {
    const code = decodeOne(codes, at);
    list.push(code);
    at += code.bytes.length;
    if (code.op === 'end') break;
  }
  return list;
}

/** Bytes of the code that begins with this byte. */
export function unwindCodeLength(first: number): number {
  if (first < 0xc0) return 1;
  if (first < 0xe0) return 2;
  switch (first) {
    case 0xe0:
      return 4;
    case 0xe2:
      return 2;
    case 0xe7:
      return 3;
    case 0xf8:
      return 2;
    case 0xf9:
      return 3;
    case 0xfa:
      return 4;
    case 0xfb:
      return 5;
    default:
      return 1;
  }
}

const single: Readonly<Record<number, SimpleUnwindCodeArm64>> = {
  227: 'nop',
  228: 'end',
  229: 'end_c',
  230: 'save_next',
  232: 'trap_frame',
  233: 'machine_frame',
  234: 'context',
  235: 'ec_context',
  236: 'clear_unwound_to_call',
  252: 'pac_sign_lr',
};

function decodeOne(codes: ByteReader, at: number): UnwindCodeArm64 {
  const first = codes.u8At(at);
  const bytes = codes.bytesAt(at, unwindCodeLength(first));
  const second = bytes[1] ?? 0;
  const save = (
    registers: readonly RegisterArm64[],
    offset: number,
    preIndexed: boolean,
  ): UnwindCodeArm64 => ({
    op: 'save',
    registers,
    offset,
    preIndexed,
    bytes,
  });
  const pair = (file: 'x' | 'd', n: number): RegisterArm64[] => [`${file}${n}`, `${file}${n + 1}`];
  const z6 = 8 * (second & 0x3f);
  const z5 = 8 * (second & 0x1f);
  const x4 = ((first & 3) << 2) | (second >>> 6);
  const x3 = ((first & 1) << 2) | (second >>> 6);

  if (first < 0x20) return { op: 'alloc', size: 16 * first, bytes };
  if (first < 0x40) return save(['x19', 'x20'], 8 * (first & 0x1f), true);
  if (first < 0x80) return save(['fp', 'lr'], 8 * (first & 0x3f), false);
  if (first < 0xc0) return save(['fp', 'lr'], 8 * ((first & 0x3f) + 1), true);
  if (first < 0xc8) return { op: 'alloc', size: 16 * (((first & 7) << 8) | second), bytes };
  if (first < 0xcc) return save(pair('x', X19 + x4), z6, false);
  if (first < 0xd0) return save(pair('x', X19 + x4), z6 + 8, true);
  if (first < 0xd4) return save([`x${X19 + x4}`], z6, false);
  if (first < 0xd6) return save([`x${X19 + (((first & 1) << 3) | (second >>> 5))}`], z5 + 8, true);
  if (first < 0xd8) return save([`x${X19 + 2 * x3}`, 'lr'], z6, false);
  if (first < 0xda) return save(pair('d', D8 + x3), z6, false);
  if (first < 0xdc) return save(pair('d', D8 + x3), z6 + 8, true);
  if (first < 0xde) return save([`d${D8 + x3}`], z6, false);
  if (first === 0xde) return save([`d${D8 + (second >>> 5)}`], z5 + 8, true);
  if (first === 0xdf) return { op: 'alloc_z', vectors: second, bytes };
  if (first === 0xe0)
    return { op: 'alloc', size: 16 * ((second << 16) | ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0)), bytes };
  if (first === 0xe1) return { op: 'set_fp', bytes };
  if (first === 0xe2) return { op: 'add_fp', offset: 8 * second, bytes };
  if (first === 0xe7) return saveAnyReg(bytes, save);
  return { op: single[first] ?? 'unknown', bytes };
}

/** save_any_reg: 11100111'0pxrrrrr'ffoooooo; p pair, x pre-indexed, f register file: 0 x, 1 d, 2 q. */
function saveAnyReg(
  bytes: Uint8Array,
  save: (registers: readonly RegisterArm64[], offset: number, preIndexed: boolean) => UnwindCodeArm64,
): UnwindCodeArm64 {
  const [, second = 0, third = 0] = bytes;
  const file = (['x', 'd', 'q'] as const)[third >>> 6];
  if (file === undefined || (second & 0x80) !== 0) return { op: 'unknown', bytes };
  const paired = (second & 0x40) !== 0;
  const preIndexed = (second & 0x20) !== 0;
  const n = second & 0x1f;
  const scale = paired || preIndexed || file === 'q' ? 16 : 8;
  const offset = scale * ((third & 0x3f) + (preIndexed ? 1 : 0));
  return save(paired ? [`${file}${n}`, `${file}${n + 1}`] : [`${file}${n}`], offset, preIndexed);
}
