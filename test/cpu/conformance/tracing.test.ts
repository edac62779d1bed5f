import { describe, expect, test } from 'vitest';
import { assemble } from '../../../cpu/assembler.js';
import { InstructionRecorder, type MemoryAccess } from '../../../cpu/index.js';
import { ARCHITECTURE_NAMES, Guest } from './guest.js';

describe.each(ARCHITECTURE_NAMES)('tracing on %s', (architecture) => {
  test('an instruction observer sees every instruction until it is disposed of', async () => {
    using guest = new Guest(architecture);
    const target = await guest.code(guest.programs.constant(5));
    const seen: bigint[] = [];
    const observer = guest.processor.observe({ instruction: (address) => seen.push(address) });
    guest.call(target);
    const length = BigInt(guest.architecture.instructionLength(guest.space.read(target, 15), target));
    expect(seen).toEqual([target, target + length]);
    observer[Symbol.dispose]();
    guest.call(target);
    expect(seen).toHaveLength(2);
  });

  test('an observer that comes when code has run already sees it too', async () => {
    using guest = new Guest(architecture);
    const target = await guest.code(guest.programs.fibonacci);
    const plain = guest.start(target, [9n]).instructions;
    let seen = 0;
    using _observer = guest.processor.observe({ instruction: () => (seen += 1) });
    guest.start(target, [9n]);
    expect(seen).toBe(plain);
  });

  test('a memory observer gets virtual addresses, sizes and stored values', async () => {
    using guest = new Guest(architecture);
    const target = await guest.code(guest.programs.store);
    const load = await guest.code(guest.programs.load);
    const accesses: MemoryAccess[] = [];
    using _observer = guest.processor.observe({ memory: (access) => accesses.push(access) });
    guest.start(target, [guest.data + 0x18n, 0xabcdn]);
    guest.start(load, [guest.data + 0x18n]);
    const size = Number(guest.wordSize);
    const stack = guest.stackTop(guest.processor) - 0x1000n;
    expect(accesses.filter(({ address }) => address < stack)).toEqual([
      { access: 'write', address: guest.data + 0x18n, size, value: 0xabcdn },
      { access: 'read', address: guest.data + 0x18n, size, value: 0n },
    ]);
  });

  describe('the recorder', () => {
    /** Runs the same thing observed and recorded, in pieces of `slice` instructions. */
    async function both(slice: number, prepare: (guest: Guest) => Promise<void>) {
      const traces: bigint[][] = [];
      for (const isRecorded of [false, true]) {
        using guest = new Guest(architecture);
        await prepare(guest);
        const seen: bigint[] = [];
        const recorder = isRecorded ? new InstructionRecorder(guest.processor) : undefined;
        const observer = isRecorded
          ? undefined
          : guest.processor.observe({ instruction: (address) => seen.push(address) });
        for (;;) {
          const exit = guest.processor.run({ instructions: slice });
          if (exit.reason === 'instructionLimit') continue;
          if (exit.reason !== 'fault') break;
          guest.table.commit(exit.fault.address & ~0xfffn, 1, 'PAGE_READWRITE');
          // The faulting instruction is seen again when it restarts.
          if (!isRecorded) seen.pop();
        }
        const trace = recorder?.take();
        expect(trace?.length ?? seen.length).toBe(trace === undefined ? seen.length : [...trace].length);
        traces.push(trace === undefined ? seen : [...trace]);
        recorder?.[Symbol.dispose]();
        observer?.[Symbol.dispose]();
      }
      return traces;
    }

    test.each([1, 2, 3, 7, 1000])('reconstructs what an observer sees, in slices of %i', async (slice) => {
      const [observed, recorded] = await both(slice, async (guest) => {
        guest.prepare(await guest.code(guest.programs.fibonacci), [7n]);
      });
      expect(recorded).toEqual(observed);
    });

    test('across faults in the middle of a block', async () => {
      const [observed, recorded] = await both(1000, async (guest) => {
        guest.prepare(await guest.code(guest.programs.count), [guest.base + 0x8_0000n, 5n]);
      });
      expect(recorded).toEqual(observed);
    });

    test('across code that changes under it', async () => {
      using guest = new Guest(architecture);
      const target = await guest.code(guest.programs.constant(1));
      using recorder = new InstructionRecorder(guest.processor);
      guest.call(target);
      const before = [...recorder.take()];
      const padded = `nop\n${guest.programs.constant(2)}`;
      guest.machine.writeCode(guest.space, target, await assemble(architecture, padded, { address: target }));
      guest.call(target);
      expect(recorder.take().length).toBe(before.length + 1);
    });

    // On ARM64 all instructions have one size.
    test.skipIf(architecture === 'arm64')(
      'across code of the same size with other instructions',
      async () => {
        using guest = new Guest(architecture);
        const target = await guest.code('mov eax, 1\nret');
        using recorder = new InstructionRecorder(guest.processor);
        guest.call(target);
        expect([...recorder.take()]).toEqual([target, target + 5n]);
        guest.machine.writeCode(guest.space, target, new Uint8Array(5).fill(0x90));
        guest.call(target);
        expect([...recorder.take()]).toEqual([0n, 1n, 2n, 3n, 4n, 5n].map((offset) => target + offset));
      },
    );
  });
});

test('the recorder counts each iteration of a repeated string instruction', async () => {
  using guest = new Guest('x64');
  const target = await guest.code('mov rdi, rcx\nmov ecx, 5\nmov eax, 7\nrep stosb\nret');
  using recorder = new InstructionRecorder(guest.processor);
  const exit = guest.start(target, [guest.data]);
  expect(exit.reason).toBe('returned');
  const trace = [...recorder.take()];
  expect(trace).toHaveLength(exit.instructions);
  expect(guest.space.readU64(guest.data)).toBe(0x0707070707n);
});
