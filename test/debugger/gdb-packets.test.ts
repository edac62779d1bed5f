import { describe, expect, it } from 'vitest';
import { framePacket, gdbRegisters, PacketReader, targetDescription } from '../../debugger/index.js';

const read = (...parts: readonly string[]) => {
  const reader = new PacketReader();
  return parts.flatMap((part) => [...reader.read(part)]);
};

describe('packets', () => {
  it.each([
    ['', '$#00'],
    ['OK', '$OK#9a'],
    ['a#b$c}d*e', '$a}\x03b}\x04c}]d}\x0ae#51'],
  ])('%j is sent as %j', (data, packet) => {
    expect(framePacket(data)).toBe(packet);
    expect(read(packet)).toEqual([{ kind: 'packet', data }]);
  });

  it.each([
    ['one after the other', ['+$g#67$?#3f'], ['acknowledged', 'packet', 'packet']],
    ['in pieces', ['$', 'g', '#6', '7'], ['packet']],
    ['with a wrong checksum', ['$g#68'], ['broken']],
    ['refused', ['-'], ['refused']],
    ['interrupting', ['\x03'], ['interrupt']],
  ])('are read %s', (_, parts, kinds) => expect(read(...parts).map(({ kind }) => kind)).toEqual(kinds));
});

describe('target descriptions', () => {
  // Sizes of GDB's own register files: AMD64 and i386 with SSE, and AArch64 with SIMD.
  it.each([
    ['x64', 17 * 8 + 7 * 4 + 8 * 10 + 8 * 4 + 16 * 16 + 4 + 16],
    ['x86', 16 * 4 + 8 * 10 + 8 * 4 + 8 * 16 + 4],
    ['arm64', 33 * 8 + 4 + 32 * 16 + 8],
  ] as const)('%s', (architecture, bytes) => {
    const registers = gdbRegisters(architecture);
    expect(registers.reduce((sum, { bits }) => sum + bits / 8, 0)).toBe(bytes);
    expect(targetDescription(architecture).match(/<reg /g)).toHaveLength(registers.length);
  });
});
