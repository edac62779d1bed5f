import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { ImageBuilder, isX64Entry, readUnwindInfoArm64, readUnwindInfoX64 } from '../../image/index.js';
import { compareWithReadobj, haveReadobj } from './readobj/compare.js';

const folder = mkdtempSync(join(tmpdir(), 'hotpatch-unwind-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function differencesOf(name: string, builder: ImageBuilder) {
  const path = join(folder, name);
  writeFileSync(path, builder.build().bytes);
  return compareWithReadobj(path).differences;
}

const RET_ARM64 = [0xc0, 0x03, 0x5f, 0xd6];

/** Words of packed unwind data: every register count, with and without homed parameters, all four CR, four frame sizes. */
function* packedWords(): Iterable<number> {
  for (const flag of [1, 2]) {
    for (let cr = 0; cr < 4; cr++) {
      for (const h of [0, 1]) {
        for (let regI = 0; regI <= 10; regI++) {
          for (let regF = 0; regF < 8; regF++) {
            for (const locals of [0, 1, 33, 300]) {
              const saved = 8 * regI + (cr === 1 ? 8 : 0) + (regF === 0 ? 0 : 8 * (regF + 1)) + 64 * h;
              const frameSize = Math.ceil(saved / 16) + locals;
              const chainedWithoutRecord = cr >= 2 && locals === 0;
              if (frameSize > 511 || chainedWithoutRecord) continue;
              const length = 1 + ((regI * 37 + regF) % 2000);
              yield (flag |
                (length << 2) |
                (regF << 13) |
                (regI << 16) |
                (h << 20) |
                (cr << 21) |
                (frameSize << 23)) >>>
                0;
            }
          }
        }
      }
    }
  }
}

describe.skipIf(!haveReadobj)('as llvm-readobj decodes it', () => {
  test('ARM64 packed unwind data: every combination of its fields', () => {
    const builder = new ImageBuilder('arm64', { functionPadding: 0 });
    for (const [i, unwind] of [...packedWords()].entries()) {
      builder.code(`f${i}`, RET_ARM64, { alignment: 4, unwind });
    }
    expect(differencesOf('packed.sys', builder)).toEqual([]);
  });

  test('ARM64 .xdata: every unwind code, as prolog and as epilog', () => {
    const builder = new ImageBuilder('arm64', { functionPadding: 0 });
    for (const [i, code] of xdataCodes.entries()) {
      builder.code(`f${i}`, RET_ARM64, { alignment: 4, unwind: xdata(code) });
    }
    expect(differencesOf('xdata.sys', builder)).toEqual([]);
  });

  test('x64: every operation, frame registers, handlers, chained entries, version 2 epilogs', () => {
    const builder = new ImageBuilder('x64');
    for (const [i, unwind] of x64Unwind.entries()) builder.code(`f${i}`, [0xc3], { unwind });
    expect(differencesOf('x64.sys', builder)).toEqual([]);
  });
});

/** Codes of the ARM64 format with operands at both ends of their ranges. */
const xdataCodes: readonly (readonly number[])[] = [
  [0x00],
  [0x1f], // alloc_s
  [0x21],
  [0x3f], // save_r19r20_x
  [0x40],
  [0x7f], // save_fplr
  [0x80],
  [0xbf], // save_fplr_x
  [0xc0, 0x01],
  [0xc7, 0xff], // alloc_m
  [0xc8, 0x00],
  [0xca, 0x7f], // save_regp
  [0xcc, 0x00],
  [0xce, 0x3f], // save_regp_x
  [0xd0, 0x01],
  [0xd2, 0xff], // save_reg
  [0xd4, 0x00],
  [0xd5, 0x5f], // save_reg_x
  [0xd6, 0x01],
  [0xd7, 0x3f], // save_lrpair
  [0xd8, 0x00],
  [0xd9, 0xbf], // save_fregp
  [0xda, 0x00],
  [0xdb, 0xbf], // save_fregp_x
  [0xdc, 0x00],
  [0xdd, 0xff], // save_freg
  [0xde, 0x00],
  [0xde, 0xff], // save_freg_x
  [0xe0, 0x01, 0x02, 0x03], // alloc_l
  [0xe1], // set_fp
  [0xe2, 0x00],
  [0xe2, 0xff], // add_fp
  [0xe3], // nop
  [0xe6], // save_next
  [0xfc], // pac_sign_lr
  [0xe7, 0x00, 0x01],
  [0xe7, 0x53, 0x02],
  [0xe7, 0x28, 0x41],
  [0xe7, 0x60, 0x80], // save_any_reg
  [0xe8],
  [0xe9],
  [0xea],
  [0xeb],
  [0xec],
];

/** A record with one epilog scope that runs the same codes. */
function xdata(code: readonly number[]): number[] {
  const codes = [...code, 0xe4];
  while (codes.length % 4 !== 0) codes.push(0xe3);
  const words = codes.length / 4;
  const header = (1 | (1 << 22) | (words << 27)) >>> 0;
  const scope = 0;
  return [...dword(header), ...dword(scope), ...codes];
}

function dword(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

const x64Unwind: readonly (readonly number[])[] = [
  [0x01, 0x04, 0x02, 0x00, 0x04, 0x42, 0x02, 0x30], // ALLOC_SMALL 40, PUSH_NONVOL rbx
  [0x01, 0x08, 0x02, 0x00, 0x08, 0x01, 0x00, 0x02], // ALLOC_LARGE 4096, scaled
  [0x01, 0x08, 0x03, 0x00, 0x08, 0x11, 0x78, 0x56, 0x34, 0x02, 0x00, 0x00], // ALLOC_LARGE, 32 bits
  [0x01, 0x05, 0x02, 0x25, 0x05, 0x03, 0x01, 0x50], // SET_FPREG rbp, rsp+0x20
  [0x01, 0x05, 0x02, 0x00, 0x05, 0x34, 0x06, 0x00], // SAVE_NONVOL
  [0x01, 0x05, 0x03, 0x00, 0x05, 0xf5, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00], // SAVE_NONVOL_FAR r15
  [0x01, 0x05, 0x02, 0x00, 0x05, 0x68, 0x02, 0x00], // SAVE_XMM128 xmm6
  [0x01, 0x05, 0x03, 0x00, 0x05, 0xf9, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00], // SAVE_XMM128_FAR xmm15
  [0x01, 0x00, 0x01, 0x00, 0x00, 0x0a, 0x00, 0x00], // PUSH_MACHFRAME
  [0x01, 0x00, 0x01, 0x00, 0x00, 0x1a, 0x00, 0x00], // with error code
  [0x19, 0x00, 0x00, 0x00, 0x10, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00], // handler for both
  [0x21, 0x00, 0x00, 0x00, 0x10, 0x10, 0x00, 0x00, 0x16, 0x10, 0x00, 0x00, 0x00, 0x20, 0x00, 0x00], // chained
  [0x02, 0x01, 0x04, 0x00, 0x02, 0x16, 0x09, 0x06, 0x23, 0x16, 0x01, 0x70], // version 2: two more epilogs
  [0x02, 0x04, 0x03, 0x00, 0x01, 0x06, 0x02, 0x06, 0x04, 0x42, 0x00, 0x00], // version 2: not at the end
];

test('x64 version 2: epilogs by their offset from the end of the function', () => {
  const { image } = new ImageBuilder('x64').code('f', [0xc3], { unwind: x64Unwind[12] ?? [] }).build();
  const [entry] = image.functionTable;
  if (entry === undefined || !isX64Entry(entry)) throw new Error('no x64 entry');
  const { epilogs, codes } = readUnwindInfoX64(image, entry);
  expect(epilogs).toEqual({ size: 2, atEnd: true, offsetsFromEnd: [2, 9, 0x123], slots: 3 });
  expect(codes).toEqual([{ codeOffset: 1, op: 'PUSH_NONVOL', register: 'rdi' }]);
});

test('ARM64 packed data stands for the prolog in the order in which it runs', () => {
  const regI = 3;
  const cr = 3;
  const frameSize = 5;
  const { image } = new ImageBuilder('arm64')
    .code('f', RET_ARM64, { unwind: (1 | (4 << 2) | (regI << 16) | (cr << 21) | (frameSize << 23)) >>> 0 })
    .build();
  const [entry] = image.functionTable;
  if (entry === undefined || isX64Entry(entry)) throw new Error('no ARM64 entry');
  expect(readUnwindInfoArm64(image, entry)).toMatchObject({
    form: 'packed',
    functionLength: 16,
    prolog: [
      { op: 'save', registers: ['x19', 'x20'], offset: 32, preIndexed: true },
      { op: 'save', registers: ['x21'], offset: 16, preIndexed: false },
      { op: 'save', registers: ['fp', 'lr'], offset: 48, preIndexed: true },
      { op: 'set_fp' },
    ],
  });
});
