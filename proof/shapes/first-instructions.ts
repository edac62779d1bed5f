import { type ArchitectureName, architectureNamed } from '../../cpu/index.js';
import type { FunctionSource, Piece, Placement } from './program.js';
import type { Shape } from './shape.js';

/** First instructions by their length in bytes. None of them has an effect on the result of the function. */
export const FIRST_INSTRUCTIONS: Readonly<Record<ArchitectureName, Readonly<Record<number, string>>>> = {
  x64: {
    2: 'xor eax, eax',
    3: 'mov rax, rdx',
    4: 'mov eax, dword ptr [rsp+8]',
    5: 'mov eax, 0x12345678',
    6: 'lea eax, [rcx+0x11223344]',
    7: 'lea rax, [rcx+0x11223344]',
    8: 'mov dword ptr [rsp+8], 0x55667788',
    9: 'mov qword ptr [rsp+8], 0x11223344',
    10: 'movabs rax, 0x1122334455667788',
  },
  x86: {
    2: 'mov edi, edi',
    3: 'lea eax, [ecx+8]',
    4: 'mov edx, dword ptr [esp+8]',
    5: 'mov eax, 0x12345678',
    6: 'lea eax, [ecx+0x11223344]',
    7: 'lea eax, [ecx+edx+0x11223344]',
    8: 'mov dword ptr [esp+8], 0x55667788',
    // With segment prefixes that change nothing: there are no shorter ways to these lengths on memory that is there.
    9: '.byte 0x36; mov dword ptr [esp+8], 0x55667788',
    10: '.byte 0x36; .byte 0x36; mov dword ptr [esp+8], 0x55667788',
  },
  arm64: { 4: 'stp x29, x30, [sp, #-16]!' },
};

/** (x + addend) * factor, of the argument x. */
const BODY: Readonly<Record<ArchitectureName, (addend: number, factor: number) => string>> = {
  x64: (addend, factor) => `lea eax, [rcx+${addend}]; imul eax, eax, ${factor}; ret`,
  x86: (addend, factor) => `mov eax, dword ptr [esp+4]; add eax, ${addend}; imul eax, eax, ${factor}; ret`,
  arm64: (addend, factor) => `mov w9, #${factor}; add w0, w0, #${addend}; mul w0, w0, w9`,
};

const END: Readonly<Record<ArchitectureName, string>> = {
  x64: '',
  x86: '',
  arm64: '; ldp x29, x30, [sp], #16; ret',
};

const MIDDLE_OF_LINE: Placement = { modulo: 16, offset: 0 };

/** A leaf function: (x + 0x11) * 3 in the base, (x + 0x22) * 5 and (x + 0x33) * 7 in the patches, called with 7. */
export function firstInstruction(
  architecture: ArchitectureName,
  length: number,
  placement: Placement = MIDDLE_OF_LINE,
): Shape {
  const first = FIRST_INSTRUCTIONS[architecture][length];
  if (first === undefined)
    throw new RangeError(`${architecture} has no first instruction of ${length} bytes here`);
  const body = (addend: number, factor: number) =>
    `${BODY[architecture](addend, factor)}${END[architecture]}`;
  const replacement = (addend: number, factor: number) => ({
    functions: [{ name: 'g', code: [`${OWN_FIRST[architecture](first)}${body(addend, factor)}`] }],
    forward: { f: 'g' },
  });
  return {
    name: `${architecture}, first instruction of ${length} bytes at ${placement.offset} modulo ${placement.modulo}`,
    architecture,
    base: [
      { name: 'f', placement, code: [`${first}; ${body(0x11, 3)}`] },
      caller(architecture, { call: 'f' }),
    ],
    patches: [replacement(0x22, 5), replacement(0x33, 7)],
    call: 'caller',
    arguments: [],
    results: [(7 + 0x11) * 3, (7 + 0x22) * 5, (7 + 0x33) * 7],
  };
}

/** A function `caller` that makes a call with the argument 7. */
export function caller(architecture: ArchitectureName, ...calls: readonly Piece[]): FunctionSource {
  const [before, after] = CALLER[architecture];
  return { name: 'caller', code: [before, ...calls, after] };
}

/** What a replacement begins with: on ARM64 the first instruction is half of the work. */
const OWN_FIRST: Readonly<Record<ArchitectureName, (first: string) => string>> = {
  x64: () => '',
  x86: () => '',
  arm64: (first) => `${first}; `,
};

const CALLER: Readonly<Record<ArchitectureName, readonly [string, string]>> = {
  x64: ['sub rsp, 40; mov ecx, 7', 'add rsp, 40; ret'],
  x86: ['push 0; push 7', 'add esp, 8; ret'],
  arm64: ['stp x29, x30, [sp, #-16]!; mov w0, #7', 'ldp x29, x30, [sp], #16; ret'],
};

/** First instructions of every length in the middle of a line, and one at every alignment. */
export function firstInstructionShapes(architecture: ArchitectureName): Shape[] {
  const lengths = Object.keys(FIRST_INSTRUCTIONS[architecture]).map(Number);
  const step = architectureNamed(architecture).minimumInstructionLength;
  const offsets = Array.from({ length: 16 / step }, (_, index) => index * step);
  const longest = Math.max(...lengths);
  return [
    ...lengths.map((length) => firstInstruction(architecture, length)),
    ...offsets.map((offset) => firstInstruction(architecture, Math.min(...lengths), { modulo: 16, offset })),
    ...(longest > Math.min(...lengths)
      ? offsets.map((offset) => firstInstruction(architecture, longest, { modulo: 16, offset }))
      : []),
  ];
}
