import { describe, expect, test, vi } from 'vitest';
import type { ArchitectureName, PhysicalMemory } from '../../cpu/index.js';
import { InstructionFetch } from '../../cpu/instruction-fetch.js';
import {
  arm64FetchEffect,
  FetchEffectHooks,
  findFetchEffects,
  isSerialize,
  isX86Serialising,
} from '../../cpu/serialising.js';
import { Guest } from './conformance/guest.js';

const PAGE = 0x1000;

const failing = (): PhysicalMemory => {
  throw new Error('no memory is needed');
};

/** A weak machine that has fetched a function which returned 1 then, and would return 2 now. */
async function openStale(architecture: ArchitectureName) {
  const guest = new Guest(architecture, { instructionFetch: 'weak' });
  const { programs, machine, space } = guest;
  const target = await guest.code(programs.constant(1));
  const other = await guest.code(programs.constant(2));
  guest.call(target);
  machine.writeCode(space, target, space.read(other, 4));
  expect(guest.call(target)).toBe(1n);
  return { guest, sees: () => Number(guest.call(target)) };
}

describe('A64 instructions', () => {
  test.each([
    { name: 'isb', word: 0xd5033fdf, effect: 'synchronise' },
    { name: 'isb #0', word: 0xd50330df, effect: 'synchronise' },
    { name: 'eret', word: 0xd69f03e0, effect: 'synchronise' },
    { name: 'ic ialluis', word: 0xd508711f, effect: 'invalidateAllShared' },
    { name: 'ic iallu', word: 0xd508751f, effect: 'invalidateAll' },
    { name: 'ic ivau, x0', word: 0xd50b7520, effect: 'invalidateLine' },
    { name: 'ic ivau, x30', word: 0xd50b753e, effect: 'invalidateLine' },
    { name: 'dc cvau, x0', word: 0xd50b7b20, effect: undefined },
    { name: 'dsb ish', word: 0xd5033b9f, effect: undefined },
    { name: 'ret', word: 0xd65f03c0, effect: undefined },
    { name: 'nop', word: 0xd503201f, effect: undefined },
  ])('$name: $effect', ({ word, effect }) => {
    expect(arm64FetchEffect(word)).toBe(effect);
  });

  test('are found in every word of a page', () => {
    const page = new Uint8Array(PAGE);
    const view = new DataView(page.buffer);
    for (const at of [0, 0x800, PAGE - 4]) view.setUint32(at, 0xd5033fdf, true);
    view.setUint32(0x102, 0xd5033fdf, true);
    expect(findFetchEffects('arm64', page)).toEqual([0, 0x800, PAGE - 4]);
  });
});

describe('x86 instructions', () => {
  const MEMORY = { lgdt: 0x10, lidt: 0x18, invlpg: 0x38 };
  test.each([
    { name: 'iret', bytes: [0xcf], serialises: true },
    { name: 'invd', bytes: [0x0f, 0x08], serialises: true },
    { name: 'wbinvd', bytes: [0x0f, 0x09], serialises: true },
    { name: 'mov cr0, rax', bytes: [0x0f, 0x22, 0xc0], serialises: true },
    { name: 'mov dr7, rax', bytes: [0x0f, 0x23, 0xf8], serialises: true },
    { name: 'wrmsr', bytes: [0x0f, 0x30], serialises: true },
    { name: 'cpuid', bytes: [0x0f, 0xa2], serialises: true },
    { name: 'rsm', bytes: [0x0f, 0xaa], serialises: true },
    { name: 'lldt ax', bytes: [0x0f, 0x00, 0xd0], serialises: true },
    { name: 'ltr ax', bytes: [0x0f, 0x00, 0xd8], serialises: true },
    { name: 'lgdt [rax]', bytes: [0x0f, 0x01, MEMORY.lgdt], serialises: true },
    { name: 'lidt [rax]', bytes: [0x0f, 0x01, MEMORY.lidt], serialises: true },
    { name: 'invlpg [rax]', bytes: [0x0f, 0x01, MEMORY.invlpg], serialises: true },
    { name: 'serialize', bytes: [0x0f, 0x01, 0xe8], serialises: true },
    { name: 'sldt ax', bytes: [0x0f, 0x00, 0xc0], serialises: false },
    { name: 'verr ax', bytes: [0x0f, 0x00, 0xe0], serialises: false },
    { name: 'sgdt [rax]', bytes: [0x0f, 0x01, 0x00], serialises: false },
    { name: 'vmcall', bytes: [0x0f, 0x01, 0xc1], serialises: false },
    { name: 'xgetbv', bytes: [0x0f, 0x01, 0xd0], serialises: false },
    { name: 'swapgs', bytes: [0x0f, 0x01, 0xf8], serialises: false },
    { name: 'lar edx, word ptr [rax]', bytes: [0x0f, 0x02, 0x10], serialises: false },
    { name: 'mov rax, cr0', bytes: [0x0f, 0x20, 0xc0], serialises: false },
    { name: 'rdmsr', bytes: [0x0f, 0x32], serialises: false },
    { name: 'syscall', bytes: [0x0f, 0x05], serialises: false },
    { name: 'nop', bytes: [0x90], serialises: false },
    { name: 'and dl, byte ptr [rdx], not behind 0F', bytes: [0x22, 0xa2, 0x30], serialises: false },
  ])('$name: $serialises', ({ name, bytes, serialises }) => {
    const code = Uint8Array.of(0x90, ...bytes);
    expect(isX86Serialising(code, 1)).toBe(serialises);
    expect(isSerialize(code, 1)).toBe(name === 'serialize');
  });

  test.each([
    { what: 'two other opcodes', bytes: [0x00, 0x01, 0xe8] },
    { what: 'another group', bytes: [0x0f, 0x00, 0xe8] },
    { what: 'the next extension', bytes: [0x0f, 0x01, 0xe9] },
  ])('$what: not SERIALIZE', ({ bytes }) => {
    expect(isSerialize(Uint8Array.from(bytes), 0)).toBe(false);
  });

  test.each([
    { what: 'without prefixes', bytes: [0x0f, 0xa2], begins: [0] },
    { what: 'behind REX', bytes: [0x48, 0xcf], begins: [0, 1] },
    { what: 'behind REX of another nibble', bytes: [0x50, 0xcf], begins: [1] },
    { what: 'behind two prefixes', bytes: [0x66, 0x44, 0x0f, 0x22, 0xc0], begins: [0, 1, 2] },
    { what: 'behind something else', bytes: [0x66, 0x90, 0x0f, 0xa2], begins: [2] },
    ...[0x66, 0x67, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0xf2, 0xf3].map((prefix) => ({
      what: `behind ${prefix.toString(16)}`,
      bytes: [prefix, 0x0f, 0xa2],
      begins: [0, 1],
    })),
  ])('may begin at each prefix: $what', ({ bytes, begins }) => {
    for (const at of [0, 0x800, PAGE - bytes.length]) {
      const page = new Uint8Array(PAGE);
      page.set(bytes, at);
      expect(findFetchEffects('x86-64', page).sort((a, b) => a - b)).toEqual(begins.map((one) => at + one));
    }
  });
});

describe('in weak mode', () => {
  const CPUID = [0x53, 0x48, 0x0f, 0xa2, 0x5b, 0xc3]; // push rbx; rex.w cpuid; pop rbx; ret
  const IRETQ = [0x48, 0xcf];

  test.each([1, 2, 3, 4, 5])(
    'cpuid serialises when %i byte(s) of its code are on the page before',
    async (before) => {
      const { guest, sees } = await openStale('x64');
      using _guest = guest;
      const start = guest.base + 0x8_0000n;
      guest.table.commit(start, 2, 'PAGE_EXECUTE_READ');
      const code = start + BigInt(PAGE - before);
      guest.machine.writeCode(guest.space, code, Uint8Array.from(CPUID));
      guest.call(code);
      expect(sees()).toBe(2);
    },
  );

  test.each([
    { half: 'second', known: 'first', at: PAGE, byte: 0xa2 },
    { half: 'first', known: 'second', at: PAGE - 1, byte: 0x0f },
  ])(
    'cpuid serialises when its $half half is stored after the page of the other was executed',
    async (row) => {
      const { guest, sees } = await openStale('x64');
      using _guest = guest;
      const { machine, space, table } = guest;
      const [first, second] = [guest.base + 0x8_0000n, guest.base + 0x8_1000n];
      table.commit(first, 2, 'PAGE_EXECUTE_READ');
      const code = second - 3n;
      machine.writeCode(space, code, Uint8Array.from(CPUID));
      machine.writeCode(space, first + BigInt(row.at), Uint8Array.of(0x90));
      for (const page of [first, second]) machine.writeCode(space, page + 0x100n, Uint8Array.of(0xc3));
      guest.call((row.known === 'first' ? first : second) + 0x100n);
      machine.writeCode(space, first + BigInt(row.at), Uint8Array.of(row.byte));
      guest.call(code);
      expect(sees()).toBe(2);
    },
  );

  test('iretq serialises at the end of the last page', async () => {
    const { guest, sees } = await openStale('x64');
    using _guest = guest;
    const page = guest.base + 0x8_0000n;
    guest.table.commit(page, 1, 'PAGE_EXECUTE_READ');
    const code = page + BigInt(PAGE - IRETQ.length);
    guest.machine.writeCode(guest.space, code, Uint8Array.from(IRETQ));
    const frame = guest.data + 0x100n;
    for (const [index, word] of [guest.architecture.returnAddress, 0x10n, 2n, frame, 0x18n].entries())
      guest.space.writeU64(frame + BigInt(8 * index), word);
    guest.processor.sp = frame;
    guest.processor.pc = code;
    expect(guest.processor.run({ instructions: 2 }).reason).toBe('returned');
    expect(sees()).toBe(2);
  });

  test('a processor looks out for at most a hundred thousand instructions', () => {
    const hook = { kind: 0, [Symbol.dispose]() {} };
    const addHook = vi.fn(() => hook);
    const engine = { kind: 'x86-64' as const, addHook, forgetAllCode() {} };
    const hooks = new FetchEffectHooks(engine, new InstructionFetch('weak', [], true, failing));
    hooks.add(Array.from({ length: 99_999 }, (_, index) => BigInt(index)));
    hooks.add([99_999n]);
    expect(() => hooks.add([100_000n])).toThrow(expect.objectContaining({ rule: 'tooManyFetchEffects' }));
    expect(addHook).toHaveBeenCalledTimes(100_000);
  });

  test.each<[ArchitectureName, string, string]>([
    ['x64', 'push rbx\ncpuid\npop rbx\nret', 'push rbx\nxor eax, eax\npop rbx\nret'],
    ['arm64', 'ic iallu\nisb\nret', 'ic iallu\nnop\nret'],
  ])('an instruction of %s that was replaced has no effect any more', async (architecture, old, current) => {
    const guest = new Guest(architecture, { instructionFetch: 'weak' });
    using _guest = guest;
    const { machine, space } = guest;
    const between = await guest.code(old);
    guest.call(between);
    machine.writeCode(space, between, space.read(await guest.code(current), 12));
    machine.serialise();
    const target = await guest.code(guest.programs.constant(1));
    guest.call(target);
    machine.writeCode(space, target, space.read(await guest.code(guest.programs.constant(2)), 4));
    guest.call(between);
    expect(guest.call(target)).toBe(1n);
  });
});
