import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type ArchitectureName,
  AssemblerError,
  assemble,
  assembleListing,
  disassemble,
} from '../../cpu/index.js';

const at = 0xfffff800_12340000n;
const symbols = {
  sym: at + 0x100n,
  beyond: at + 0x2_0000_0000n,
  'demo!f': at + 0x200n,
  '?g@@YAXXZ': at + 0x300n,
};
const low = { low: 0x401000n };

async function bytesOf(architecture: ArchitectureName, source: string): Promise<string> {
  const x86 = architecture === 'x86';
  const bytes = await assemble(architecture, source, {
    address: x86 ? 0x400000n : at,
    symbols: x86 ? low : symbols,
  });
  return Buffer.from(bytes).toString('hex');
}

async function errorOf(architecture: ArchitectureName, source: string): Promise<AssemblerError> {
  const error = await assemble(architecture, source, { address: at, symbols }).catch(
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(AssemblerError);
  return error as AssemblerError;
}

describe('x64', () => {
  it.each([
    ['mov rax, qword ptr [rip+lab]; nop; lab: nop', '488b05010000009090'],
    ['lea rax, [rip+sym]', '488d05f9000000'],
    ['lea rax, [rip+sym-0x200]', '488d05f9feffff'],
    ['lea rax, [sym]', '488d05f9000000'],
    ['mov dword ptr [rip+sym+4], 5', 'c705fa00000005000000'],
    ['jmp qword ptr [rip+sym]', 'ff25fa000000'],
    ['call qword ptr [rip+8]', 'ff1508000000'],
    ['call sym', 'e8fb000000'],
    ['call demo!f', 'e8fb010000'],
    ['jmp ?g@@YAXXZ', 'e9fb020000'],
    ['mov rax, sym', '48b80001341200f8ffff'],
    ['mov rax, offset sym', '48b80001341200f8ffff'],
    ['mov rax, gs:[0x188]', '6548a18801000000000000'],
    ['mov eax, [rcx*8+rax+0x10]', '8b44c810'],
    ['mov [rsp+8], rcx', '48894c2408'],
    ['mov al, -1', 'b0ff'],
    ['mov eax, 10h', 'b810000000'],
    ["mov eax, 'A'", 'b841000000'],
    ['mov eax, 2*3+1', 'b807000000'],
    ['.set x, 5\nmov eax, x+2', 'b807000000'],
    ['rep movsb', 'f3a4'],
    ['lock xadd [rcx], eax', 'f00fc101'],
    ['fadd st(1)', 'd8c1'],
    ['int 0x29', 'cd29'],
    ['endbr64\nret', 'f30f1efac3'],
    ['serialize', '0f01e8'],
    ['nop # one\n# two\nnop // three\n/* four */ nop', '909090'],
  ])('%s', async (source, hex) => {
    expect(await bytesOf('x64', source)).toBe(hex);
  });
});

describe('x86', () => {
  it.each([
    ['jmp low', 'e9fb0f0000'],
    ['jmp dword ptr [low]', 'ff2500104000'],
    ['mov eax, offset low', 'b800104000'],
    ['mov eax, [low+ecx*4]', '8b048d00104000'],
    ['mov eax, fs:[0x18]', '64a118000000'],
    ['jmp 0xfffffff0', 'e9ebffbfff'],
    ['endbr32', 'f30f1efb'],
  ])('%s', async (source, hex) => {
    expect(await bytesOf('x86', source)).toBe(hex);
  });
});

describe('arm64', () => {
  it.each([
    ['b sym', '40000014'],
    ['b #8', '02000014'],
    ['bl demo!f', '80000094'],
    ['b.eq sym', '00080054'],
    ['tbnz x0, #40, sym', '000840b7'],
    ['ldr x16, #0x1000', '10800058'],
    ['ldr w1, lab\nlab: .word 5', '2100001805000000'],
    ['prfm pldl1keep, sym', '000800d8'],
    ['adr x0, sym-1', 'e0070070'],
    ['adrp x0, demo!f\nadd x0, x0, :lo12:demo!f', '0000009000000891'],
    ['ldr x0, [x0, :lo12:sym]', '008040f9'],
    ['stp x29, x30, [sp, #-16]!', 'fd7bbfa9'],
    ['ldr x0, [x1], #8', '208440f8'],
    ['mov x0, v0.d[1]', '003c184e'],
    ['fmov d0, #1.5', '00106f1e'],
    ['ic ivau, x0\ndsb ish\nisb', '20750bd59f3b03d5df3f03d5'],
    ['udf #5', '05000000'],
  ])('%s', async (source, hex) => {
    expect(await bytesOf('arm64', source)).toBe(hex);
  });

  // Instructions that keystone lacks: what is written here is what capstone reads.
  it.each([
    'bti',
    'bti c',
    'bti j',
    'bti jc',
    'paciasp',
    'pacibsp',
    'autiasp',
    'autibsp',
    'paciaz',
    'autibz',
    'pacia1716',
    'autib1716',
    'xpaclri',
    'csdb',
    'esb',
    'psb csync',
    'retaa',
    'retab',
    'eretaa',
    'eretab',
    'sb',
    'braa x0,x1',
    'brab x2,sp',
    'blraa x3,x4',
    'blrab x5,x6',
    'braaz x7',
    'brabz x8',
    'blraaz x9',
    'blrabz x10',
    'pacia x0,x1',
    'pacib x2,sp',
    'pacda x3,x4',
    'pacdb x5,x6',
    'autia x0,x1',
    'autib x2,x3',
    'autda x4,x5',
    'autdb x6,sp',
    'paciza x0',
    'pacizb x1',
    'pacdza x2',
    'pacdzb x3',
    'autiza x4',
    'autizb x5',
    'autdza x6',
    'autdzb x7',
    'xpaci x8',
    'xpacd x9',
    'cas x0,x1,[x2]',
    'casa w0,w1,[sp]',
    'casl x0,x1,[x2]',
    'casal w0,w1,[x2]',
    'casb w0,w1,[x2]',
    'casalh w0,w1,[x2]',
    'casp x0,x1,x2,x3,[x4]',
    'caspal w4,w5,w6,w7,[x8]',
    'caspa x0,x1,x2,x3,[sp]',
    'caspl w0,w1,w2,w3,[x4]',
    'swp x0,x1,[x2]',
    'swpa w0,w1,[x2]',
    'swplb w0,w1,[x2]',
    'swpalh w0,w1,[sp]',
    'ldadd x0,x1,[x2]',
    'ldadda w0,w1,[x2]',
    'ldaddl x0,x1,[x2]',
    'ldaddalb w0,w1,[x2]',
    'ldaddh w0,w1,[x2]',
    'ldclr x0,x1,[x2]',
    'ldeoral x0,x1,[x2]',
    'ldset w0,w1,[x2]',
    'ldsmax x0,x1,[x2]',
    'ldsminl x0,x1,[x2]',
    'ldumaxa x0,x1,[x2]',
    'lduminal x0,x1,[x2]',
    'stadd x0,[x1]',
    'stclrl w0,[sp]',
    'steorb w0,[x1]',
    'stsetlh w0,[x1]',
    'stsmax x0,[x1]',
    'stumin x0,[x1]',
    'ldapr x0,[x1]',
    'ldapr w0,[sp]',
    'ldaprb w0,[x1]',
    'ldaprh w0,[x1]',
  ])('%s', async (source) => {
    const bytes = await assemble('arm64', source, { address: at });
    const text = (await disassemble('arm64', bytes, at)).map((i) => i.text.replace(/ +/, ' '));
    expect(text).toEqual([source]);
  });
});

describe('branches', () => {
  it('take the shortest form that reaches, forward and backward', async () => {
    expect(await bytesOf('x64', 'jmp l\n.zero 127\nl:')).toMatch(/^eb7f/);
    expect(await bytesOf('x64', 'jmp l\n.zero 128\nl:')).toMatch(/^e980000000/);
    expect(await bytesOf('x64', 'l: .zero 126\njmp l')).toMatch(/eb80$/);
    expect(await bytesOf('x64', 'l: .zero 127\njmp l')).toMatch(/e97cffffff$/);
    expect(await bytesOf('x64', 'jne l\n.zero 127\njne l\nl:')).toMatch(/^0f8581000000.*7500$/);
  });

  it('reach every symbol that they are able to reach, or say so', () =>
    fc.assert(
      fc.asyncProperty(
        fc.constantFrom<[ArchitectureName, string]>(
          ['x64', 'jmp t'],
          ['x64', 'call t'],
          ['x64', 'lea rax, [t]'],
          ['arm64', 'b t'],
          ['arm64', 'cbz x3, t'],
          ['arm64', 'adrp x3, t'],
          ['arm64', 'ldr x3, t'],
        ),
        fc.integer({ min: -40, max: 40 }),
        fc.bigInt(-0x100n, 0x100n),
        async ([architecture, source], power, offset) => {
          const target =
            BigInt.asUintN(
              64,
              at + (power < 0 ? -(1n << BigInt(-power)) : 1n << BigInt(power)) + offset * 4n,
            ) & ~3n;
          const bytes = await assemble(architecture, source, { address: at, symbols: { t: target } }).catch(
            (error: unknown) => error,
          );
          if (bytes instanceof AssemblerError) {
            expect(bytes.rule).toMatch(/branchOutOfRange/);
            expect(Math.abs(power)).toBeGreaterThanOrEqual(
              source.includes('cbz') || source.includes('ldr') ? 19 : 26,
            );
          } else {
            const [first] = await disassemble(architecture, bytes as Uint8Array, at, {
              symbol: (a) => `<${a.toString(16)}>`,
            });
            expect(first?.text).toContain(
              `<${(source.startsWith('adrp') ? target & ~0xfffn : target).toString(16)}>`,
            );
          }
        },
      ),
      { numRuns: 300 },
    ));
});

describe('data directives', () => {
  it.each([
    ['.byte 1, -1, 255', '01ffff'],
    [
      '.short 0x1234\n.long 5\n.quad sym, sym - .',
      '3412050000000001341200f8ffffFA00000000000000'.toLowerCase(),
    ],
    ['.word 0x1234', '3412'],
    ['.ascii "a;b#\\n"\n.asciz "\\"h\\""', '613b62230a22682200'],
    ['nop\n.align 8', '9090909090909090'],
    ['.fill 2, 2, 0x9066', '66906690'],
    ['.zero 3\n.skip 2, 0xcc', '000000cccc'],
  ])('%s', async (source, hex) => {
    expect(await bytesOf('x64', source)).toBe(hex);
  });

  it('pad ARM64 code with nop, and count .align in powers of two there', async () => {
    expect(await bytesOf('arm64', 'nop\n.align 3\n.word 1')).toBe('1f2003d51f2003d501000000');
  });
});

describe('errors name rule and line', () => {
  it.each<[ArchitectureName, string, string, number]>([
    ['x64', 'nop\n\n.text\nnop', 'unsupportedDirective', 3],
    ['x64', '.data', 'unsupportedDirective', 1],
    ['x64', '.include "file"', 'unsupportedDirective', 1],
    ['x64', 'nop\nbogus rax', 'unknownInstruction', 2],
    ['x64', 'nop; mov eax, rbx', 'invalidOperand', 1],
    ['x64', 'nop\njmp nope', 'undefinedSymbol', 2],
    ['x64', 'jmp demo!nope', 'undefinedSymbol', 1],
    ['x64', '.quad nope', 'undefinedSymbol', 1],
    ['x64', 'lea rax, [rip+beyond]', 'branchOutOfRange', 1],
    ['x64', 'jmp beyond', 'branchOutOfRange', 1],
    ['x64', 'jmp short l\n.zero 200\nl:', 'branchOutOfRange', 1],
    ['x64', 'mov al, 300', 'immediateOutOfRange', 1],
    ['x64', 'mov eax, 0x1ffffffff', 'immediateOutOfRange', 1],
    ['x64', 'mov word ptr [rax], 0x12345', 'immediateOutOfRange', 1],
    ['x64', 'mov eax, [rcx*8+sym]', 'immediateOutOfRange', 1],
    ['x64', '.byte 256', 'immediateOutOfRange', 1],
    ['x64', 'mov rax, [rax', 'assemblySyntax', 1],
    ['x64', 'mov rax, `', 'assemblySyntax', 1],
    ['x64', '.byte 1 2', 'assemblySyntax', 1],
    ['x64', '.align 3', 'assemblySyntax', 1],
    ['x64', 'mov eax, 1.5', 'invalidOperand', 1],
    ['x64', 'l: nop\nl: nop', 'duplicateLabel', 2],
    ['x64', 'rax: nop', 'reservedName', 1],
    ['arm64', 'nop\nb beyond', 'branchOutOfRange', 2],
    ['arm64', 'adrp x0, beyond', 'branchOutOfRange', 1],
    ['arm64', 'b sym+2', 'misaligned', 1],
    ['arm64', 'b nope', 'undefinedSymbol', 1],
    ['arm64', 'ldr x0, =5', 'unsupportedOperand', 1],
    ['arm64', 'casp x1,x2,x2,x3,[x4]', 'invalidOperand', 1],
    ['arm64', 'mov x0, #0x12345678', 'invalidOperand', 1],
    ['arm64', '.text', 'unsupportedDirective', 1],
  ])('%s %j: %s in line %i', async (architecture, source, rule, line) => {
    const error = await errorOf(architecture, source);
    expect(error).toMatchObject({ rule, line });
    expect(error.message).toContain(`line ${line}: `);
  });

  it('whatever the source is: bytes or an AssemblerError, and an end', () =>
    fc.assert(
      fc.asyncProperty(
        fc.constantFrom<ArchitectureName>('x64', 'arm64'),
        fc.array(
          fc.constantFrom(
            'mov',
            'rax',
            'x0',
            ',',
            '[',
            ']',
            '$',
            '?',
            '!',
            '.',
            '#',
            '5',
            '0x',
            ':',
            '\n',
            ' ',
            '"',
            "'",
            '{',
            'b',
            'jmp',
            '*',
            '+',
            '-',
            '.text',
            '=',
            '%',
            '@',
            'é',
          ),
          { maxLength: 12 },
        ),
        async (architecture, pieces) => {
          const result = await assemble(architecture, pieces.join(' '), { address: at }).catch(
            (error: unknown) => error,
          );
          expect(result instanceof Uint8Array || result instanceof AssemblerError).toBe(true);
        },
      ),
      { numRuns: 500 },
    ));
});

it('lists what became of each line and label', async () => {
  const listing = await assembleListing('x64', 'start: nop\n\nend: jmp start', { address: 0x1000n });
  expect(listing.statements).toEqual([
    { line: 1, address: 0x1000n, bytes: Uint8Array.of(0x90) },
    { line: 3, address: 0x1001n, bytes: Uint8Array.of(0xeb, 0xfd) },
  ]);
  expect([...listing.labels]).toEqual([
    ['start', 0x1000n],
    ['end', 0x1001n],
  ]);
});

it('takes symbols as a Map too, and labels before symbols', async () => {
  const bytes = await assemble('x64', 'call a\ncall b\nb:', {
    address: 0n,
    symbols: new Map([
      ['a', 0x10n],
      ['b', 0x1000n],
    ]),
  });
  expect(Buffer.from(bytes).toString('hex')).toBe('e80b000000e800000000');
});
