import { describe, expect, test } from 'vitest';
import type { Exit } from '../../cpu/index.js';
import { Guest } from './conformance/guest.js';

/** Runs bytes from the start of a page of their own, at once and step by step. */
function run(architecture: 'x64' | 'x86', bytes: readonly number[], setUp?: (guest: Guest) => void): Exit[] {
  return [1000, 1].map((most) => {
    using guest = new Guest(architecture);
    guest.table.commit(guest.base, 1, 'PAGE_EXECUTE_READ');
    guest.machine.writeCode(guest.space, guest.base, Uint8Array.from(bytes));
    guest.prepare(guest.base);
    setUp?.(guest);
    let instructions = 0;
    for (;;) {
      const exit = guest.processor.run({ instructions: most });
      instructions += exit.instructions;
      if (exit.reason !== 'instructionLimit') return { ...exit, instructions };
    }
  });
}

// Intel SDM vol. 2: LOCK before what does not take it, and VEX before an opcode without such a form, are #UD.
describe.each(['x64', 'x86'] as const)('what is no instruction on %s', (architecture) => {
  test.each([
    { name: 'lock nop', bytes: [0x90, 0xf0, 0x90, 0xc3], at: 1 },
    { name: 'lock mov ecx, eax', bytes: [0x90, 0x90, 0xf0, 0x89, 0xc1, 0xc3], at: 2 },
    { name: 'lock push imm32', bytes: [0xf0, 0x68, 1, 0, 0, 0, 0x58, 0xc3], at: 0 },
    { name: 'lock add ecx, eax: no memory', bytes: [0x90, 0xf0, 0x01, 0xc1, 0xc3], at: 1 },
    { name: 'VEX 0F 19', bytes: [0x90, 0xc5, 0xde, 0x19, 0xff, 0xc3], at: 1 },
    { name: 'VEX jmp', bytes: [0x90, 0x90, 0xc5, 0xe0, 0x84, 0xc0, 0, 0, 0, 0, 0xc3], at: 2 },
  ])('$name raises #UD at it, and what came before is counted', ({ bytes, at }) => {
    const base = { x64: 0xffff_f800_1234_0000n, x86: 0x40_0000n }[architecture];
    for (const exit of run(architecture, bytes))
      expect(exit).toEqual({
        reason: 'exception',
        name: 'invalidOpcode',
        vector: 6,
        instruction: base + BigInt(at),
        instructions: at,
      });
  });

  test('lock add [memory], which there is, does its work', () => {
    const bytes = [0xf0, 0x83, 0x01, 0x05, 0x8b, 0x01, 0xc3]; // lock add dword ptr [ecx], 5; mov eax, [ecx]; ret
    const register = { x64: 'rcx', x86: 'ecx' }[architecture];
    for (const exit of run(architecture, bytes, (guest) => guest.processor.set(register, guest.data)))
      expect(exit).toEqual({ reason: 'returned', instructions: 3 });
  });
});

test('into is a trap: the next instruction is where it goes on, and it is counted', () => {
  // mov al, 7Fh; add al, 1; into; ret
  for (const exit of run('x86', [0xb0, 0x7f, 0x04, 0x01, 0xce, 0xc3]))
    expect(exit).toEqual({
      reason: 'exception',
      name: 'overflow',
      vector: 4,
      instruction: 0x40_0004n,
      instructions: 3,
    });
});

test('a branch of 32-bit code into the upper half faults at its target', () => {
  // jmp +F0000000h: 400000h + 5 + F0000000h
  for (const exit of run('x86', [0xe9, 0, 0, 0, 0xf0]))
    expect(exit).toMatchObject({
      reason: 'fault',
      fault: { address: 0xf040_0005n, access: 'execute' },
      instructions: 1,
    });
});
