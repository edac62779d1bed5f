import { describe, expect, test } from 'vitest';
import { assemble } from '../../../cpu/assembler.js';
import { ARCHITECTURE_NAMES, Guest } from './guest.js';

/** What a processor knows of a page of code must not outlive the page: its frame will hold something else. */
describe.each(ARCHITECTURE_NAMES)('a frame of code that is given back on %s', (architecture) => {
  describe.each(['coherent', 'weak'] as const)('%s', (instructionFetch) => {
    test('is executed as zeros when it comes again at the same address', async () => {
      using guest = new Guest(architecture, { instructionFetch });
      const target = await guest.code(guest.programs.constant(1));
      expect(guest.call(target)).toBe(1n);
      const { frame } = guest.table.query(target);
      guest.table.release(target, 1);
      guest.table.commit(target, 1, 'PAGE_EXECUTE_READ');
      expect(guest.table.query(target).frame).toBe(frame);
      guest.prepare(target);
      const exit = guest.processor.run({ instructions: 1 });
      expect(guest.processor.pc).not.toBe(guest.architecture.returnAddress);
      expect(exit.reason).not.toBe('returned');
      // add [rax], al and udf #0: none of them is the first instruction of the old code.
      if (architecture === 'arm64')
        expect(exit).toMatchObject({ reason: 'exception', name: 'invalidOpcode' });
      else expect(exit.reason === 'fault' || guest.architecture.result(guest.processor) !== 1n).toBe(true);
    });

    test('counts as not fetched, so that code written into it is seen at once', async () => {
      using guest = new Guest(architecture, { instructionFetch });
      const { machine, table, space } = guest;
      const target = await guest.code(guest.programs.constant(1));
      expect(guest.call(target)).toBe(1n);
      const { frame } = table.query(target);
      table.release(target, 1);
      table.commit(target, 1, 'PAGE_EXECUTE_READ');
      expect(table.query(target).frame).toBe(frame);
      const bytes = await assemble(architecture, guest.programs.constant(2), { address: target });
      machine.writeCode(space, target, bytes);
      expect(guest.call(target)).toBe(2n);
    });

    test('is executed anew after an old page was given back stale', async () => {
      using guest = new Guest(architecture, { instructionFetch, processors: 2 });
      const { machine, table, space } = guest;
      const target = await guest.code(guest.programs.constant(1));
      for (const processor of machine.processors) expect(guest.call(target, [], processor)).toBe(1n);
      machine.writeCode(
        space,
        target,
        await assemble(architecture, guest.programs.constant(2), { address: target }),
      );
      const before = machine.memory.framesInUse;
      table.release(target, 1);
      table.commit(target, 1, 'PAGE_EXECUTE_READ');
      machine.writeCode(
        space,
        target,
        await assemble(architecture, guest.programs.constant(3), { address: target }),
      );
      for (const processor of machine.processors) expect(guest.call(target, [], processor)).toBe(3n);
      // Weak processors had private copies of the old page: these have been given back with it.
      expect(machine.memory.framesInUse).toBe(instructionFetch === 'weak' ? before - 2 : before);
    });
  });
});
