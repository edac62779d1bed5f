import type { ArchitectureName } from '../../cpu/index.js';

/** A register as GDB knows it. */
export interface GdbRegister {
  readonly name: string;
  readonly bits: 32 | 64 | 80 | 128;
  /** GDB's type; default `int`. */
  readonly type?: string;
  /** Its name on our processors; undefined: there is none, it reads as 0. */
  readonly register?: string;
}

interface Feature {
  readonly name: string;
  /** Types that the registers use, as elements of the description. */
  readonly types?: string;
  readonly registers: readonly GdbRegister[];
}

interface Description {
  readonly architecture: string;
  readonly features: readonly Feature[];
}

const numbered = (prefix: string, count: number) => Array.from({ length: count }, (_, n) => `${prefix}${n}`);

const integers = (names: readonly string[], bits: 32 | 64): GdbRegister[] =>
  names.map((name) => ({ name, bits, register: name }));

const SEGMENTS: readonly GdbRegister[] = ['cs', 'ss', 'ds', 'es', 'fs', 'gs'].map((name) => ({
  name,
  bits: 32,
  register: name,
}));

/** The x87 registers; only the control and status words are kept apart. */
const X87: readonly GdbRegister[] = [
  ...numbered('st', 8).map(
    (name, n): GdbRegister => ({ name, bits: 80, type: 'i387_ext', register: `fp${n}` }),
  ),
  { name: 'fctrl', bits: 32, register: 'fpcw' },
  { name: 'fstat', bits: 32, register: 'fpsw' },
  ...['ftag', 'fiseg', 'fioff', 'foseg', 'fooff', 'fop'].map((name): GdbRegister => ({ name, bits: 32 })),
];

/** Types of the vector registers: their elements one way and as one number. */
const VECTOR_TYPES =
  '<vector id="v4f" type="ieee_single" count="4"/><vector id="v2d" type="ieee_double" count="2"/>' +
  '<vector id="v16i8" type="int8" count="16"/><union id="vec128"><field name="v4_float" type="v4f"/>' +
  '<field name="v2_double" type="v2d"/><field name="v16_int8" type="v16i8"/><field name="uint128" type="uint128"/></union>';

const sse = (count: number): Feature => ({
  name: 'org.gnu.gdb.i386.sse',
  types: VECTOR_TYPES,
  registers: [
    ...numbered('xmm', count).map(
      (name): GdbRegister => ({ name, bits: 128, type: 'vec128', register: name }),
    ),
    { name: 'mxcsr', bits: 32, register: 'mxcsr' },
  ],
});

/** GDB names its features and their registers in "Standard Target Features" of its manual. */
const DESCRIPTIONS: Readonly<Record<ArchitectureName, Description>> = {
  x64: {
    architecture: 'i386:x86-64',
    features: [
      {
        name: 'org.gnu.gdb.i386.core',
        registers: [
          ...integers(['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'rsp'], 64),
          ...integers(numbered('r', 16).slice(8), 64),
          { name: 'rip', bits: 64, type: 'code_ptr', register: 'rip' },
          { name: 'eflags', bits: 32, register: 'rflags' },
          ...SEGMENTS,
          ...X87,
        ],
      },
      sse(16),
      {
        name: 'org.gnu.gdb.i386.segments',
        registers: [
          { name: 'fs_base', bits: 64, register: 'fs.base' },
          { name: 'gs_base', bits: 64, register: 'gs.base' },
        ],
      },
    ],
  },
  x86: {
    architecture: 'i386',
    features: [
      {
        name: 'org.gnu.gdb.i386.core',
        registers: [
          ...integers(['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'], 32),
          { name: 'eip', bits: 32, type: 'code_ptr', register: 'eip' },
          { name: 'eflags', bits: 32, register: 'rflags' },
          ...SEGMENTS,
          ...X87,
        ],
      },
      sse(8),
    ],
  },
  arm64: {
    architecture: 'aarch64',
    features: [
      {
        name: 'org.gnu.gdb.aarch64.core',
        registers: [
          ...integers(numbered('x', 31), 64),
          { name: 'sp', bits: 64, type: 'data_ptr', register: 'sp' },
          { name: 'pc', bits: 64, type: 'code_ptr', register: 'pc' },
          { name: 'cpsr', bits: 32, register: 'nzcv' },
        ],
      },
      {
        name: 'org.gnu.gdb.aarch64.fpu',
        types: VECTOR_TYPES,
        registers: [
          ...numbered('v', 32).map(
            (name, n): GdbRegister => ({ name, bits: 128, type: 'vec128', register: `q${n}` }),
          ),
          { name: 'fpsr', bits: 32, register: 'fpsr' },
          { name: 'fpcr', bits: 32, register: 'fpcr' },
        ],
      },
    ],
  },
};

/** In the order of their numbers in the protocol. */
export function gdbRegisters(architecture: ArchitectureName): readonly GdbRegister[] {
  return DESCRIPTIONS[architecture].features.flatMap(({ registers }) => registers);
}

/** The XML that GDB reads as `target.xml`. */
export function targetDescription(name: ArchitectureName): string {
  const { architecture, features } = DESCRIPTIONS[name];
  const body = features.map(
    (feature) =>
      `<feature name="${feature.name}">${feature.types ?? ''}${feature.registers
        .map(
          ({ name: register, bits, type }) =>
            `<reg name="${register}" bitsize="${bits}" type="${type ?? 'int'}"/>`,
        )
        .join('')}</feature>`,
  );
  return `<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target version="1.0"><architecture>${architecture}</architecture><osabi>none</osabi>${body.join('')}</target>`;
}
