import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assemble, type Exit } from '../../cpu/index.js';
import { SeededRandom } from '../../loader/common/index.js';
import { LONGEST_SLICE, SlicesAhead, sliceLength } from '../../loader/threads/slices-ahead.js';
import { ARCHITECTURES, type ArchitectureName, boot, placeCode } from './support.js';

const LOOPS: Readonly<Record<ArchitectureName, string>> = {
  x64: 'xor eax, eax\nagain: add eax, ecx\ndec ecx\njnz again\nret',
  arm64: 'mov x1, x0\nmov x0, #0\nagain: add x0, x0, x1\nsubs x1, x1, #1\nb.ne again\nret',
  x86: 'mov ecx, [esp + 4]\nxor eax, eax\nagain: add eax, ecx\ndec ecx\njnz again\nret',
};
/** Offset of `again`. */
const AGAIN: Readonly<Record<ArchitectureName, number>> = { x64: 2, arm64: 8, x86: 6 };

/** A thread that does so many instructions and then leaves the guest, run slice by slice. */
function oneByOne(random: SeededRandom, limit: number, total: number, reason: Exit['reason']) {
  let executed = 0;
  let charged = 0;
  for (let slices = 1; ; slices++) {
    const length = Math.min(limit - charged, sliceLength(random));
    const completes = Math.min(length, total - executed);
    executed += completes;
    charged += Math.max(1, completes);
    const isBreakpoint = reason === 'breakpoint' && executed === total && completes > 0;
    if (isBreakpoint || (executed === total && completes < length) || charged >= limit)
      return { slices, charged, executed };
  }
}

describe('slices that are run at once', () => {
  it('take as many lengths as if they were run one by one', () => {
    const seed = fc.integer({ min: 0, max: 0xffff_ffff });
    const count = fc.oneof(fc.integer({ min: 0, max: 3 * LONGEST_SLICE }), fc.integer({ min: 0, max: 9000 }));
    const reasons = fc.constantFrom<Exit['reason'][]>('returned', 'breakpoint', 'fault');
    fc.assert(
      fc.property(seed, count, fc.integer({ min: 1, max: 9000 }), reasons, (start, total, limit, reason) => {
        if (reason === 'breakpoint' && total === 0) return;
        const single = new SeededRandom(start);
        const expected = oneByOne(single, limit, total, reason);
        const random = new SeededRandom(start);
        const ahead = new SlicesAhead(random);
        let slices = 0;
        let charged = 0;
        let executed = 0;
        for (;;) {
          const run = ahead.take(limit - charged);
          const instructions = Math.min(run.instructions, total - executed);
          executed += instructions;
          const atEnd = executed === total && (instructions < run.instructions || reason === 'breakpoint');
          const end = atEnd && (instructions > 0 || reason !== 'breakpoint') ? reason : 'instructionLimit';
          const taken = run.settle({ reason: end, instructions } as Exit);
          slices += taken.slices;
          charged += taken.charged;
          if (end !== 'instructionLimit' || charged >= limit) break;
        }
        expect({ slices, charged, executed }).toEqual(expected);
        expect(random.between(0, 2 ** 31)).toBe(single.between(0, 2 ** 31));
      }),
      { numRuns: 500 },
    );
  });

  describe.each(ARCHITECTURES)('on %s', (architecture) => {
    it('leave the machine, its time and what comes after as if somebody had watched each', async () => {
      const code = await assemble(architecture, LOOPS[architecture], { address: 0n });
      const states = [false, true].map((isWatched) => {
        using kernel = boot(architecture, { processors: 2, seed: 7 });
        const { domain } = kernel.createProcess({ name: 'a.exe' });
        const loop = placeCode(domain, code);
        const watching = isWatched ? kernel.scheduler.watch({}) : undefined;
        const results = [3000, 1, 50].map((rounds) => {
          const thread = kernel.createThread(loop, [rounds], { domain });
          const first = kernel.run({
            until: [thread.reaches(loop + BigInt(AGAIN[architecture])), thread.returns()],
          });
          const result = kernel.run({ until: thread.returns() });
          return [
            first.reason,
            result.reason,
            thread.result,
            thread.instructions,
            `${kernel.scheduler.time}`,
          ];
        });
        watching?.[Symbol.dispose]();
        const [one, other] = [20, 30].map((rounds) => kernel.createThread(loop, [rounds], { domain }));
        kernel.run({ instructions: 150 });
        return {
          results,
          both: [one?.pc, other?.pc],
          hash: kernel.machine.hash(),
          time: kernel.machine.time,
        };
      });
      expect(states[0]?.results[0]?.[2]).toBe(4_501_500);
      expect(states[0]).toEqual(states[1]);
    });
  });
});
