import type { Shape } from './shape.js';

/** First instructions of every length that a store can meet. None of them has an effect on the result. */
export const X64_FIRST_INSTRUCTIONS: Readonly<Record<number, string>> = {
  2: 'xor eax, eax',
  3: 'mov rax, rdx',
  4: 'mov eax, dword ptr [rsp+8]',
  5: 'mov eax, 0x12345678',
  6: 'lea eax, [rcx+0x11223344]',
  7: 'lea rax, [rcx+0x11223344]',
  8: 'mov dword ptr [rsp+8], 0x55667788',
  9: 'mov qword ptr [rsp+8], 0x11223344',
  10: 'movabs rax, 0x1122334455667788',
};

/** `f(x)`: (x + 0x11) * 3 in the base, (x + 0x22) * 5 and (x + 0x33) * 7 in the patches. */
export function x64FirstInstruction(length: number, placement = { modulo: 16, offset: 0 }): Shape {
  const first = X64_FIRST_INSTRUCTIONS[length];
  if (first === undefined) throw new RangeError(`no first instruction of ${length} bytes`);
  return {
    name: `x64, first instruction of ${length} bytes, entry at ${placement.offset} modulo ${placement.modulo}`,
    architecture: 'x64',
    base: [
      { name: 'f', placement, code: [`${first}; lea eax, [rcx+0x11]; imul eax, eax, 3; ret`] },
      caller('f'),
    ],
    patches: [
      patch('lea eax, [rcx+0x22]; imul eax, eax, 5; ret'),
      patch('lea eax, [rcx+0x33]; imul eax, eax, 7; ret'),
    ],
    call: 'caller',
    arguments: [],
    results: [(7 + 0x11) * 3, (7 + 0x22) * 5, (7 + 0x33) * 7],
  };
}

function patch(code: string) {
  return { functions: [{ name: 'g', code: [code] }], forward: { f: 'g' } };
}

/** Calls `target(7)`. */
export function caller(target: string) {
  return { name: 'caller', code: ['sub rsp, 40; mov ecx, 7', { call: target }, 'add rsp, 40; ret'] };
}
