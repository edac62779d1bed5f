import { instructionFacts } from 'hotpatch-lab/cpu';
import { describe, expect, it } from 'vitest';
import type { Thread } from '../../loader/index.js';
import { ARCHITECTURES, boot, described } from './support.js';

const LONGEST_INSTRUCTION = 15;

/** Executes one instruction and keeps the return addresses that calls have left, innermost first. */
function step(thread: Thread, run: () => void, returns: bigint[]): void {
  const { pc } = thread;
  const { name } = thread.architecture;
  const bytes = thread.addressSpace.read(pc, LONGEST_INSTRUCTION);
  const { flow, length } = instructionFacts(name, bytes, pc);
  run();
  if (flow === 'call' || flow === 'indirectCall') returns.unshift(pc + BigInt(length));
  if (flow === 'return') returns.shift();
}

describe.each(ARCHITECTURES)('the stack of a thread on %s', (architecture) => {
  it.each([
    ['hp_entry', [1, 5, 4], 3],
    ['dispatch', [3, 5, 0], 5],
  ] as const)('is walked right at every instruction of %s(%j)', (name, parameters, depth) => {
    using kernel = boot(architecture);
    const process = kernel.createProcess({ name: 'a.exe' });
    const demo = process.loadImage(...described(`${architecture}/base/demo.dll`));
    const thread = process.createThread(demo.symbol(name), parameters);
    // DllMain hears of the thread first.
    kernel.run({ until: thread.reaches(demo.symbol(name)) });
    expect(thread.stackWalk().map(({ text }) => text)).toEqual([`demo!${name}`]);
    const returns: bigint[] = [];
    let deepest = 0;
    const wrong: string[] = [];
    while (thread.pc !== thread.architecture.returnAddress) {
      const place = thread.describe(thread.pc);
      if (thread.started) {
        const walked = thread.stackWalk();
        deepest = Math.max(deepest, walked.length);
        const found = walked.slice(1).map(({ pc }) => thread.describe(pc));
        const expected = returns.map((pc) => thread.describe(pc));
        if (found.join() !== expected.join())
          wrong.push(`${place}: ${found.join(' < ')} instead of ${expected.join(' < ')}`);
      }
      step(thread, () => kernel.run({ instructions: 1 }), returns);
    }
    expect(wrong).toEqual([]);
    expect(deepest).toBeGreaterThanOrEqual(depth);
  });

  it('can be walked while the thread is on no processor', () => {
    using kernel = boot(architecture);
    const process = kernel.createProcess({ name: 'a.exe' });
    const demo = process.loadImage(...described(`${architecture}/base/demo.dll`));
    const thread = process.createThread(demo.symbol('hp_entry'), [3, 5, 4]);
    kernel.run({ until: thread.reaches(demo.symbol('fib')) });
    const running = thread.stackWalk().map(({ text }) => text);
    expect(running[0]).toBe('demo!fib');
    expect(running.at(-1)).toMatch(/^demo!hp_entry\+0x/);
    process.call64(demo.symbol('leaf_opaque'));
    expect(thread.processor).toBeUndefined();
    expect(thread.stackWalk().map(({ text }) => text)).toEqual(running);
  });
});
