/**
 * What scripts/sweep-instructions.ts cannot try as one instruction among others: divisions, whose operands must not fault on
 * the host; branches, of which only what comes after shows; string instructions; and x87, whose registers go through
 * memory. Each is a few instructions, executed as a whole.
 */

/** Registers and memory before a sequence. */
export interface SequenceState {
  set(register: string, value: bigint): void;
  /** 64-bit word of the memory that rsi points at. */
  setMemory(word: number, value: bigint): void;
  random(): number;
}

export interface Sequence {
  readonly name: string;
  readonly kind: 'division' | 'branch' | 'string' | 'x87';
  /** @param pointer what rsi is + 16 */
  bytes(pointer: bigint): readonly number[];
  /** Bits of RFLAGS that the manual leaves open. */
  readonly undefinedFlags: bigint;
  readonly prepare?: (state: SequenceState) => void;
}

const ALL_FLAGS = 0x8d5n;
const imm64 = (value: bigint): number[] => [
  ...new Uint8Array(BigUint64Array.of(BigInt.asUintN(64, value)).buffer),
];
const signed = (state: SequenceState, bits: number): bigint =>
  BigInt.asIntN(bits, (BigInt(state.random()) << 32n) | BigInt(state.random())) >>
  BigInt(state.random() % bits);

const DIVISIONS: readonly (readonly [bits: 8 | 16 | 32 | 64, prefix: readonly number[], opcode: number])[] = [
  [8, [], 0xf6],
  [16, [0x66], 0xf7],
  [32, [], 0xf7],
  [64, [0x48], 0xf7],
];

/** DIV and IDIV of rcx, and of memory, where the quotient fits. */
function* divisions(): Generator<Sequence> {
  for (const [bits, prefix, opcode] of DIVISIONS)
    for (const isSigned of [false, true])
      for (const inMemory of [false, true]) {
        const modrm = inMemory ? [isSigned ? 0x7e : 0x76, 0x10] : [isSigned ? 0xf9 : 0xf1];
        yield {
          name: `${isSigned ? 'IDIV' : 'DIV'} of ${bits} bits by ${inMemory ? 'memory' : 'a register'}`,
          kind: 'division',
          bytes: () => [...prefix, opcode, ...modrm],
          undefinedFlags: ALL_FLAGS,
          prepare(state) {
            const taken = isSigned ? BigInt.asIntN : BigInt.asUintN;
            const divisor = taken(bits, signed(state, 64)) || 1n;
            const size = divisor < 0n ? -divisor : divisor;
            const quotient = taken(bits, signed(state, 64));
            const product = quotient * divisor;
            const rest = taken(64, BigInt(state.random())) % size;
            const dividend =
              product < 0n ? product - (rest < 0n ? -rest : rest) : product + (rest < 0n ? -rest : rest);
            const low = BigInt.asUintN(bits, dividend);
            const high = BigInt.asUintN(bits, dividend >> BigInt(bits));
            if (bits === 8) state.set('rax', (high << 8n) | low);
            else {
              state.set('rax', low);
              state.set('rdx', high);
            }
            state.set('rcx', BigInt.asUintN(64, divisor));
            state.setMemory(2, BigInt.asUintN(64, divisor));
          },
        };
      }
}

/** A branch over an instruction that shows whether it was taken; rax is 0 before. */
const SHOWS = [0xb8, 1, 0, 0, 0]; // mov eax, 1
const CLEAR = [0xb8, 0, 0, 0, 0];

function* branches(): Generator<Sequence> {
  const of = (name: string, branch: readonly number[], before: readonly number[] = []): Sequence => ({
    name,
    kind: 'branch',
    bytes: () => [...CLEAR, ...before, ...branch, ...SHOWS],
    undefinedFlags: 0n,
  });
  for (let condition = 0; condition < 16; condition++) {
    yield of(`J${condition.toString(16)} rel8`, [0x70 | condition, SHOWS.length]);
    yield of(`J${condition.toString(16)} rel32`, [0x0f, 0x80 | condition, SHOWS.length, 0, 0, 0]);
  }
  for (const [opcode, name] of [
    [0xe0, 'LOOPNE'],
    [0xe1, 'LOOPE'],
    [0xe2, 'LOOP'],
    [0xe3, 'JRCXZ'],
  ] as const)
    for (const [what, before] of [
      ['', []],
      [' of 0', [0xb9, 0, 0, 0, 0]],
      [' of 1', [0xb9, 1, 0, 0, 0]],
      [' of 2^32', [0x48, 0xb9, 0, 0, 0, 0, 1, 0, 0, 0]],
    ] as const) {
      yield of(`${name}${what}`, [opcode, SHOWS.length], before);
      yield of(`${name}${what}, 32-bit counter`, [0x67, opcode, SHOWS.length], before);
    }
  // Backwards: mov ecx, 3; inc eax; loop to it.
  yield of('LOOP backwards', [0xb9, 3, 0, 0, 0, 0xff, 0xc0, 0xe2, 0xfc, 0xeb, SHOWS.length]);
  yield of('JMP rel8', [0xeb, SHOWS.length]);
  yield of('JMP rel32', [0xe9, SHOWS.length, 0, 0, 0]);
  // call over it; pop rdx, as a difference: call next; sub [rsp], rsp-independent.
  yield of('CALL and RET', [0xe8, 2, 0, 0, 0, 0xeb, SHOWS.length + 1, 0xc3]);
  // lea rdx, [rip+…]; jmp rdx; then rdx is cleared behind it.
  yield {
    name: 'JMP through a register',
    kind: 'branch',
    bytes: () => [...CLEAR, 0x48, 0x8d, 0x15, 7, 0, 0, 0, 0xff, 0xe2, ...SHOWS, 0xba, 0, 0, 0, 0],
    undefinedFlags: 0n,
  };
  for (let condition = 0; condition < 16; condition++) {
    yield of(`SET${condition.toString(16)}`, [0x0f, 0x90 | condition, 0xc2, 0xeb, SHOWS.length]);
    yield of(`CMOV${condition.toString(16)}`, [0x48, 0x0f, 0x40 | condition, 0xca, 0xeb, SHOWS.length]);
  }
}

const STRINGS: readonly (readonly [name: string, opcode: number, repeats: readonly (readonly number[])[]])[] =
  [
    ['MOVS', 0xa4, [[], [0xf3]]],
    ['CMPS', 0xa6, [[], [0xf3], [0xf2]]],
    ['STOS', 0xaa, [[], [0xf3]]],
    ['LODS', 0xac, [[], [0xf3]]],
    ['SCAS', 0xae, [[], [0xf3], [0xf2]]],
  ];
const REPEAT: Readonly<Record<number, string>> = { 243: 'REPE ', 242: 'REPNE ' };

/** Up to seven elements, forwards and backwards, also where source and destination overlap, and with equal elements. */
function* strings(): Generator<Sequence> {
  for (const [name, opcode, repeats] of STRINGS)
    for (const repeat of repeats)
      for (const [size, prefix] of [
        [8, []],
        [16, [0x66]],
        [32, []],
        [64, [0x48]],
      ] as const)
        for (const isBackwards of [false, true])
          for (const distance of [64n, 4n, -3n]) {
            const instruction = [
              ...(size === 16 ? prefix : []),
              ...repeat,
              ...(size === 64 ? prefix : []),
              opcode | (size === 8 ? 0 : 1),
            ];
            yield {
              name: `${REPEAT[repeat[0] ?? 0] ?? ''}${name} of ${size} bits${isBackwards ? ', backwards' : ''}, ${distance} bytes apart`,
              kind: 'string',
              bytes: (pointer) => [
                ...[0x48, 0xbf, ...imm64(pointer - 16n + distance)], // mov rdi, …
                ...[0x83, 0xe1, 7], // and ecx, 7
                isBackwards ? 0xfd : 0xfc,
                ...instruction,
                ...[0x48, 0x89, 0xfa], // mov rdx, rdi
              ],
              // Of and ecx, 7, where nothing is compared.
              undefinedFlags: 0x10n,
              prepare(state) {
                if (state.random() % 2 === 0) return;
                // Equal elements, with one that differs somewhere.
                for (let word = -16; word < 24; word++) state.setMemory(word, 0x4141_4141_4141_4141n);
                state.set('rax', 0x4141_4141_4141_4141n);
                state.setMemory(state.random() % 8, 0x4141_4142_4141_4141n);
              },
            };
          }
}

/** Computed by Unicorn as a double, where a processor has 64 bits of significand. */
export const TRANSCENDENTAL = /^x87 d9 (f0|f1|f2|f3|f9|fb|fe|ff)/;

const DOUBLES = [
  0x3ff0_0000_0000_0000n,
  0xc004_0000_0000_0000n,
  0x0000_0000_0000_0000n,
  0x8000_0000_0000_0000n,
  0x7ff0_0000_0000_0000n,
  0xfff0_0000_0000_0000n,
  0x7ff8_0000_0000_0001n,
  0x4340_0000_0000_0001n,
  0x3fd5_5555_5555_5555n,
  0x41df_ffff_ffc0_0000n,
];

/** fninit; fld of four; the instruction; fnstsw ax; fstp of two; fninit. No register that is empty is used. */
const wrapped = (instruction: readonly number[]): number[] => [
  ...[0xdb, 0xe3, 0xdd, 0x46, 0x28, 0xdd, 0x46, 0x20, 0xdd, 0x46, 0x10, 0xdd, 0x46, 0x18],
  ...instruction,
  ...[0xdf, 0xe0, 0xdb, 0x7e, 0x30, 0xdb, 0x7e, 0x40, 0xdb, 0xe3],
];
const HEX = (bytes: readonly number[]) => bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');

function* x87(): Generator<Sequence> {
  const of = (instruction: readonly number[]): Sequence => ({
    name: `x87 ${HEX(instruction)}`,
    kind: 'x87',
    bytes: () => wrapped(instruction),
    undefinedFlags: 0n,
    prepare(state) {
      const number = () =>
        state.random() % 2 === 0
          ? (DOUBLES[state.random() % DOUBLES.length] ?? 0n)
          : (BigInt(0x3f0 + (state.random() % 0x1f)) << 52n) | (BigInt(state.random()) << 20n);
      state.setMemory(2, number());
      state.setMemory(3, number());
      state.setMemory(4, number());
      state.setMemory(5, number());
      for (const word of [6, 7, 8, 9]) state.setMemory(word, 0n);
    },
  });
  for (let opcode = 0xd8; opcode <= 0xdf; opcode++) {
    for (let second = 0xc0; second <= 0xff; second++)
      if (isDocumented(opcode, second) && !usesEmpty(opcode, second) && !EMPTIES.has((opcode << 8) | second))
        yield of([opcode, second]);
    // Memory operands: of [rsi+32].
    for (let reg = 0; reg < 8; reg++)
      if (!ENVIRONMENT.has((opcode << 3) | reg)) yield of([opcode, 0x46 | (reg << 3), 0x20]);
  }
}

/** FLDENV, FLDCW, FNSTENV, FRSTOR, FNSAVE: they hold addresses of the instructions; DB /4 and /6, DD /5 and D9 /1 are none. */
const ENVIRONMENT = new Set(
  [
    [0xd9, 1],
    [0xd9, 4],
    [0xd9, 5],
    [0xd9, 6],
    [0xdb, 4],
    [0xdb, 6],
    [0xdd, 4],
    [0xdd, 5],
    [0xdd, 6],
  ].map(([opcode = 0, reg = 0]) => (opcode << 3) | reg),
);

/**
 * Results that Unicorn gets wrong and nobody mends (docs/limitations.md#processors): infinities in trigonometric functions,
 * logarithms and FXTRACT, F2XM1 outside of -1 to 1, which the manual leaves open, no numbers in FPREM and FPREM1, FISTTP of
 * what the integer does not hold, FBSTP of -0.
 */
export const KNOWN_DIFFERENCES: ReadonlySet<string> = new Set([
  'x87 d9 f0',
  'x87 d9 f1',
  'x87 d9 f2',
  'x87 d9 f4',
  'x87 d9 f5',
  'x87 d9 f8',
  'x87 d9 f9',
  'x87 d9 fb',
  'x87 d9 fe',
  'x87 d9 ff',
  'x87 db 4e 20',
  'x87 dd 4e 20',
  'x87 df 76 20',
]);

/** FDECSTP, FNINIT and FFREE, behind which registers are empty. */
const EMPTIES: ReadonlySet<number> = new Set([0xd9f6, 0xdbe3, 0xddc0, 0xddc1, 0xddc2, 0xddc3]);

/** Does it have an operand st(i) of which four were not loaded? */
const usesEmpty = (opcode: number, second: number): boolean =>
  (second & 7) > 3 && (opcode !== 0xd9 || second < 0xd0) && (opcode !== 0xdb || second >> 3 !== 0x1c);

/** Intel SDM 2, table A-7 to A-22 (escape opcodes), without aliases that it does not list. */
function isDocumented(opcode: number, second: number): boolean {
  const column = second >> 3;
  switch (opcode) {
    case 0xd8:
    case 0xdc:
      return opcode === 0xd8 || (column !== 0x1a && column !== 0x1b);
    case 0xd9:
      return (
        column <= 0x19 ||
        second === 0xd0 ||
        [0xe0, 0xe1, 0xe4, 0xe5].includes(second) ||
        (second >= 0xe8 && second !== 0xef)
      );
    case 0xda:
      return column <= 0x1b || second === 0xe9;
    case 0xdb:
      return column <= 0x1b || second === 0xe2 || second === 0xe3 || column === 0x1d || column === 0x1e;
    case 0xdd:
      return column === 0x18 || (column >= 0x1a && column <= 0x1d);
    case 0xde:
      return column !== 0x1a && (column !== 0x1b || second === 0xd9);
    case 0xdf:
      return second === 0xe0 || column === 0x1d || column === 0x1e;
    default:
      return false;
  }
}

export function sequences(): Sequence[] {
  return [...divisions(), ...branches(), ...strings(), ...x87()];
}
