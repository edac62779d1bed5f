import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { instructionFacts } from '../../cpu/index.js';
import { lastPossibleJump } from '../../image/check/branches.js';
import { type ImageArchitecture, readImage } from '../../image/index.js';
import { fixtureImages, inRepository, nodePtyImages, variousImages } from './real-images.js';

const RVA = 0x1000;

/** Offset and target of every direct jump into an image of 1 GB that a linear decoding of the code meets. */
function jumps(architecture: ImageArchitecture, code: Uint8Array): { at: number; target: number }[] {
  const found: { at: number; target: number }[] = [];
  for (let at = 0; at < code.length; ) {
    const { flow, target, length } = instructionFacts(
      architecture,
      code.subarray(at, at + 15),
      BigInt(RVA + at),
    );
    if (target !== undefined && flow !== 'call' && target < 0x4000_0000n)
      found.push({ at, target: Number(target) });
    at += length;
  }
  return found;
}

const last = (architecture: ImageArchitecture, code: Uint8Array, target: number): number =>
  lastPossibleJump(architecture, code, RVA, (rva) => rva === target);

describe('Where a jump to an address may begin', () => {
  test.each([
    ['jmp rel8', 'x64', [0x90, 0xeb, 0xfd], 1, RVA],
    ['jne rel8', 'x64', [0x75, 0x10], 0, RVA + 0x12],
    ['jrcxz', 'x64', [0xe3, 0xfe], 0, RVA],
    ['loop', 'x86', [0xe2, 0xfe], 0, RVA],
    ['jmp rel32', 'x64', [0xe9, 0xfb, 0xff, 0xff, 0xff], 0, RVA],
    ['jae rel32', 'x86', [0xcc, 0x0f, 0x83, 0xfa, 0xff, 0xff, 0xff], 1, RVA + 1],
    ['xbegin', 'x64', [0xc7, 0xf8, 0x10, 0, 0, 0], 0, RVA + 0x16],
    ['jmp rel16', 'x86', [0x66, 0xe9, 0xfc, 0xff, 0, 0], 1, RVA],
    ['b', 'arm64', [0, 0, 0, 0, 0xff, 0xff, 0xff, 0x17], 4, RVA],
    ['b.eq', 'arm64', [0xe0, 0xff, 0xff, 0x54], 0, RVA - 4],
    ['cbnz', 'arm64', [0x40, 0, 0, 0xb5], 0, RVA + 8],
    ['tbz', 'arm64', [0xe0, 0xff, 0x07, 0x36], 0, RVA - 4],
  ] as const)('%s on %s', (_, architecture, bytes, at, target) => {
    const code = Uint8Array.from(bytes);
    expect(last(architecture, code, target)).toBe(at);
    if (_ !== 'jmp rel16') expect(last(architecture, code, target + 4)).toBe(-1);
  });

  test.each(['x64', 'x86', 'arm64'] as const)('passes over no jump of random %s code', (architecture) => {
    const bytes = fc.uint8Array({ minLength: 16, maxLength: 400, size: 'max' });
    fc.assert(
      fc.property(bytes, (code) => {
        for (const { at, target } of jumps(architecture, code)) {
          expect(last(architecture, code, target)).toBeGreaterThanOrEqual(at);
        }
      }),
      { numRuns: 300 },
    );
  });

  test.each([
    ...variousImages,
    ...fixtureImages.slice(0, 6),
    ...nodePtyImages.filter((f) => f.endsWith('conpty.dll')),
  ])('passes over no jump in %s', (file) => {
    const image = readImage(readFileSync(inRepository(file)), { file });
    const sections = image.sections.filter(({ name }) => name === '.text');
    expect(sections).toHaveLength(1);
    for (const { virtualAddress, fileSize } of sections) {
      const code = image.read(virtualAddress, Math.min(fileSize, 0x4000));
      for (const { at, target } of jumps(image.architecture, code).slice(0, 200))
        expect(last(image.architecture, code, target)).toBeGreaterThanOrEqual(at);
    }
  });
});
