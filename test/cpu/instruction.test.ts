import fc from 'fast-check';
import { Decoder, DecoderOptions } from 'iced-x86';
import { describe, expect, it } from 'vitest';
import {
  type ArchitectureName,
  CpuError,
  disassemble,
  type InstructionFlow,
  instructionFacts,
  instructionLength,
  instructionsOf,
  loadDisassembler,
  retarget,
} from '../../cpu/index.js';

const f = 0xfffff800_12345678n;
const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('flow', () => {
  it.each<[ArchitectureName, string, InstructionFlow, number, bigint?]>([
    ['x64', '90', 'next', 1],
    ['x64', 'ebf9', 'jump', 2, f - 5n],
    ['x64', 'e900100000', 'jump', 5, f + 0x1005n],
    ['x64', '0f84faffffff', 'conditionalJump', 6, f],
    ['x64', 'e2fe', 'conditionalJump', 2, f],
    ['x64', 'e8fbffffff', 'call', 5, f],
    ['x64', 'ff25fa0f0000', 'indirectJump', 6],
    ['x64', 'ffe0', 'indirectJump', 2],
    ['x64', 'ff1500000000', 'indirectCall', 6],
    ['x64', 'ff18', 'indirectCall', 2],
    ['x64', 'c3', 'return', 1],
    ['x64', '48cf', 'return', 2],
    ['x64', '0f05', 'systemCall', 2],
    ['x64', '0f01c1', 'systemCall', 3],
    ['x64', 'cc', 'interrupt', 1],
    ['x64', 'cd29', 'interrupt', 2],
    ['x64', '0f0b', 'undefined', 2],
    ['x64', '06', 'invalid', 1],
    ['x64', 'e900', 'invalid', 1],
    ['x64', '', 'invalid', 1],
    ['x64', '48b80001341200f8ffff', 'next', 10],
    ['x86', '40', 'next', 1],
    ['x86', 'ff2500100110', 'indirectJump', 6],
    ['x86', 'ea001001101000', 'indirectJump', 7],
    ['x86', '9a001001101000', 'indirectCall', 7],
    ['x86', '0f34', 'systemCall', 2],
    ['arm64', '1f2003d5', 'next', 4],
    ['arm64', '01000014', 'jump', 4, f + 4n],
    ['arm64', 'ffffff97', 'call', 4, f - 4n],
    ['arm64', 'e0ffff54', 'conditionalJump', 4, f - 4n],
    ['arm64', '200000b4', 'conditionalJump', 4, f + 4n],
    ['arm64', '20000035', 'conditionalJump', 4, f + 4n],
    ['arm64', '20001836', 'conditionalJump', 4, f + 4n],
    ['arm64', '200018b7', 'conditionalJump', 4, f + 4n],
    ['arm64', '00021fd6', 'indirectJump', 4],
    ['arm64', '01081fd7', 'indirectJump', 4],
    ['arm64', '1f0a1fd6', 'indirectJump', 4],
    ['arm64', '00023fd6', 'indirectCall', 4],
    ['arm64', '000c3fd7', 'indirectCall', 4],
    ['arm64', 'c0035fd6', 'return', 4],
    ['arm64', 'ff0b5fd6', 'return', 4],
    ['arm64', 'e0039fd6', 'return', 4],
    ['arm64', '010000d4', 'systemCall', 4],
    ['arm64', '00003ed4', 'interrupt', 4],
    ['arm64', '00000000', 'undefined', 4],
    ['arm64', '000000', 'invalid', 4],
  ])('%s %s: %s', (architecture, hex, flow, length, target) => {
    const facts = instructionFacts(architecture, bytesOf(hex), f);
    const expected = architecture === 'x86' && target !== undefined ? BigInt.asUintN(32, target) : target;
    expect(facts).toMatchObject({ flow, length });
    expect(facts.target).toBe(expected);
    if (expected !== undefined) expect(facts.pcRelative).toEqual({ kind: 'branch', target: expected });
    expect(instructionLength(architecture, bytesOf(hex), f)).toBe(length);
  });

  it('x86 code wraps at 4 GB', () => {
    expect(instructionFacts('x86', bytesOf('eb10'), 0xffff_fff0n).target).toBe(2n);
  });
});

describe('PC-relative operands', () => {
  it.each<[ArchitectureName, string, string, bigint | undefined]>([
    ['x64', 'ff25fa0f0000', 'memory', f + 0x1000n],
    ['x64', '488d0d00f0ffff', 'memory', f + 7n - 0x1000n],
    ['x64', 'c70500000000ffffffff', 'memory', f + 10n],
    ['x64', '678b0500000000', 'memory', BigInt.asUintN(32, f + 7n)],
    ['x64', '488b442430', 'none', undefined],
    ['x86', 'ff2500100110', 'none', undefined],
    ['arm64', '20000010', 'address', f + 4n],
    ['arm64', 'e1ffff70', 'address', f - 1n],
    ['arm64', '000000b0', 'page', 0xfffff800_12346000n],
    ['arm64', 'e0ffffd0', 'page', 0xfffff800_12343000n],
    ['arm64', '10800058', 'literal', f + 0x1000n],
    ['arm64', '10800018', 'literal', f + 0x1000n],
    ['arm64', '20000098', 'literal', f + 4n],
    ['arm64', '200000d8', 'literal', f + 4n],
    ['arm64', '2000009c', 'literal', f + 4n],
    ['arm64', '200040f9', 'none', undefined],
  ])('%s %s: %s', (architecture, hex, kind, target) => {
    const facts = instructionFacts(architecture, bytesOf(hex), f);
    expect(facts.pcRelative).toEqual(target === undefined ? undefined : { kind, target });
    expect(facts).toMatchObject({ flow: expect.stringMatching(/^(next|indirectJump)$/) });
  });
});

function isSerialisingByTables(bits: number, bytes: Uint8Array): boolean {
  const decoder = new Decoder(bits, bytes, DecoderOptions.None);
  const instruction = decoder.decode();
  const operation = instruction.opCode;
  const { isSerializingIntel } = operation;
  for (const one of [operation, instruction, decoder]) one.free();
  return isSerializingIntel;
}

describe('serialising instructions', () => {
  it.each<[ArchitectureName, string, string, boolean]>([
    ['x64', 'cpuid', '0fa2', true],
    ['x64', 'iretq', '48cf', true],
    ['x64', 'mov cr3, rax', '0f22d8', true],
    ['x64', 'mov rax, cr3', '0f20d8', false],
    ['x64', 'invlpg', '0f0138', true],
    ['x64', 'wrmsr', '0f30', true],
    ['x64', 'serialize', '0f01e8', true],
    ['x64', 'mfence', '0faef0', false],
    ['x64', 'jmp', 'ebf9', false],
    ['x64', 'lock xadd', 'f00fc101', false],
    ['x86', 'cpuid', '0fa2', true],
    ['arm64', 'isb', 'df3f03d5', true],
    ['arm64', 'eret', 'e0039fd6', true],
    ['arm64', 'dsb ish', '9f3b03d5', false],
    ['arm64', 'ic ivau', '20750bd5', false],
    ['arm64', 'ret', 'c0035fd6', false],
  ])('%s %s (%s): %s', (architecture, _name, hex, serialising) => {
    expect(instructionFacts(architecture, bytesOf(hex), f).serialising).toBe(serialising);
  });

  it.each([32, 64] as const)('of %s bits are those that the decoder’s tables name', (bits) => {
    let found = 0;
    for (const prefix of [[], [0x0f], [0x48, 0x0f], [0x66, 0x0f, 0x38], [0xf3, 0x0f]])
      for (let opcode = 0; opcode < 256; opcode++)
        for (const mod of [0x00, 0xc0])
          for (let reg = 0; reg < 64; reg += 4) {
            const bytes = Uint8Array.from([...prefix, opcode, mod + reg, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            const isSerialising = isSerialisingByTables(bits, bytes);
            if (isSerialising) found++;
            const { serialising } = instructionFacts(bits === 64 ? 'x64' : 'x86', bytes, f);
            if (serialising !== isSerialising) expect(hexOf(bytes)).toBe(isSerialising);
          }
    expect(found).toBeGreaterThan(500);
  });
});

describe('retarget', () => {
  it.each<[ArchitectureName, string, bigint, string]>([
    ['x64', 'ebf9', f + 0x11n, 'eb0f'],
    ['x64', 'e900000000', f, 'e9fbffffff'],
    ['x64', 'c70500000000ffffffff', f + 0x10n, 'c70506000000ffffffff'],
    ['x86', 'e800000000', f - 1n, 'e8faffffff'],
    ['arm64', '01000014', f - 4n, 'ffffff17'],
    ['arm64', 'a1ffff54', f + 4n, '21000054'],
    ['arm64', '20000010', f - 1n, 'e0ffff70'],
    ['arm64', '000000b0', 0xfffff800_12343abcn, 'e0ffffd0'],
    ['arm64', '1f001f37', f + 0x20n, '1f011837'],
  ])('%s %s', (architecture, hex, target, expected) => {
    expect(hexOf(retarget(architecture, bytesOf(hex), f, target))).toBe(expected);
  });

  it.each<[ArchitectureName, string, bigint, string]>([
    ['x64', 'ebf9', f + 0x100n, 'branchOutOfRange'],
    ['x64', 'ff2500000000', f + 0x1_0000_0000n, 'branchOutOfRange'],
    ['x64', '90', f, 'notPcRelative'],
    ['x64', '06', f, 'notPcRelative'],
    ['arm64', '01000014', f + 0x800_0000n, 'branchOutOfRange'],
    ['arm64', '20001836', f + 0x8000n, 'branchOutOfRange'],
    ['arm64', '01000014', f + 2n, 'misaligned'],
    ['arm64', '1f2003d5', f, 'notPcRelative'],
  ])('%s %s to %s: %4$s', (architecture, hex, target, rule) => {
    expect(() => retarget(architecture, bytesOf(hex), f, target)).toThrow(expect.objectContaining({ rule }));
    expect(() => retarget(architecture, bytesOf(hex), f, target)).toThrow(CpuError);
  });

  it('is undone by reading the facts, for every ARM64 form and distance', () =>
    fc.assert(
      fc.property(
        fc.constantFrom('00000014', '00000094', '00000054', '000000b4', '00001836', '00000010', '00000058'),
        fc.bigInt(-(1n << 13n), (1n << 13n) - 1n),
        fc.bigInt(0n, (1n << 62n) - 1n),
        (hex, distance, at4) => {
          const at = at4 * 4n;
          const target = BigInt.asUintN(64, at + distance * 4n);
          const moved = retarget('arm64', bytesOf(hex), at, target);
          expect(instructionFacts('arm64', moved, at).pcRelative?.target).toBe(target);
          expect(hexOf(retarget('arm64', moved, at, at))).toBe(hex);
        },
      ),
    ));
});

describe('capstone agrees', () => {
  const parse = (text: string): bigint | undefined => {
    const match = /([0-9a-f]{8})`([0-9a-f]{8})\]?$/.exec(text);
    return match === null ? undefined : BigInt(`0x${match[1]}${match[2]}`);
  };

  it('about the target of every PC-relative ARM64 word', async () => {
    const disassembleNow = await loadDisassembler();
    const pcRelative = fc
      .tuple(
        fc.constantFrom(
          0x14000000,
          0x94000000,
          0x54000000,
          0x34000000,
          0xb5000000,
          0x36000000,
          0xb7000000,
          0x10000000,
          0x90000000,
          0x18000000,
          0x58000000,
          0x98000000,
          0xd8000000,
          0x1c000000,
          0x9c000000,
        ),
        fc.integer({ min: 0, max: 0xffffff }),
      )
      .map(([top, rest]) => (top | rest) >>> 0);
    fc.assert(
      fc.property(fc.oneof(pcRelative, fc.integer({ min: 0, max: 0xffffffff })), (word) => {
        const bytes = new Uint8Array(4);
        new DataView(bytes.buffer).setUint32(0, word, true);
        const text = disassembleNow('arm64', bytes, f)[0]?.text ?? '';
        if (text.startsWith('.word')) return;
        expect(instructionFacts('arm64', bytes, f).pcRelative?.target, `${word.toString(16)} ${text}`).toBe(
          parse(text),
        );
      }),
      { numRuns: 3000 },
    );
  });

  it('about the length of x64 instructions that both know', async () => {
    const disassembleNow = await loadDisassembler();
    let compared = 0;
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 15, maxLength: 15 }), (bytes) => {
        const text = disassembleNow('x64', bytes, f, { count: 1 })[0];
        const facts = instructionFacts('x64', bytes, f);
        const isCommon = !/^(66|67|f0|f2|f3|26|2e|36|3e|64|65|4.|c4|c5|62|8f|0f)/.test(hexOf(bytes));
        if (text === undefined || text.text.startsWith('db') || facts.flow === 'invalid' || !isCommon) return;
        compared++;
        expect(facts.length, `${hexOf(bytes)} ${text.text}`).toBe(text.length);
      }),
      { numRuns: 3000 },
    );
    expect(compared).toBeGreaterThan(1000);
  });
});

it('reads the first instruction of many bytes only', async () => {
  const [first] = await disassemble('x64', bytesOf('4883ec28e800000000'), f);
  expect(instructionFacts('x64', bytesOf('4883ec28e800000000'), f)).toEqual({
    length: first?.length,
    flow: 'next',
    serialising: false,
  });
});

describe('instructions one after the other', () => {
  const f = 0x1_4000_1000n;

  it.each([
    // sub rsp, 0x28; call f+0x109; cmp dword ptr [rip+0x2000], 1; an opcode that x64 has not; jne f; ret
    {
      architecture: 'x64',
      text: '4883ec28 e800010000 833d0020000001 06 75ed c3',
      offsets: [0, 4, 9, 16, 17, 19],
    },
    { architecture: 'x86', text: '83ec08 e8f0ffffff 0fff', offsets: [0, 3, 8, 9] },
    { architecture: 'arm64', text: 'fd7bbfa9 00000094 c0035fd6', offsets: [0, 4, 8] },
  ] as const)('are what each is by itself, $architecture', ({ architecture, text, offsets }) => {
    const bytes = bytesOf(text.replaceAll(' ', ''));
    const all = instructionsOf(architecture, bytes, f);
    expect(all.map(({ offset }) => offset)).toEqual(offsets);
    for (const { offset, length, flow, pcRelative, field } of all) {
      const alone = instructionFacts(architecture, bytes.subarray(offset), f + BigInt(offset));
      expect({ length, flow, pcRelative }).toEqual({
        length: alone.length,
        flow: alone.flow,
        pcRelative: alone.pcRelative,
      });
      expect(field === undefined || pcRelative !== undefined).toBe(true);
    }
  });

  it('say where the distance stands, also before an immediate', () => {
    const fields = instructionsOf('x64', bytesOf('833d0020000001e80001000075ed'), f).map(
      ({ field }) => field,
    );
    expect(fields).toEqual([
      { offset: 2, size: 4 },
      { offset: 1, size: 4 },
      { offset: 1, size: 1 },
    ]);
  });
});
