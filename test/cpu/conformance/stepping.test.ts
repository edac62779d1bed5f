import { describe, expect, test } from 'vitest';
import { ARCHITECTURE_NAMES, Guest } from './guest.js';

describe.each(ARCHITECTURE_NAMES)('stepping on %s', (architecture) => {
  async function traced() {
    const guest = new Guest(architecture);
    const target = await guest.code(guest.programs.fibonacci);
    const trace: bigint[] = [];
    using _observer = guest.processor.observe({ instruction: (address) => trace.push(address) });
    const exit = guest.start(target, [4n]);
    return { guest, target, trace, exit };
  }

  test('counts exactly the instructions that an observer saw', async () => {
    const { guest, trace, exit } = await traced();
    using _guest = guest;
    expect(exit).toEqual({ reason: 'returned', instructions: trace.length });
  });

  test('stops at every instruction of a call and goes on to the same result', async () => {
    const { guest, target, trace } = await traced();
    using _guest = guest;
    const { processor } = guest;
    for (const [index, address] of trace.entries()) {
      guest.prepare(target, [4n]);
      const before = processor.run({ instructions: index });
      expect(before).toEqual({ reason: 'instructionLimit', instructions: index });
      expect(processor.pc).toBe(address);
      expect(processor.run()).toEqual({ reason: 'returned', instructions: trace.length - index });
      expect(guest.architecture.result(processor)).toBe(3n);
    }
  });

  test('takes single steps along the same path', async () => {
    const { guest, target, trace } = await traced();
    using _guest = guest;
    guest.prepare(target, [4n]);
    const path = trace.map(() => {
      const at = guest.processor.pc;
      expect(guest.processor.step()).toEqual({ reason: 'instructionLimit', instructions: 1 });
      return at;
    });
    expect(path).toEqual(trace);
    expect(guest.processor.step()).toEqual({ reason: 'returned', instructions: 0 });
  });

  test('stops before each instruction that has a breakpoint, every time it is reached', async () => {
    const { guest, target, trace } = await traced();
    using _guest = guest;
    for (const address of new Set(trace)) {
      guest.prepare(target, [4n]);
      const hits: number[] = [];
      let done = 0;
      for (;;) {
        const exit = guest.processor.run({ breakpoints: [address] });
        done += exit.instructions;
        if (exit.reason !== 'breakpoint') break;
        expect(exit.address).toBe(address);
        hits.push(done);
      }
      expect(done).toBe(trace.length);
      const visits = [...trace.keys()].filter((index) => trace[index] === address);
      expect(hits).toEqual(address === target ? visits.slice(1) : visits);
    }
  });

  test('reports a breakpoint that lies where the limit ends, so that it is not passed over', async () => {
    const { guest, target, trace } = await traced();
    using _guest = guest;
    const third = trace[2] ?? 0n;
    guest.prepare(target, [4n]);
    const exit = guest.processor.run({ instructions: 2, breakpoints: [third] });
    expect(exit).toEqual({ reason: 'breakpoint', address: third, instructions: 2 });
  });

  test('passes a breakpoint once, also when its instruction has to be restarted inside', async () => {
    using guest = new Guest(architecture);
    const target = await guest.code(guest.programs.store);
    const page = guest.base + 0x8_0000n;
    guest.table.commit(page, 1, 'PAGE_READWRITE', { demandZero: true });
    const at = architecture === 'x86' ? target + 8n : target;
    guest.prepare(target, [page, 7n]);
    if (at !== target) expect(guest.processor.run({ breakpoints: [at] }).reason).toBe('breakpoint');
    expect(guest.processor.run({ breakpoints: [at] })).toEqual({ reason: 'returned', instructions: 2 });
    expect(guest.readWord(page)).toBe(7n);
  });

  test('keeps the whole state in a context that another processor can take over', async () => {
    using guest = new Guest(architecture, { processors: 2 });
    const target = await guest.code(guest.programs.fibonacci);
    const [first, second] = guest.machine.processors;
    if (first === undefined || second === undefined) throw new Error('two processors');
    guest.prepare(target, [7n], first);
    first.run({ instructions: 100 });
    second.loadContext(first.saveContext());
    expect(second.run().reason).toBe('returned');
    expect(guest.architecture.result(second)).toBe(13n);
    first.pc = 0n;
    expect(second.ring).toBe(first.ring);
    expect(second.bits).toBe(first.bits);
  });
});
