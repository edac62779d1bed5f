/**
 * Executes instructions of x64 user mode on the host's own processor and on the simulated one, with the same registers,
 * flags and memory, and compares what comes out. Prints a table of how many were tried, are right, wrong, and refused.
 * Needs an x64 host that lets a process make memory executable.
 *
 *     npx tsx scripts/sweep-instructions.ts [ROUNDS]
 */
import { createRequire } from 'node:module';
import type { Instruction } from 'iced-x86';
import { Machine, randomNumbers } from '../cpu/index.js';
import { hostWords } from '../cpu/unicorn/host-code.js';
import { koffi } from '../cpu/unicorn/koffi.js';
import { KNOWN_DIFFERENCES, type Sequence, sequences, TRANSCENDENTAL } from './sweep-sequences.js';

const iced = createRequire(import.meta.url)('iced-x86') as typeof import('iced-x86');
const { Code, CpuidFeature, Decoder, DecoderOptions, EncodingKind, FlowControl, OpKind, Register } = iced;

const ROUNDS = Number(process.argv[2] ?? 4);
const GENERAL = [
  'rax',
  'rcx',
  'rdx',
  'rbx',
  'rbp',
  'rsi',
  'rdi',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
];
const VECTORS = 16;
/** Words of a state: general registers, flags, vectors of 2 words, and the memory that the instruction sees. */
const FLAGS_AT = GENERAL.length;
const VECTORS_AT = FLAGS_AT + 1;
const MEMORY_AT = VECTORS_AT + 2 * VECTORS;
const MEMORY_WORDS = 64;
const WORDS = MEMORY_AT + MEMORY_WORDS;
const ARITHMETIC_FLAGS = 0xcd5n; // and DF

/** Where both see the state, so that pointers and addresses relative to the program counter are the same. */
const ROOM = 64 << 20;
const CODE_OFFSET = 0x1_0000;
const shared = hostWords(ROOM / 8);
const host = new BigUint64Array(shared.buffer, 0, 512);
const memoryAddress = shared.address + BigInt(MEMORY_AT * 8);
const pointer = memoryAddress + 256n;

/**
 * Features that the host may have and the simulated processor announces by CPUID; all others are not compared. By the
 * names of iced's CpuidFeature.
 */
const FEATURES = new Set(
  [
    'INTEL8086',
    'INTEL186',
    'INTEL286',
    'INTEL386',
    'INTEL486',
    'X64',
    'CMOV',
    'CX8',
    'CMPXCHG16B',
    'SSE',
    'SSE2',
    'SSE3',
    'SSSE3',
    'SSE4_1',
    'SSE4_2',
    'POPCNT',
    'MOVBE',
    'AES',
    'PCLMULQDQ',
    'BMI1',
    'BMI2',
    'LZCNT',
    'ADX',
    'MMX',
    'INTEL8086_ONLY',
    'MULTIBYTENOP',
    'FXSR',
  ].map((name) => CpuidFeature[name as keyof typeof CpuidFeature]),
);

/** Not compared: they do not return here, depend on the host's system, or change what this program stands on. */
const EXCLUDED =
  /^(Rdtsc|Rdtscp|Rdrand|Rdseed|Cpuid|Syscall|Sysenter|Int|Hlt|In_|Out|Ins|Wrmsr|Rdmsr|Sgdt|Sidt|Sldt|Str|Smsw|Verr|Verw|Lar|Lsl|Mov_r.._cr|Mov_cr|Mov_.*_Sreg|Mov_Sreg|Pop_?[DEFGS]S|Pop[dfg]s|Push.*[fF]s|Push.*[gG]s|Lss|Lfs|Lgs|Popf|Pushf|Cli|Sti|Enter|Leave|Push|Pop_|Popw|Popq|Xlat|Maskmov|Fx|Fn|F[a-z]|Wait|Emms|Ldmxcsr|Stmxcsr|Rdfs|Rdgs|Wrfs|Wrgs|Xsave|Xrstor|Xgetbv|Monitor|Mwait|Clflush|Prefetch|Ud[012]|Rep|Movs[bdqw]_m|Cmps[bdqw]_m|Scas|Lods|Stos|Rsm|Getsec|Arpl|Std|Cldemote|Bt[crs]?_rm.._r)/;

interface Candidate {
  readonly bytes: Uint8Array;
  readonly code: number;
  readonly name: string;
  readonly undefinedFlags: bigint;
}

function candidateOf(bytes: readonly number[], at: bigint): Candidate | undefined {
  const decoder = new Decoder(64, Uint8Array.from(bytes), DecoderOptions.None);
  decoder.ip = at;
  const instruction = decoder.decode();
  try {
    const name = Code[instruction.code] ?? '';
    if (instruction.isInvalid || EXCLUDED.test(name)) return undefined;
    if (instruction.flowControl !== FlowControl.Next || instruction.isPrivileged) return undefined;
    if (instruction.encoding !== EncodingKind.Legacy && instruction.encoding !== EncodingKind.VEX)
      return undefined;
    if (![...instruction.cpuidFeatures()].every((feature) => FEATURES.has(feature))) return undefined;
    if (!isReachable(instruction)) return undefined;
    const length = instruction.length;
    return {
      bytes: Uint8Array.from(bytes.slice(0, length)),
      code: instruction.code,
      name,
      undefinedFlags: flagBits(instruction.rflagsUndefined),
    };
  } finally {
    instruction.free();
    decoder.free();
  }
}

/** The bits of RFLAGS for iced's. */
function flagBits(flags: number): bigint {
  const { RflagsBits } = iced;
  const bits: readonly [number, bigint][] = [
    [RflagsBits.CF, 0x1n],
    [RflagsBits.PF, 0x4n],
    [RflagsBits.AF, 0x10n],
    [RflagsBits.ZF, 0x40n],
    [RflagsBits.SF, 0x80n],
    [RflagsBits.OF, 0x800n],
  ];
  return bits.reduce((value, [bit, flag]) => ((flags & bit) === 0 ? value : value | flag), 0n);
}

/** Memory operands only at [rsi], [rsi+disp8] or relative to the program counter; no use of rsp. */
function isReachable(instruction: Instruction): boolean {
  for (let index = 0; index < instruction.opCount; index++) {
    const kind = instruction.opKind(index);
    if (kind === OpKind.Register) {
      if ([Register.RSP, Register.ESP, Register.SP, Register.SPL].includes(instruction.opRegister(index)))
        return false;
    } else if (kind === OpKind.Memory) {
      const isPlain = instruction.memoryBase === Register.RSI && instruction.memoryIndex === Register.None;
      if (!instruction.isIpRelMemoryOperand && !isPlain) return false;
      if (instruction.segmentPrefix !== Register.None) return false;
    } else if (kind >= OpKind.MemorySegSI) return false;
  }
  return true;
}

/** Machine code that loads the state, executes the instruction at its end and stores the state. */
const state = shared.address;
const imm64 = (value: bigint): number[] => [
  ...new Uint8Array(BigUint64Array.of(BigInt.asUintN(64, value)).buffer),
];
const disp32 = (value: number): number[] => [...new Uint8Array(Int32Array.of(value).buffer)];
/** mov with a 64-bit register of number `register` and [r/m = base + disp32]. */
const move = (opcode: number, register: number, base: number, displacement: number): number[] => [
  0x48 | ((register >> 3) << 2) | (base >> 3),
  opcode,
  0x80 | ((register & 7) << 3) | (base & 7),
  ...disp32(displacement),
];
const NUMBERS = [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const vectorMove = (opcode: number, register: number, displacement: number): number[] => [
  0xf3,
  0x40 | ((register >> 3) << 2),
  0x0f,
  opcode,
  0x80 | ((register & 7) << 3) | 0,
  ...disp32(displacement),
]; // movdqu with [rax + disp32]

function prologue(): number[] {
  const save = [0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57]; // rbx rbp r12-r15
  const base = [0x48, 0xb8, ...imm64(state)];
  const vectors = Array.from({ length: VECTORS }, (_, i) =>
    vectorMove(0x6f, i, (VECTORS_AT + 2 * i) * 8),
  ).flat();
  const flags = [0xff, 0xb0, ...disp32(FLAGS_AT * 8), 0x9d]; // push [rax+…]; popfq
  const general = GENERAL.map((_, i) => [NUMBERS[i] ?? 0, i] as const)
    .filter(([number]) => number !== 0)
    .flatMap(([number, i]) => move(0x8b, number, 0, i * 8));
  return [...save, ...base, ...vectors, ...flags, ...general, ...move(0x8b, 0, 0, 0)];
}

function epilogue(): number[] {
  // rax goes to the stack, then the state's address into it
  const base = [0x50, 0x48, 0xb8, ...imm64(state), 0x9c, 0x8f, 0x80, ...disp32(FLAGS_AT * 8)]; // push rax; mov rax; pushfq; pop [rax+…]
  const general = GENERAL.map((_, i) => [NUMBERS[i] ?? 0, i] as const)
    .filter(([number]) => number !== 0)
    .flatMap(([number, i]) => move(0x89, number, 0, i * 8));
  const first = [0x59, ...move(0x89, 1, 0, 0)]; // pop rcx; mov [rax], rcx
  const vectors = Array.from({ length: VECTORS }, (_, i) =>
    vectorMove(0x7f, i, (VECTORS_AT + 2 * i) * 8),
  ).flat();
  const restore = [0xfc, 0x0f, 0x77, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3];
  return [...base, ...general, ...first, ...vectors, ...restore];
}

const PREFIXES: readonly number[][] = [
  [],
  [0x66],
  [0xf2],
  [0xf3],
  [0x48],
  [0x66, 0x48],
  [0xf2, 0x48],
  [0xf3, 0x48],
  [0xf0],
  [0xf0, 0x48],
  [0xf0, 0x66],
];
const LEGACY_PREFIX = new Set([
  0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x0f, 0xc4, 0xc5, 0x62,
]);
const isRex = (byte: number): boolean => (byte & 0xf0) === 0x40;

/** Opcodes with their prefixes, without what follows them. */
function* opcodes(): Generator<number[]> {
  for (const prefix of PREFIXES) {
    for (let opcode = 0; opcode < 256; opcode++) {
      if (!LEGACY_PREFIX.has(opcode) && !isRex(opcode)) yield [...prefix, opcode];
      if (opcode !== 0x38 && opcode !== 0x3a) yield [...prefix, 0x0f, opcode];
      yield [...prefix, 0x0f, 0x38, opcode];
      yield [...prefix, 0x0f, 0x3a, opcode];
    }
  }
  for (const map of [2, 3]) {
    for (const wide of [0, 0x80]) {
      for (let pp = 0; pp < 4; pp++) {
        for (let opcode = 0xf0; opcode < 0xf8; opcode++) {
          for (const second of [1, 3]) yield [0xc4, 0xe0 | map, wide | ((~second & 15) << 3) | pp, opcode];
        }
      }
    }
  }
}

type Form = 'register' | 'memory' | 'relative';
const FORMS: Readonly<Record<Form, (reg: number) => number[]>> = {
  register: (reg) => [0xc0 | (reg << 3) | 1],
  memory: (reg) => [0x46 | (reg << 3), 0x10],
  relative: (reg) => [0x05 | (reg << 3), 0, 0, 0, 0],
};

interface Placed extends Candidate {
  readonly form: Form | 'sequence';
  readonly sequence?: Sequence;
  /** Of the whole, with what is around the instruction, from the start of the host code. */
  readonly offset: number;
}

function collect(): { readonly placed: readonly Placed[]; readonly blob: number[] } {
  const random = randomNumbers(1);
  const before = prologue();
  const after = epilogue();
  const blob: number[] = [];
  const placed: Placed[] = [];
  const seen = new Map<string, number>();
  for (const opcode of opcodes()) {
    for (const form of ['register', 'memory', 'relative'] as const) {
      for (let reg = 0; reg < 8; reg++) {
        const modrm = FORMS[form](reg);
        const bytes = [...opcode, ...modrm, ...Array.from({ length: 8 }, () => random() & 0xff)];
        const candidate = candidateOf(bytes, 0x1000n);
        if (candidate === undefined || /Div|Idiv|Aam/.test(candidate.name)) continue;
        if (candidate.bytes.length < opcode.length + modrm.length && form !== 'register') continue;
        const key = `${candidate.name} ${form} ${opcode.includes(0xf0) && opcode[0] === 0xf0}`;
        const count = seen.get(key) ?? 0;
        if (count >= 3) continue;
        seen.set(key, count + 1);
        placed.push({ ...candidate, form, offset: blob.length });
        blob.push(...before, ...candidate.bytes, ...after);
      }
    }
  }
  for (const sequence of sequences()) {
    const { name, undefinedFlags } = sequence;
    const bytes = Uint8Array.from(sequence.bytes(pointer));
    placed.push({ bytes, code: 0, name, undefinedFlags, form: 'sequence', sequence, offset: blob.length });
    blob.push(...before, ...bytes, ...after);
  }
  return { placed, blob };
}

const INTERESTING = [
  0n,
  1n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0x8000n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  0x7fff_ffff_ffff_ffffn,
  0x8000_0000_0000_0000n,
  0xffff_ffff_ffff_ffffn,
  0x3ff0_0000_0000_0000n,
  0x4000_0000_3f80_0000n,
];

function main(): void {
  const { placed, blob } = collect();
  const entry = blob.length;
  const at = state + BigInt(CODE_OFFSET);
  const length = prologue().length;
  const code = Buffer.from([...blob, 0xff, 0xe7]);
  const patch = (base: bigint): void => {
    for (const { form, offset, bytes } of placed) {
      if (form !== 'relative') continue;
      const end = base + BigInt(offset + length + bytes.length);
      const where = Buffer.from(bytes).indexOf(Buffer.from([0, 0, 0, 0]));
      code.writeInt32LE(Number(pointer - end), offset + length + where);
    }
  };
  patch(at);
  makeExecutable(at, code);
  const call = koffi().decode(at + BigInt(entry), koffi().proto('void', ['void *'])) as (f: bigint) => void;

  const machine = Machine.create({ architecture: 'x64', memorySize: 64 << 20 });
  const processor = machine.processor(0);
  const table = machine.createPageTable({
    start: 0x1_0000n,
    end: 0x7fff_ffff_0000n,
    mode: 'user',
    name: 'sweep',
  });
  const space = machine.createAddressSpace('sweep', [table]);
  const pages = Math.ceil(code.byteLength / 4096);
  table.commit(at, pages, 'PAGE_EXECUTE_READ');
  machine.writeCode(space, at, code);
  table.commit(state, 1, 'PAGE_READWRITE');
  processor.addressSpace = space;
  processor.ring = 3;

  const random = randomNumbers(7);
  const word = (): bigint => {
    const choice = random() % 3;
    if (choice === 0) return INTERESTING[random() % INTERESTING.length] ?? 0n;
    const value = (BigInt(random()) << 32n) | BigInt(random());
    return choice === 1 ? value : value >> BigInt(random() % 64);
  };
  const results = new Map<string, { tried: number; wrong: number; refused: number; example: string }>();
  for (const candidate of placed) {
    const { bytes, form, name, offset, undefinedFlags, sequence } = candidate;
    const result = { tried: 0, wrong: 0, refused: 0, example: '' };
    results.set([name, sequence?.kind ?? form, Buffer.from(bytes).toString('hex')].join('\t'), result);
    for (let round = 0; round < ROUNDS; round++) {
      const before = Array.from({ length: WORDS }, word);
      before[GENERAL.indexOf('rsi')] = pointer - 16n;
      before[FLAGS_AT] = 0x202n | (word() & 0x8d5n);
      sequence?.prepare?.({
        random,
        set(register, value) {
          before[GENERAL.indexOf(register)] = value;
        },
        setMemory(at, value) {
          before[MEMORY_AT + 30 + at] = value;
        },
      });
      host.set(before);
      call(at + BigInt(offset));
      const expected = [...host.subarray(0, WORDS)];
      for (const [index, register] of GENERAL.entries()) processor.set(register, before[index] ?? 0n);
      processor.set('rflags', before[FLAGS_AT] ?? 0n);
      for (let vector = 0; vector < VECTORS; vector++) {
        const index = VECTORS_AT + 2 * vector;
        processor.set(`xmm${vector}`, (before[index] ?? 0n) | ((before[index + 1] ?? 0n) << 64n));
      }
      space.write(state, new Uint8Array(BigUint64Array.from(before).buffer));
      processor.set('mxcsr', 0x1f80n);
      processor.set('rsp', state + 0xf00n);
      processor.pc = at + BigInt(offset + length);
      const end = processor.pc + BigInt(bytes.length);
      const exit =
        sequence === undefined ? processor.step() : processor.run({ instructions: 1000, breakpoints: [end] });
      result.tried += 1;
      if (exit.reason !== (sequence === undefined ? 'instructionLimit' : 'breakpoint')) {
        result.refused += 1;
        result.example = exit.reason === 'exception' ? exit.name : exit.reason;
        continue;
      }
      const got = [...new BigUint64Array(space.read(state, WORDS * 8).buffer)];
      for (const [index, register] of GENERAL.entries()) got[index] = processor.get(register);
      got[FLAGS_AT] = processor.get('rflags');
      for (let vector = 0; vector < VECTORS; vector++) {
        const value = processor.get(`xmm${vector}`);
        got[VECTORS_AT + 2 * vector] = value & 0xffff_ffff_ffff_ffffn;
        got[VECTORS_AT + 2 * vector + 1] = value >> 64n;
      }
      const differs = expected.findIndex((value, index) => {
        if (sequence?.kind === 'x87' && isSameX87(name, index, value, got[index] ?? 0n)) return false;
        if (index >= VECTORS_AT && isSameNumber(name, value, got[index] ?? 0n)) return false;
        const mask = index === FLAGS_AT ? ARITHMETIC_FLAGS & ~undefinedFlags : 0xffff_ffff_ffff_ffffn;
        return (value & mask) !== ((got[index] ?? 0n) & mask);
      });
      if (differs < 0) continue;
      if (KNOWN_DIFFERENCES.has(name)) {
        known.set(name, (known.get(name) ?? 0) + 1);
        continue;
      }
      result.wrong += 1;
      result.example = `word ${differs}: ${expected[differs]?.toString(16)} not ${got[differs]?.toString(16)}`;
    }
  }
  report(results);
}

/** Executions that differed as they are known to. */
const known = new Map<string, number>();

/** Of two operands that are no numbers, one is the result: which, and with which sign, is not compared. */
const isNan = (value: bigint, size: 32 | 64): boolean =>
  size === 64
    ? (value & 0x7fff_ffff_ffff_ffffn) > 0x7ff0_0000_0000_0000n
    : (value & 0x7fff_ffffn) > 0x7f80_0000n;
const APPROXIMATION = /^R(cp|sqrt)[ps]s_/;
const FLOAT = /^(Add|Sub|Mul|Div|Min|Max|Sqrt|Hadd|Hsub|Addsub|Dp|Cvt|Round)\w*[ps][sd]?_/;

function isSameNumber(name: string, expected: bigint, got: bigint): boolean {
  if (APPROXIMATION.test(name)) {
    return [0n, 32n].every((at) => isNear((expected >> at) & 0xffff_ffffn, (got >> at) & 0xffff_ffffn));
  }
  if (!FLOAT.test(name)) return false;
  if (isNan(expected, 64) && isNan(got, 64) && /d_/.test(name)) return true;
  return [0n, 32n].every((at) => {
    const [one, other] = [(expected >> at) & 0xffff_ffffn, (got >> at) & 0xffff_ffffn];
    return one === other || (isNan(one, 32) && isNan(other, 32));
  });
}

/** The condition codes of the status word, of which C1 says whether a result was rounded up. */
const CONDITIONS = 0x4700n;
const ROUNDED_UP = 0x200n;
/** IE to PE, SF and ES: Unicorn never shows them. */
const EXCEPTIONS = 0xffn;
/** Results in which only the exceptions of the status word differed. */
let withoutExceptions = 0;

/** rax, with the status word in it, but for condition codes; results of transcendental instructions as far as a double holds them. */
function isSameX87(name: string, index: number, expected: bigint, got: bigint): boolean {
  if (index === 0) {
    const open = EXCEPTIONS | (COMPARES.test(name) ? ROUNDED_UP : CONDITIONS);
    const isSame = (expected & ~open) === (got & ~open);
    if (isSame && (expected & EXCEPTIONS) !== (got & EXCEPTIONS)) withoutExceptions += 1;
    return isSame;
  }
  if (!TRANSCENDENTAL.test(name)) return false;
  const distance = expected > got ? expected - got : got - expected;
  return distance < 4096n;
}

/** FCOM and its like, FTST, FXAM, FPREM: what their condition codes say is what they are for. */
const COMPARES = /^x87 (d8 d|dc d|da e9|de d9|dd e|d9 e4|d9 e5|d9 f5|d9 f8)/;

/** RCPPS and RSQRTPS are right to 12 bits on any processor (Intel SDM vol. 2). */
function isNear(one: bigint, other: bigint): boolean {
  const words = Uint32Array.of(Number(one), Number(other));
  const [a = 0, b = 0] = new Float32Array(words.buffer);
  if (Math.abs(a) < 2 ** -126 && Math.abs(b) < 2 ** -126) return true;
  // Of a denormal below 0 a processor says minus infinity.
  if (a === Number.NEGATIVE_INFINITY && Number.isNaN(b)) return true;
  return one === other || (Number.isNaN(a) && Number.isNaN(b)) || Math.abs(a - b) <= Math.abs(a) * 2 ** -10;
}

function makeExecutable(at: bigint, code: Buffer): void {
  new Uint8Array(shared.buffer, CODE_OFFSET, code.byteLength).set(code);
  const library = koffi().load(null);
  const protect = library.func('mprotect', 'int', ['void *', 'size_t', 'int']);
  const size = Math.ceil(code.byteLength / 4096) * 4096;
  if (protect(at, size, 5) !== 0) throw new Error('this host lets nobody make memory executable');
}

function report(
  results: ReadonlyMap<string, { tried: number; wrong: number; refused: number; example: string }>,
): void {
  const codes = new Map<string, { forms: number; wrong: string[]; refused: string[] }>();
  for (const [key, { wrong, refused, example }] of results) {
    const [name = '', form = '', bytes = ''] = key.split('\t');
    const entry = codes.get(name) ?? { forms: 0, wrong: [], refused: [] };
    entry.forms += 1;
    if (wrong > 0) entry.wrong.push(`${form} ${bytes}: ${example}`);
    if (refused > 0) entry.refused.push(`${form} ${bytes}: ${example}`);
    codes.set(name, entry);
  }
  const all = [...codes.values()];
  const kinds = ['division', 'branch', 'string', 'x87'].map((kind) => {
    const of = [...results].filter(([key]) => key.split('\t')[1] === kind).map(([, result]) => result);
    return {
      kind,
      sequences: of.length,
      executions: of.reduce((sum, { tried }) => sum + tried, 0),
      wrong: of.filter(({ wrong }) => wrong > 0).length,
      refused: of.filter(({ refused }) => refused > 0).length,
    };
  });
  console.table(kinds);
  console.log(`known to differ: ${[...known].map(([name, count]) => `${name}: ${count}`).join(', ')}`);
  console.log(`x87 results whose exceptions are not in the status word: ${withoutExceptions}`);
  console.table([
    { what: 'instructions (iced-x86 codes)', count: codes.size },
    { what: 'encodings with operands', count: results.size },
    { what: 'executions', count: [...results.values()].reduce((sum, { tried }) => sum + tried, 0) },
    { what: 'instructions wrong', count: all.filter(({ wrong }) => wrong.length > 0).length },
    { what: 'instructions refused', count: all.filter(({ refused }) => refused.length > 0).length },
  ]);
  for (const [name, { wrong, refused }] of codes) {
    if (wrong.length > 0) console.log(`wrong    ${name} (${wrong.length}): ${wrong[0]}`);
    if (refused.length > 0) console.log(`refused  ${name} (${refused.length}): ${refused[0]}`);
  }
  if (all.some(({ wrong }) => wrong.length > 0)) process.exitCode = 1;
}

main();
