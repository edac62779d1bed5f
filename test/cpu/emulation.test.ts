import { describe, expect, test } from 'vitest';
import { type ArchitectureName, Machine } from '../../cpu/index.js';

/** A page of code and one of data; `code` is machine code, since half of it no assembler makes. */
class Bench implements Disposable {
  readonly machine;
  readonly processor;
  readonly code: bigint;
  readonly data: bigint;

  constructor(architecture: ArchitectureName, code: readonly number[], { user = false, seed = 1 } = {}) {
    const isUser = user || architecture === 'x86';
    this.code = isUser ? 0x40_0000n : 0xffff_f800_0040_0000n;
    this.data = this.code + 0x1_0000n;
    this.machine = Machine.create({ architecture, memorySize: 1 << 20, processors: 2, seed });
    const range = { start: this.code, end: this.code + 0x10_0000n, name: 'test' };
    const table = this.machine.createPageTable({ ...range, mode: isUser ? 'user' : 'kernel' });
    table.commit(this.code, 1, 'PAGE_EXECUTE_READ');
    table.commit(this.data, 1, 'PAGE_READWRITE');
    const space = this.machine.createAddressSpace('test', [table]);
    this.machine.writeCode(space, this.code, Uint8Array.from(code));
    for (const processor of this.machine.processors) {
      processor.addressSpace = space;
      if (isUser && processor.bits === 64) processor.ring = 3;
      processor.pc = this.code;
    }
    this.processor = this.machine.processor(0);
  }

  get(...names: string[]): bigint[] {
    return names.map((name) => this.processor.get(name));
  }

  set(registers: Readonly<Record<string, bigint>>): void {
    for (const [name, value] of Object.entries(registers)) this.processor.set(name, value);
  }

  [Symbol.dispose](): void {
    this.machine[Symbol.dispose]();
  }
}

const words = (...values: number[]): number[] =>
  values.flatMap((word) => [word & 0xff, (word >>> 8) & 0xff, (word >>> 16) & 0xff, word >>> 24]);

const NOP = 0xd503201f;
const ARITHMETIC = 0x8d5n;

describe('instructions that fail an assertion of the translator', () => {
  const lockBitTest = (opcode: number[]) => [0x90, 0x90, 0xf0, 0x0f, ...opcode, 0xc3];
  test.each<[string, number[]]>([
    ['lock bts eax, eax', [0xab, 0xc0]],
    ['lock btr eax, eax', [0xb3, 0xc0]],
    ['lock btc eax, eax', [0xbb, 0xc0]],
    ['lock bt eax, eax', [0xa3, 0xc0]],
    ['lock bts eax, 1', [0xba, 0xe8, 1]],
  ])('%s is an invalid instruction, however often it is met', (_, opcode) => {
    for (const architecture of ['x64', 'x86'] as const) {
      using bench = new Bench(architecture, lockBitTest(opcode));
      const { processor, code } = bench;
      for (let time = 0; time < 100; time++) {
        processor.pc = code;
        expect(processor.run({ instructions: 50 })).toEqual({
          instructions: 2,
          reason: 'exception',
          name: 'invalidOpcode',
          vector: 6,
          instruction: code + 2n,
        });
        expect(processor.pc).toBe(code + 2n);
      }
    }
  });

  test('an instruction before it in the block counts, faults and stops as ever', () => {
    // inc eax; mov rcx, [rdx]; lock bts eax, eax
    using bench = new Bench('x64', [0xff, 0xc0, 0x48, 0x8b, 0x0a, 0xf0, 0x0f, 0xab, 0xc0]);
    const { processor, code, data } = bench;
    expect(processor.run()).toMatchObject({ instructions: 1, reason: 'fault', fault: { address: 0n } });
    processor.set('rdx', data);
    expect(processor.run({ instructions: 1 })).toEqual({ instructions: 1, reason: 'instructionLimit' });
    expect(processor.run({ breakpoints: [code + 5n] })).toMatchObject({ name: 'invalidOpcode' });
    processor.pc = code;
    expect(processor.run({ breakpoints: [code + 5n] })).toEqual({
      instructions: 2,
      reason: 'breakpoint',
      address: code + 5n,
    });
  });

  test('ARM64: unallocated vector operations', () => {
    using bench = new Bench('arm64', words(NOP, 0x2ed61f03));
    expect(bench.processor.run()).toMatchObject({ instructions: 1, name: 'invalidOpcode' });
  });

  test('ARM64: a store to its own page, on which such a word lies as data, makes progress', () => {
    using bench = new Bench('arm64', []);
    const { machine, processor, code } = bench;
    const table = machine.pageTables[0];
    table?.protect(code, 1, 'PAGE_EXECUTE_READWRITE');
    // adr x0, . ; str w1, [x0, #64]; b .
    const bytes = Uint8Array.from(words(0x10000000, 0xb9004001, 0x14000000, 0x4ed924fd));
    machine.writeCode(processor.addressSpace, code, bytes);
    expect(processor.run({ instructions: 50 })).toEqual({ instructions: 50, reason: 'instructionLimit' });
  });

  test('ARM64: such a word, stored to a page that can be executed and run at once', () => {
    using bench = new Bench('arm64', []);
    const { machine, processor, code } = bench;
    machine.pageTables[0]?.protect(code, 1, 'PAGE_EXECUTE_READWRITE');
    // adr x0, . ; str w1, [x0, #64]; b .+60
    machine.writeCode(
      processor.addressSpace,
      code,
      Uint8Array.from(words(0x10000000, 0xb9004001, 0x1400000e)),
    );
    processor.set('x1', 0x2ed61f03n);
    expect(processor.run({ instructions: 50 })).toMatchObject({
      instructions: 3,
      name: 'invalidOpcode',
      instruction: code + 0x40n,
    });
  });
});

describe('ARM64: a branch to an address that is no multiple of 4', () => {
  test.each<[string, number[]]>([
    ['whose word is harmless', [0xd28000e0, 0xd65f03c0]],
    ['whose word cannot be translated', [0x2ed61f03]],
  ])('%s is a PC alignment fault', (_, target) => {
    // adr x0, .+9; br x0
    using bench = new Bench('arm64', [...words(0x30000040, 0xd61f0000), 0, ...words(...target), 0, 0, 0]);
    const { processor, code } = bench;
    for (let time = 0; time < 3; time++) {
      processor.pc = code;
      expect(processor.run()).toEqual({
        instructions: 2,
        reason: 'exception',
        name: 'pcAlignment',
        vector: 0x22,
        instruction: code + 9n,
      });
    }
    expect(processor.run()).toMatchObject({ instructions: 0, name: 'pcAlignment' });
  });
});

describe('clocks and random numbers', () => {
  const CASES: readonly [string, ArchitectureName, number[], string[]][] = [
    ['rdtsc', 'x64', [0x0f, 0x31], ['rax', 'rdx']],
    ['rdtscp', 'x64', [0x0f, 0x01, 0xf9], ['rax', 'rdx', 'rcx']],
    ['rdrand rax', 'x64', [0x48, 0x0f, 0xc7, 0xf0], ['rax']],
    ['rdseed eax', 'x64', [0x0f, 0xc7, 0xf8], ['rax']],
    ['rdtsc', 'x86', [0x0f, 0x31], ['eax', 'edx']],
    ['rdrand eax', 'x86', [0x0f, 0xc7, 0xf0], ['eax']],
    ['mrs x0, cntvct_el0', 'arm64', words(0xd53be040), ['x0']],
    ['mrs x0, cntpct_el0', 'arm64', words(0xd53be020), ['x0']],
    ['mrs x0, pmccntr_el0', 'arm64', words(0xd53b9d00), ['x0']],
    ['mrs x0, rndr', 'arm64', words(0xd53b2400), ['x0']],
  ];

  test.each(CASES)(
    '%s on %s: the same in every machine with the same seed',
    (_, architecture, bytes, names) => {
      const nop = architecture === 'arm64' ? words(NOP) : [0x90];
      const run = (together: boolean, seed = 5) => {
        using bench = new Bench(architecture, [...nop, ...bytes, ...nop, ...bytes, ...nop], { seed });
        const { processor } = bench;
        const seen: bigint[][] = [];
        if (together) processor.run({ instructions: 2 });
        else for (let step = 0; step < 2; step++) expect(processor.step().instructions).toBe(1);
        seen.push(bench.get(...names));
        const snapshot = bench.machine.snapshot();
        expect(processor.run({ instructions: 2 })).toEqual({ instructions: 2, reason: 'instructionLimit' });
        seen.push(bench.get(...names));
        bench.machine.restore(snapshot);
        processor.run({ instructions: 2 });
        seen.push(bench.get(...names));
        return seen;
      };
      const seen = run(true);
      expect(run(false)).toEqual(seen);
      expect(seen[1]).toEqual(seen[2]);
      expect(seen[0]).not.toEqual(seen[1]);
      if (/rnd|rand|seed/.test(_)) expect(run(true, 6)).not.toEqual(seen);
    },
  );

  test('time goes on by one with each instruction', () => {
    using bench = new Bench('x64', [0x0f, 0x31, 0x89, 0xc1, 0x90, 0x90, 0x0f, 0x31, 0x29, 0xc8]);
    bench.processor.run({ instructions: 6 });
    expect(bench.get('rax')).toEqual([4n]);
  });

  test('an observer is told of each instruction once', () => {
    using bench = new Bench('x64', [0x90, 0x0f, 0x31, 0x90, 0x0f, 0x31]);
    const { processor, code } = bench;
    for (let round = 0; round < 2; round++) {
      const told: bigint[] = [];
      using _observer = processor.observe({ instruction: (address) => told.push(address - code) });
      processor.pc = code;
      processor.run({ instructions: 4 });
      expect(told).toEqual([0n, 1n, 3n, 4n]);
    }
  });

  test('a breakpoint at an emulated instruction stops before it', () => {
    using bench = new Bench('x64', [0x90, 0x0f, 0x31, 0x90]);
    const { processor, code } = bench;
    for (let round = 0; round < 3; round++) {
      processor.pc = code;
      const breakpoints = [code + 1n];
      expect(processor.run({ breakpoints })).toMatchObject({ instructions: 1, reason: 'breakpoint' });
      expect(processor.run({ breakpoints, instructions: 2 })).toMatchObject({ instructions: 2 });
    }
  });

  test('CPUID says nothing of the host and announces nothing above SSE4.2', () => {
    using bench = new Bench('x64', [0x0f, 0xa2]);
    const { processor, code } = bench;
    const ask = (leaf: number, subleaf = 0) => {
      bench.set({ rax: BigInt(leaf), rcx: BigInt(subleaf), rip: code });
      expect(processor.step()).toEqual({ instructions: 1, reason: 'instructionLimit' });
      return bench.get('rax', 'rbx', 'rcx', 'rdx');
    };
    const [, , ecx = 0n] = ask(1);
    for (const [name, bit] of [
      ['FMA', 12n],
      ['XSAVE', 26n],
      ['OSXSAVE', 27n],
      ['AVX', 28n],
      ['F16C', 29n],
      ['hypervisor', 31n],
    ] as const) {
      expect([name, (ecx >> bit) & 1n]).toEqual([name, 0n]);
    }
    expect(ask(0x15)).toEqual([0n, 0n, 0n, 0n]);
    expect(ask(0x16)).toEqual([0n, 0n, 0n, 0n]);
    expect(ask(0x4000_0000)).toEqual([0n, 0n, 0n, 0n]);
  });
});

describe('instructions that Unicorn computes wrongly', () => {
  // Right values: measured on a processor that has them (Intel Xeon, family 6).
  test.each<[string, number[], Record<string, bigint>, Record<string, bigint>, bigint?]>([
    [
      'bzhi eax, edx, ecx',
      [0xc4, 0xe2, 0x70, 0xf5, 0xc2],
      { rdx: 0xdeadbeefn, rcx: 40n },
      { rax: 0xdeadbeefn },
      0x81n,
    ],
    [
      'pdep eax, edx, ecx',
      [0xc4, 0xe2, 0x6b, 0xf5, 0xc1],
      { rdx: 0xffff_ffff_ffff_ff00n, rcx: 0xffff_ffff_ffff_ff00n },
      { rax: 0xffff0000n },
    ],
    ['blsi rax, rdx', [0xc4, 0xe2, 0xf8, 0xf3, 0xda], { rdx: 1n }, { rax: 1n }, 1n],
    ['blsi rax, rdx of 0', [0xc4, 0xe2, 0xf8, 0xf3, 0xda], { rdx: 0n }, { rax: 0n }, 0x40n],
    [
      'cmpxchg ecx, edx, equal',
      [0x0f, 0xb1, 0xd1],
      { rax: 0x5_0000_0001n, rcx: 1n, rdx: 7n },
      { rax: 0x5_0000_0001n, rcx: 7n },
      0x44n,
    ],
    [
      'cmpxchg ecx, edx, unequal',
      [0x0f, 0xb1, 0xd1],
      { rax: 0x5_0000_0002n, rcx: 1n, rdx: 7n },
      { rax: 1n, rcx: 1n },
    ],
  ])('%s', (_, code, before, after, flags) => {
    using bench = new Bench('x64', code);
    bench.set(before);
    expect(bench.processor.step()).toEqual({ instructions: 1, reason: 'instructionLimit' });
    expect(bench.get(...Object.keys(after))).toEqual(Object.values(after));
    if (flags !== undefined)
      expect((bench.get('rflags')[0] ?? 0n) & ARITHMETIC & ~0x14n).toBe(flags & ~0x14n);
  });

  test('operands relative to the program counter: rorx, shld, shrd', () => {
    // rorx eax, [rip+18], 3; shld [rip+10], rdx, 5; shrd [rip+2], ecx, 5 (9, 8, 7 bytes), then data
    const code = [
      ...[0xc4, 0xe3, 0x7b, 0xf0, 0x05, 0x0f, 0, 0, 0, 3],
      ...[0x48, 0x0f, 0xa4, 0x15, 7, 0, 0, 0, 5],
    ];
    using bench = new Bench('x64', [...code.slice(0, 10)]);
    const { machine, processor, code: base, data } = bench;
    const relative = (target: bigint, end: bigint) =>
      [0, 8, 16, 24].map((at) => Number(((target - end) >> BigInt(at)) & 0xffn));
    const place = (bytes: number[], operand: number, tail: number[]) => {
      const length = bytes.length + operand + tail.length;
      machine.writeCode(
        processor.addressSpace,
        base,
        Uint8Array.from([...bytes, ...relative(data, base + BigInt(length)), ...tail]),
      );
      processor.addressSpace.writeU64(data, 0x8899_aabb_ccdd_eeffn);
      processor.pc = base;
      expect(processor.step().instructions).toBe(1);
      return processor.addressSpace.readU64(data);
    };
    bench.set({ rdx: 0x1122_3344_5566_7788n, rcx: 0x9900_0005n });
    place([0xc4, 0xe3, 0x7b, 0xf0, 0x05], 4, [3]);
    expect(bench.get('rax')).toEqual([0xf99b_bddfn]);
    expect(place([0x48, 0x0f, 0xa4, 0x15], 4, [5])).toBe(0x1335_5779_9bbd_dfe2n);
    expect(place([0x0f, 0xac, 0x0d], 4, [5])).toBe(0x8899_aabb_2e66_ef77n);
  });

  test.each(['x64', 'x86'] as const)('fcomi and its like clear OF, SF and AF, on %s', (architecture) => {
    for (const compare of [
      [0xdb, 0xf1],
      [0xdb, 0xe9],
      [0xdf, 0xf1],
      [0xdf, 0xe9],
    ])
      for (const flags of [0x202n, 0x202n | ARITHMETIC]) {
        // fld1; fldz; the comparison of 0 with 1: below.
        using bench = new Bench(architecture, [0xd9, 0xe8, 0xd9, 0xee, ...compare, 0x90]);
        bench.set({ rflags: flags });
        expect(bench.processor.run({ instructions: 4 })).toMatchObject({ instructions: 4 });
        expect((bench.get('rflags')[0] ?? 0n) & ARITHMETIC).toBe(1n);
      }
  });

  test('AVX is not announced and invalid, not the SSE instruction of the same opcode', () => {
    for (const code of [
      [0xc5, 0xf0, 0x58, 0xc2],
      [0xc5, 0xf4, 0x58, 0xc2],
      [0x62, 0xf1, 0x74, 0x48, 0x58, 0xc2],
    ]) {
      using bench = new Bench('x64', [0x90, ...code]);
      expect(bench.processor.run({ instructions: 5 })).toMatchObject({
        instructions: 1,
        name: 'invalidOpcode',
      });
    }
  });
});

describe('exceptions as the processor and Windows tell them', () => {
  test.each<[string, number[], Record<string, bigint>, object]>([
    ['idiv by zero', [0xf7, 0xf9], { rcx: 0n }, { name: 'divideError' }],
    [
      'idiv of the smallest by -1',
      [0xf7, 0xf9],
      { rax: 0x8000_0000n, rdx: 0xffff_ffffn, rcx: 0xffff_ffffn },
      { name: 'divideOverflow' },
    ],
    ['div whose quotient does not fit', [0x48, 0xf7, 0xf1], { rdx: 2n, rcx: 1n }, { name: 'divideOverflow' }],
    ['in al, dx in user mode', [0xec], {}, { name: 'generalProtection', privileged: true }],
    ['cli in user mode', [0xfa], {}, { name: 'generalProtection', privileged: true }],
    ['add [rcx], eax', [0x01, 0x01], { rcx: 0x3000n }, { fault: { access: 'write' } }],
    ['lock xadd [rcx], eax', [0xf0, 0x0f, 0xc1, 0x01], { rcx: 0x3000n }, { fault: { access: 'write' } }],
    ['xchg [rcx], eax', [0x87, 0x01], { rcx: 0x3000n }, { fault: { access: 'write' } }],
    ['lock cmpxchg [rcx], eax', [0xf0, 0x0f, 0xb1, 0x01], { rcx: 0x3000n }, { fault: { access: 'write' } }],
    ['mov eax, [rcx]', [0x8b, 0x01], { rcx: 0x3000n }, { fault: { access: 'read' } }],
    ['cmp [rcx], eax', [0x39, 0x01], { rcx: 0x3000n }, { fault: { access: 'read' } }],
    ['add eax, [rcx]', [0x03, 0x01], { rcx: 0x3000n }, { fault: { access: 'read' } }],
  ])('%s', (_, code, registers, expected) => {
    using bench = new Bench('x64', code, { user: true });
    bench.set(registers);
    expect(bench.processor.run({ instructions: 3 })).toMatchObject({ instructions: 0, ...expected });
  });

  test('x86 threads begin with the floating-point control of Windows', () => {
    for (const architecture of ['x64', 'x86'] as const) {
      using bench = new Bench(architecture, []);
      expect(bench.get('fpcw', 'mxcsr')).toEqual([0x27fn, 0x1f80n]);
    }
  });
});

describe('string comparisons', () => {
  // Right values: measured on a processor.
  test.each<[string, number[], Record<string, bigint>, bigint]>([
    [
      'pcmpestri with lengths of -2^31, which means 16',
      [0x66, 0x0f, 0x3a, 0x61, 0xc1, 0x08],
      { rax: 0x8000_0000n, rdx: 0x8000_0000n },
      0n,
    ],
    [
      'pcmpistri searches a string',
      [0x66, 0x0f, 0x3a, 0x63, 0xc1, 0x0c],
      { xmm0: 0x6362n, xmm1: 0x6261_6362_61n },
      1n,
    ],
    [
      'pcmpistri finds no string',
      [0x66, 0x0f, 0x3a, 0x63, 0xc1, 0x0c],
      { xmm0: 0x6463n, xmm1: 0x6261_6362_61n },
      16n,
    ],
  ])('%s', (_, code, registers, rcx) => {
    using bench = new Bench('x64', code);
    bench.set(registers);
    expect(bench.processor.step()).toEqual({ instructions: 1, reason: 'instructionLimit' });
    expect(bench.get('rcx')).toEqual([rcx]);
  });
});
