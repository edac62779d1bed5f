import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Lab } from 'hotpatch-lab';
import { readImage } from 'hotpatch-lab/image';
import { expect, it } from 'vitest';

const path = (name: string) => fileURLToPath(new URL(`fixtures/reported/${name}`, import.meta.url));

function load(name: string) {
  const lab = Lab.boot({ architecture: 'x64' });
  const process = lab.createProcess('reported.exe');
  const bytes = new Uint8Array(readFileSync(path(name)));
  const image = process.loadImage(readImage(bytes, { file: name }));
  const call = (fn: string, value: number) => process.call64(image.symbol(fn), [value]);
  return { call, [Symbol.dispose]: () => lab[Symbol.dispose]() };
}

/** What rip.c prints when it is compiled for the host: Intel Xeon, family 6, with BMI2. By number, from 0. */
const MEASURED = [
  ...['635eba15', '75d12c87e35eba15', 'd12c87e35eba1562', 'ae89643f40d7ae85', '7f5326fb1befc36f', '5981acb'],
  ...[
    '80400',
    '12c87e35eba1575d',
    'ae89643f1af5d2ab',
    '421df8d3d6b18c67',
    'd0ab00000000',
    'bff0000000000000',
  ],
  ...['67421df8d3ae8964', '0', '10', 'c931a4515c1a91d8', '75e4a740e4a74375', 'ae89643f12345678', '44', '0'],
  ...['ae89643f11223344', '1af5d0ab55667788', '112233441af5d0ab', '11800f600d800d8', 'ae89643f1af5156e'],
  ...['ae89443b0a918023', '5d0a', '5744b21f8d7ae85', 'ffff0000', 'fff0ff0', '101', 'ffffffffffff7eff'],
  ...['ffffffffffffffff', 'ffffffffffffffff', 'deadbeef', '0', 'b092ab7b88cf5b62', '10', '20', '10'],
  ...['55667788', 'ffffffffffffffff', '0', 'ffffffff', 'ffffffff', 'ffffffff', '1122334455668877'],
];

it('instructions of which Unicorn has got some wrong give what a processor gives', () => {
  using image = load('rip.dll');
  const seen = MEASURED.map((_, index) => BigInt.asUintN(64, image.call('r', index)).toString(16));
  expect(seen).toEqual(MEASURED);
});

/**
 * What a handler is told: code, number of parameters' first and second (99: there is none). INT_MIN / -1: devblogs
 * oldnewthing 2014-10-02; writes by read-modify-write: bit 1 of a page fault's error code (Intel SDM 3A, 4.7); #GP without
 * an address: an access violation that reads all ones; int 3: one parameter, 0.
 */
it.each([
  ['idiv by 0', 0, 0xc0000094],
  ['idiv of INT_MIN by -1', 1, 0xc0000095],
  ['read of 0x3000', 10, 0xc0000005, 0, 0x3000],
  ['write of 0x3000', 11, 0xc0000005, 1, 0x3000],
  ['add dword ptr [0x3000], 1', 2, 0xc0000005, 1, 0x3000],
  ['lock xadd [0x3000], eax', 3, 0xc0000005, 1, 0x3000],
  ['xchg [0x3000], eax', 14, 0xc0000005, 1, 0x3000],
  ['fxsave of a misaligned address', 5, 0xc0000005, 0, 0xffffffff],
  ['cli', 6, 0xc0000096],
  ['in al, dx', 7, 0xc0000096],
  ['int 3', 8, 0x80000003, 0],
  ['ud2', 15, 0xc000001d],
] as const)(
  'a handler of the guest is told of %s',
  (_what, number, code, first?: number, second?: number) => {
    using image = load('seh-codes.dll');
    const told = (name: string) => Number(BigInt.asUintN(32, image.call(name, number)));
    expect(told('run').toString(16)).toBe(code.toString(16));
    if (first !== undefined) expect(told('p0')).toBe(first);
    if (second !== undefined) expect(told('p1')).toBe(second);
  },
);
