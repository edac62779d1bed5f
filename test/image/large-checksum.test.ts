import { computeCheckSum } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';

/** The manual's rule, 16-bit word by word: the end-around sum, and the file's length. */
function byWords(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += (bytes[i] ?? 0) | ((bytes[i + 1] ?? 0) << 8);
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return sum + bytes.length;
}

describe('the checksum of a large file', () => {
  it.each([
    ['of 24 MB', 24 << 20],
    ['of 24 MB and 3 bytes', (24 << 20) + 3],
  ])('%s is that of its words', (_what, length) => {
    const bytes = new Uint8Array(length).fill(0xff);
    for (let i = 0; i < length; i += 997) bytes[i] = i & 0xff;
    const without = bytes.slice();
    without.fill(0, 0x158, 0x15c);
    expect(computeCheckSum(bytes)).toBe(byWords(bytes));
    expect(computeCheckSum(bytes, 0x158)).toBe(byWords(without));
  });
});
