import { describe, expect, it } from 'vitest';
import { gapsAboveRoom } from '../../cpu/unicorn/placement.js';

const MB = 2 ** 20;

/** Lines of /proc/self/maps for mappings of 1 MB, each with a gap of so many MB below it, from high addresses to low. */
function maps(...mappings: readonly (readonly [name: string, gapBelow: number])[]): string {
  let end = 0x7fff_0000_0000n;
  const lines: string[] = [];
  for (const [name, gapBelow] of mappings) {
    const start = end - BigInt(MB);
    lines.unshift(`${start.toString(16)}-${end.toString(16)} r-xp 00000000 00:1f 12345   ${name}`);
    end = start - BigInt(gapBelow * MB);
  }
  return `${lines.join('\n')}\n`;
}

const sizes = (text: string): number[] => gapsAboveRoom(text).map(({ size }) => size / MB);

describe('The gaps that are filled before libunicorn is loaded', () => {
  it.each([
    ['none when the highest gap has room', maps(['/lib/ld.so', 5000], ['/lib/libc.so', 0]), []],
    [
      'those above the room, the highest first',
      maps(['/lib/ld.so', 30], ['', 500], ['/lib/libc.so', 4000], ['[heap]', 0]),
      [30, 500],
    ],
    [
      'none that neither the library nor a code buffer fits in',
      maps(['/lib/ld.so', 15], ['', 16], ['', 4000], ['', 0]),
      [16],
    ],
    [
      'not the one into which the stack grows',
      maps(['[stack]', 100], ['/lib/ld.so', 20], ['', 9000], ['', 0]),
      [20],
    ],
    ['none when there is no room anywhere', maps(['/lib/ld.so', 100], ['', 100], ['', 0]), []],
    ['none of what cannot be read', 'nonsense\n', []],
  ])('are %s', (_, text, expected) => {
    expect(sizes(text)).toEqual(expected);
  });

  it('begin where the mapping below ends', () => {
    const [gap] = gapsAboveRoom(maps(['/lib/ld.so', 32], ['', 4000], ['', 0]));
    expect(gap).toEqual({ start: 0x7fff_0000_0000n - BigInt(33 * MB), size: 32 * MB });
  });
});
