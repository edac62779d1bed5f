import { describe, expect, test } from 'vitest';
import type { Fault, FaultCause, PageProtection } from '../../../cpu/index.js';
import { ARCHITECTURE_NAMES, Guest } from './guest.js';

type Access = Fault['access'];

const PAGES: readonly {
  what: string;
  protection?: PageProtection;
  state?: 'free' | 'reserved';
  guard?: boolean;
  allowed: readonly Access[];
  cause: FaultCause;
}[] = [
  { what: 'a free page', state: 'free', allowed: [], cause: 'notCommitted' },
  { what: 'a reserved page', state: 'reserved', allowed: [], cause: 'reserved' },
  { what: 'a PAGE_NOACCESS page', protection: 'PAGE_NOACCESS', allowed: [], cause: 'protection' },
  { what: 'a PAGE_READONLY page', protection: 'PAGE_READONLY', allowed: ['read'], cause: 'protection' },
  {
    what: 'a PAGE_READWRITE page',
    protection: 'PAGE_READWRITE',
    allowed: ['read', 'write'],
    cause: 'protection',
  },
  {
    what: 'a PAGE_EXECUTE_READ page',
    protection: 'PAGE_EXECUTE_READ',
    allowed: ['read', 'execute'],
    cause: 'protection',
  },
  {
    what: 'a PAGE_EXECUTE_READWRITE page',
    protection: 'PAGE_EXECUTE_READWRITE',
    allowed: ['read', 'write', 'execute'],
    cause: 'protection',
  },
  { what: 'a guard page', protection: 'PAGE_EXECUTE_READWRITE', guard: true, allowed: [], cause: 'guard' },
];

const ACCESSES: readonly Access[] = ['read', 'write', 'execute'];

describe.each(ARCHITECTURE_NAMES)('faults on %s', (architecture) => {
  const open = async () => {
    const guest = new Guest(architecture);
    const { load, store, jump } = guest.programs;
    return {
      guest,
      code: {
        read: await guest.code(load),
        write: await guest.code(store),
        execute: await guest.code(jump),
      },
    };
  };

  describe.each(PAGES)('on $what', ({ protection, state, guard = false, allowed, cause }) => {
    test.each(ACCESSES)('%s', async (access) => {
      const { guest, code } = await open();
      using _guest = guest;
      const page = guest.base + 0x8_0000n;
      const address = page + 0x158n;
      if (protection !== undefined) guest.table.commit(page, 1, protection, { guard });
      if (state === 'reserved') guest.table.reserve(page, 1);
      if (protection?.startsWith('PAGE_EXECUTE')) {
        guest.machine.writeCode(guest.space, address, await returnInstruction(guest));
      }

      const exit = guest.start(code[access], [address, 0n]);
      if (allowed.includes(access)) {
        expect(exit.reason).toBe('returned');
        return;
      }
      const { instruction } = exit.reason === 'fault' ? exit.fault : { instruction: -1n };
      expect(exit).toMatchObject({
        reason: 'fault',
        fault: { address, access, cause, processor: 0 },
      });
      expect(instruction).toBe(guest.processor.pc);
      expect(instruction === address).toBe(access === 'execute');
    });
  });

  test.each(ACCESSES)('a handler repairs the page and the %s restarts exactly', async (access) => {
    const { guest, code } = await open();
    using _guest = guest;
    const page = guest.base + 0x8_0000n;
    const args = [page, 0x1234n];
    const faulted = guest.start(code[access], args);
    expect(faulted.reason).toBe('fault');
    guest.table.commit(page, 1, access === 'execute' ? 'PAGE_EXECUTE_READ' : 'PAGE_READWRITE');
    if (access === 'read') guest.space.writeU32(page, 77);
    if (access === 'execute') guest.machine.writeCode(guest.space, page, await returnInstruction(guest));
    const finished = guest.processor.run();
    expect(finished.reason).toBe('returned');
    if (access === 'read') expect(guest.architecture.result(guest.processor)).toBe(77n);
    if (access === 'write') expect(guest.readWord(page)).toBe(0x1234n);

    const total = faulted.instructions + finished.instructions;
    expect(guest.start(code[access], args).instructions).toBe(total);
  });

  test('an access that crosses into a missing page names the first byte there', async () => {
    const { guest, code } = await open();
    using _guest = guest;
    const end = guest.base + 0x8_1000n;
    guest.table.commit(end - 0x1000n, 1, 'PAGE_READWRITE');
    for (const access of ['read', 'write'] as const) {
      const exit = guest.start(code[access], [end - 2n, -1n]);
      expect(exit).toMatchObject({ reason: 'fault', fault: { address: end, access, cause: 'notCommitted' } });
    }
    expect(guest.space.readU16(end - 2n)).toBe(0);
  });

  test('demand-zero pages get memory when they are touched, without an exit', async () => {
    const { guest, code } = await open();
    using _guest = guest;
    const page = guest.base + 0x8_0000n;
    guest.table.commit(page, 100, 'PAGE_READWRITE', { demandZero: true });
    const before = guest.machine.memory.framesInUse;
    const touched = page + 50n * 0x1000n + 8n;
    const counted = guest.start(code.write, [guest.data, 5n]).instructions;
    expect(guest.start(code.write, [touched, 5n])).toEqual({ reason: 'returned', instructions: counted });
    expect(guest.call(code.read, [touched])).toBe(5n);
    expect(guest.call(code.read, [page])).toBe(0n);
    expect(guest.machine.memory.framesInUse).toBe(before + 2);
  });

  test.skipIf(architecture === 'x86')(
    'user mode may not touch kernel pages, and the kernel may not run user pages',
    async () => {
      const { guest, code } = await open();
      using _guest = guest;
      const user = guest.machine.createPageTable({
        start: 0x1_0000n,
        end: 0x8000_0000n,
        mode: 'user',
        name: 'user',
      });
      guest.space.setTables([guest.table, user]);
      const page = 0x10_0000n;
      user.commit(page, 1, 'PAGE_EXECUTE_READ');
      user.commit(page + 0x1000n, 2, 'PAGE_READWRITE');
      const { processor } = guest;
      guest.machine.writeCode(guest.space, page, guest.space.read(code.read, 8));

      expect(guest.start(page, [guest.data])).toMatchObject({
        reason: 'fault',
        fault: { address: page, access: 'execute', cause: 'ring' },
      });
      expect(guest.call(code.read, [page])).not.toBe(0n);

      processor.ring = 3;
      const { architecture: convention } = guest;
      const call = { target: page, stackTop: page + 0x3000n };
      convention.prepareCall(processor, { ...call, arguments: [page + 0x1000n] });
      expect(processor.run().reason).toBe('returned');
      convention.prepareCall(processor, { ...call, arguments: [guest.data] });
      expect(processor.run()).toMatchObject({
        reason: 'fault',
        fault: { address: guest.data, access: 'read', cause: 'ring', instruction: page },
      });
      convention.prepareCall(processor, { ...call, target: code.read, arguments: [page] });
      expect(processor.run()).toMatchObject({
        reason: 'fault',
        fault: { address: code.read, access: 'execute', cause: 'ring' },
      });
    },
  );
});

async function returnInstruction(guest: Guest): Promise<Uint8Array> {
  return guest.architecture.name === 'arm64' ? Uint8Array.of(0xc0, 0x03, 0x5f, 0xd6) : Uint8Array.of(0xc3);
}
