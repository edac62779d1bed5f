import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type ArchitectureName,
  arm64Encoder as arm64,
  assemble,
  CpuError,
  formatAddress,
  loadDisassembler,
  x64Encoder as x64,
  x86Encoder as x86,
} from '../../cpu/index.js';

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const ruleOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    return error instanceof CpuError ? error.rule : String(error);
  }
  return 'nothing was thrown';
};

const GB = 1n << 30n;
const MB = 1n << 20n;
const address = fc.bigInt(0n, (1n << 64n) - 1n);
const address32 = fc.bigInt(0n, (1n << 32n) - 1n);
const aligned = address.map((a) => a & ~3n);
const wrap = (value: bigint): bigint => BigInt.asUintN(64, value);
/** Signed values of `bits` bits, with the ends of the range well represented. */
const signed = (bits: number): fc.Arbitrary<bigint> =>
  fc.oneof(
    fc.bigInt(-(1n << BigInt(bits - 1)), (1n << BigInt(bits - 1)) - 1n),
    fc.constantFrom(-(1n << BigInt(bits - 1)), (1n << BigInt(bits - 1)) - 1n, 0n, -1n),
  );

const f = 0xfffff800_12345680n;

describe('exact bytes', () => {
  it.each([
    ['x64 jump from the entry to the 5-byte pad', () => x64.shortJump(f, f - 5n), 'ebf9'],
    ['x64 jump from the entry to the 6-byte pad (old)', () => x64.shortJump(f, f - 6n), 'ebf8'],
    ['x64 pad jump to an HPAT code slot', () => x64.nearJump(f - 5n, f + 0x1000n), 'e900100000'],
    ['x64 pad jump backwards', () => x64.nearJump(f, f), 'e9fbffffff'],
    ['x64 call', () => x64.call(f, f + 5n), 'e800000000'],
    ['x64 HPAT code slot', () => x64.jumpThroughSlot(f, f + 0x1000n), 'ff25fa0f0000'],
    ['x64 rest of the slot', () => x64.fill(2), 'cccc'],
    ['x86 HPAT code slot', () => x86.jumpThroughSlot(0x10010000n, 0x10011000n), 'ff2500100110'],
    [
      'x86 near jump across the top of the address space',
      () => x86.nearJump(0xfffffff0n, 0x10n),
      'e91b000000',
    ],
    ['arm64 HPAT code slot, first word', () => arm64.loadLiteral('x16', f, f + 0x1000n), '10800058'],
    ['arm64 HPAT code slot, second word', () => arm64.branchRegister('x16'), '00021fd6'],
    ['arm64 branch forward', () => arm64.branch(f, f + 4n), '01000014'],
    ['arm64 branch back', () => arm64.branch(f, f - 4n), 'ffffff17'],
    ['arm64 branch with link', () => arm64.call(f, f + 0x1000n), '00040094'],
    ['arm64 __debugbreak', () => arm64.breakpoint(), '00003ed4'],
    ['arm64 nop', () => arm64.nop(), '1f2003d5'],
    ['arm64 fill', () => arm64.fill(8), '00003ed400003ed4'],
  ])('%s', (_name, encode, bytes) => {
    expect(hexOf(encode())).toBe(bytes);
  });
});

describe('ranges', () => {
  it.each([
    ['short jump forward', (to: bigint) => x64.shortJump(f, to), f + 129n, 1n, 'branchOutOfRange'],
    ['short jump back', (to: bigint) => x64.shortJump(f, to), f - 126n, -1n, 'branchOutOfRange'],
    ['x86 short jump forward', (to: bigint) => x86.shortJump(0x1000n, to), 0x1081n, 1n, 'branchOutOfRange'],
    [
      'x64 near jump forward',
      (to: bigint) => x64.nearJump(f, to),
      f + 5n + 2n * GB - 1n,
      1n,
      'branchOutOfRange',
    ],
    ['x64 near jump back', (to: bigint) => x64.nearJump(f, to), f + 5n - 2n * GB, -1n, 'branchOutOfRange'],
    ['x64 call forward', (to: bigint) => x64.call(f, to), f + 5n + 2n * GB - 1n, 1n, 'branchOutOfRange'],
    [
      'x64 slot forward',
      (to: bigint) => x64.jumpThroughSlot(f, to),
      f + 6n + 2n * GB - 1n,
      1n,
      'branchOutOfRange',
    ],
    ['x64 slot back', (to: bigint) => x64.jumpThroughSlot(f, to), f + 6n - 2n * GB, -1n, 'branchOutOfRange'],
    ['arm64 branch forward', (to: bigint) => arm64.branch(f, to), f + 128n * MB - 4n, 4n, 'branchOutOfRange'],
    ['arm64 branch back', (to: bigint) => arm64.branch(f, to), f - 128n * MB, -4n, 'branchOutOfRange'],
    ['arm64 branch alignment', (to: bigint) => arm64.branch(f, to), f + 8n, 1n, 'misaligned'],
    [
      'arm64 literal forward',
      (to: bigint) => arm64.loadLiteral('x16', f, to),
      f + MB - 4n,
      4n,
      'branchOutOfRange',
    ],
    ['arm64 literal back', (to: bigint) => arm64.loadLiteral('x16', f, to), f - MB, -4n, 'branchOutOfRange'],
    [
      'arm64 adrp forward',
      (to: bigint) => arm64.addressOfPage('x0', f, to),
      (f & ~0xfffn) + 4n * GB - 1n,
      1n,
      'branchOutOfRange',
    ],
    [
      'arm64 adrp back',
      (to: bigint) => arm64.addressOfPage('x0', f, to),
      (f & ~0xfffn) - 4n * GB,
      -1n,
      'branchOutOfRange',
    ],
  ])('%s reaches its last address and refuses the next', (_name, encode, last, beyond, rule) => {
    expect(encode(last).length).toBeGreaterThan(0);
    expect(ruleOf(() => encode(last + beyond))).toBe(rule);
  });

  it.each([
    ['register x31', () => arm64.branchRegister('x31'), 'unknownRegister'],
    ['12-bit immediate', () => arm64.addImmediate('x0', 'x1', 4096), 'immediateOutOfRange'],
    ['16-bit immediate', () => arm64.breakpoint(0x10000), 'immediateOutOfRange'],
    ['fill of 6 bytes', () => arm64.fill(6), 'misaligned'],
  ])('refuses %s', (_name, encode, rule) => {
    expect(ruleOf(encode)).toBe(rule);
  });

  it('names the place and both ends', () => {
    expect(() => arm64.branch(f, f + 128n * MB)).toThrow(
      /b at 0xfffff80012345680 cannot reach 0xfffff8001a345680: 134217728 bytes/,
    );
    expect(() => x64.shortJump(f, f + 130n)).toThrow(expect.objectContaining({ address: f }));
  });
});

describe('what is encoded is decoded again, over the whole range', () => {
  const roundTrip = (bits: number, length: bigint, encode: typeof x64.call, form: string) =>
    fc.assert(
      fc.property(address, signed(bits), (from, distance) => {
        const to = wrap(from + length + distance);
        const bytes = encode(from, to);
        expect(x64.decode(bytes, from)).toEqual({
          form,
          length: bytes.length,
          [form === 'jumpThroughSlot' ? 'slot' : 'target']: to,
        });
        expect(x64.branchTarget(bytes, from)).toBe(form === 'jumpThroughSlot' ? undefined : to);
      }),
    );

  it('x64 short jump', () => roundTrip(8, 2n, x64.shortJump, 'shortJump'));
  it('x64 near jump', () => roundTrip(32, 5n, x64.nearJump, 'nearJump'));
  it('x64 call', () => roundTrip(32, 5n, x64.call, 'call'));
  it('x64 jump through slot', () => roundTrip(32, 6n, x64.jumpThroughSlot, 'jumpThroughSlot'));

  it('x86 near jump, call and slot reach every address', () =>
    fc.assert(
      fc.property(address32, address32, (from, to) => {
        expect(x86.branchTarget(x86.nearJump(from, to), from)).toBe(to);
        expect(x86.branchTarget(x86.call(from, to), from)).toBe(to);
        expect(x86.decode(x86.jumpThroughSlot(from, to), from)).toMatchObject({ slot: to });
      }),
    ));

  it('arm64 branch and branch with link', () =>
    fc.assert(
      fc.property(aligned, signed(26), (from, distance) => {
        const to = wrap(from + distance * 4n);
        expect(arm64.decode(arm64.branch(from, to), from)).toEqual({ form: 'branch', length: 4, target: to });
        expect(arm64.decode(arm64.call(from, to), from)).toEqual({ form: 'call', length: 4, target: to });
      }),
    ));

  it('arm64 literal load and branch register', () =>
    fc.assert(
      fc.property(aligned, signed(19), fc.integer({ min: 0, max: 30 }), (from, distance, number) => {
        const slot = wrap(from + distance * 4n);
        const register = `x${number}` as const;
        const load = arm64.loadLiteral(register, from, slot);
        expect(arm64.decode(load, from)).toEqual({ form: 'loadLiteral', length: 4, register, slot });
        const branch = arm64.branchRegister(register);
        expect(arm64.decode(branch, from)).toEqual({ form: 'branchRegister', length: 4, register });
      }),
    ));
});

describe('decode', () => {
  it.each([
    ['x64 two-byte nop', x64, '6690'],
    ['x64 cut-off near jump', x64, 'e9000000'],
    ['x64 indirect call', x64, 'ff1500000000'],
    ['x64 cut-off slot jump', x64, 'ff25000000'],
    ['x64 nothing', x64, ''],
    ['arm64 conditional branch', arm64, '20000054'],
    ['arm64 32-bit literal load', arm64, '10800018'],
    ['arm64 blr', arm64, '00023fd6'],
    ['arm64 ldr xzr, literal', arm64, '1f800058'],
    ['arm64 cut-off word', arm64, '000000'],
  ])('leaves %s alone', (_name, encoder, hex) => {
    const bytes = Buffer.from(hex, 'hex');
    expect(encoder.decode(bytes, f)).toBeUndefined();
    expect(encoder.branchTarget(bytes, f)).toBeUndefined();
  });

  it('reads from the middle of a buffer', () => {
    const buffer = Uint8Array.of(0x90, 0x90, 0xeb, 0xf9, 0x90);
    expect(x64.branchTarget(buffer.subarray(2), f)).toBe(f - 5n);
  });
});

describe('keystone and capstone agree', () => {
  const near = f + 0x40n;
  it.each<[ArchitectureName, string, Uint8Array]>([
    ['x64', 'jmp near_', x64.shortJump(f, near)],
    ['x64', 'jmp far_', x64.nearJump(f, f + 0x12345n)],
    ['x64', 'call near_', x64.call(f, near)],
    ['x64', 'jmp qword ptr [rip+far_]', x64.jumpThroughSlot(f, f + 0x12345n)],
    ['x64', 'int3; int3', x64.fill(2)],
    ['x86', 'jmp far_', x86.nearJump(BigInt.asUintN(32, f), BigInt.asUintN(32, f + 0x12345n))],
    ['x86', 'jmp dword ptr [far_]', x86.jumpThroughSlot(f, f + 0x12345n)],
    ['arm64', 'b near_', arm64.branch(f, near)],
    ['arm64', 'bl near_', arm64.call(f, near)],
    ['arm64', 'ldr x16, near_', arm64.loadLiteral('x16', f, near)],
    ['arm64', 'br x16', arm64.branchRegister('x16')],
    ['arm64', 'adrp x9, far_', arm64.addressOfPage('x9', f, f + 0x12345n)],
    ['arm64', 'add x9, x10, #0xabc', arm64.addImmediate('x9', 'x10', 0xabc)],
    ['arm64', 'brk #0xf000', arm64.breakpoint()],
    ['arm64', 'brk #1', arm64.breakpoint(1)],
    ['arm64', 'nop', arm64.nop()],
  ])('%s %s', async (architecture, source, bytes) => {
    const wrapped = (value: bigint) => (architecture === 'x86' ? BigInt.asUintN(32, value) : value);
    const symbols = { near_: wrapped(near), far_: wrapped(f + 0x12345n) };
    expect(hexOf(await assemble(architecture, source, { address: wrapped(f), symbols }))).toBe(hexOf(bytes));
  });

  it('about where each form goes, over the whole range', async () => {
    const disassemble = await loadDisassembler();
    const agrees = (
      architecture: ArchitectureName,
      bytes: Uint8Array,
      from: bigint,
      to: bigint,
      name: RegExp,
    ) => {
      const [only, ...rest] = disassemble(architecture, bytes, from);
      expect(rest).toEqual([]);
      expect(only?.text).toMatch(name);
      expect(only?.text).toContain(formatAddress(architecture, to));
    };
    fc.assert(
      fc.property(
        aligned,
        signed(8),
        signed(32),
        signed(26),
        signed(19),
        signed(21),
        (from, b8, b32, b26, b19, b21) => {
          const to = (length: bigint, distance: bigint) => wrap(from + length + distance);
          agrees('x64', x64.shortJump(from, to(2n, b8)), from, to(2n, b8), /^jmp /);
          agrees('x64', x64.nearJump(from, to(5n, b32)), from, to(5n, b32), /^jmp /);
          agrees('x64', x64.call(from, to(5n, b32)), from, to(5n, b32), /^call /);
          agrees('x64', x64.jumpThroughSlot(from, to(6n, b32)), from, to(6n, b32), /^jmp +qword ptr \[/);
          agrees('x86', x86.nearJump(from, to(5n, b32)), from, to(5n, b32), /^jmp /);
          agrees('x86', x86.jumpThroughSlot(from, b32), from, b32, /^jmp +dword ptr \[/);
          agrees('arm64', arm64.branch(from, to(0n, b26 * 4n)), from, to(0n, b26 * 4n), /^b /);
          agrees('arm64', arm64.call(from, to(0n, b26 * 4n)), from, to(0n, b26 * 4n), /^bl /);
          agrees(
            'arm64',
            arm64.loadLiteral('x16', from, to(0n, b19 * 4n)),
            from,
            to(0n, b19 * 4n),
            /^ldr +x16,/,
          );
          const page = wrap((from & ~0xfffn) + b21 * 0x1000n);
          agrees('arm64', arm64.addressOfPage('x3', from, page + 5n), from, page, /^adrp +x3,/);
        },
      ),
      { numRuns: 300 },
    );
  });
});
