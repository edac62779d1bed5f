import { describe, expect, it } from 'vitest';
import { IRQL, type LoadedImage } from '../../loader/index.js';
import { boot, built, KERNEL_ARCHITECTURES } from './support.js';

/** What fixtures/src/dpc.c has told. */
function story(driver: LoadedImage): number[] {
  const { addressSpace } = driver.domain;
  const at = (index: number) => driver.symbol('story') + BigInt(4 * index);
  const count = addressSpace.readU32(driver.symbol('told'));
  return Array.from({ length: count }, (_, index) => addressSpace.readU32(at(index)) | 0);
}

/** What `note` tells: processor, IRQL, DeferredContext, SystemArgument1, SystemArgument2. */
const noted = (processor: number, context: number) => processor * 10000 + 2 * 1000 + context * 100 + 23;

describe.each(KERNEL_ARCHITECTURES)('deferred procedure calls on %s', (architecture) => {
  function start(processors: number) {
    const kernel = boot(architecture, { processors });
    const driver = kernel.loadImage(...built(`${architecture}/dpc.sys`));
    const call = (name: string, ...parameters: number[]) =>
      Number(BigInt.asIntN(32, kernel.call64(driver.symbol(name), parameters)));
    return { kernel, driver, call, [Symbol.dispose]: () => kernel[Symbol.dispose]() };
  }

  it('run at DISPATCH_LEVEL on the processor that they are for', () => {
    using machine = start(3);
    const { kernel, driver, call } = machine;
    expect([call('queue', 0, 2, 1), call('queue', 1, 1, 1), call('queue', 2, 0, 1)]).toEqual([1, 1, 1]);
    kernel.run({ instructions: 1000 });
    expect(story(driver).sort((a, b) => a - b)).toEqual([noted(0, 2), noted(1, 1), noted(2, 0)]);
    expect(kernel.threads).toEqual([]);
    expect(kernel.dpcs.isBusy).toBe(false);
  });

  it('wait while the IRQL is raised, those of HighImportance at the front; none is queued twice', () => {
    using machine = start(1);
    // Not queued twice (0), removed (1).
    expect(machine.call('held_off')).toBe(1);
    expect(story(machine.driver)).toEqual([-10, noted(0, 2), noted(0, 0), -20 - 3]);
  });

  it('interrupt a thread that runs, and no thread runs before they are done', () => {
    using machine = start(1);
    const { kernel, driver } = machine;
    const thread = kernel.createThread(driver.symbol('spin'), [2]);
    kernel.run({ instructions: 500 });
    expect(thread.finished).toBe(false);
    const note = { routine: driver.symbol('note'), domain: driver.domain };
    kernel.dpcs.insert(0, { object: 1n, parameters: [0n, 1n, 2n, 3n], ...note });
    kernel.dpcs.insert(0, { object: 2n, parameters: [0n, 2n, 2n, 3n], ...note });
    kernel.run({ until: thread.returns() });
    expect(story(driver)).toEqual([noted(0, 1), noted(0, 2)]);
    expect(thread.result).toBe(2);
  });

  it.each([1, 2, 4])('meet on all %i processors in a generic DPC', (processors) => {
    using machine = start(processors);
    const { kernel, driver, call } = machine;
    const blocks = kernel.pool.blocks.size;
    const threads = Array.from({ length: processors }, () =>
      kernel.createThread(driver.symbol('spin'), [processors]),
    );
    kernel.run({ instructions: 1000 });
    expect(call('rendezvous')).toBe(processors);
    // Everyone saw the old value before the first barrier, and the new one behind the second.
    expect(story(driver)).toEqual(Array.from({ length: processors }, () => 3 * 100 + 7 * 10 + 2));
    for (const thread of threads) kernel.run({ until: thread.returns() });
    expect(kernel.pool.blocks.size).toBe(blocks); // the barrier is gone
  });

  it('say who stands at the barrier when one processor never comes', () => {
    using machine = start(2);
    expect(() => machine.call('deadlock')).toThrow(/waiting for a generic DPC to be done on every processor/);
  });

  it.each([
    [1, 0, [noted(0, 3) - 23], 0],
    [3, 1, Array.from({ length: 3 }, () => noted(0, 3) - 23), 1],
  ])('are queued by a timer: %i times, period %i ms', (times, period, expected, wasSet) => {
    using machine = start(1);
    const before = machine.kernel.scheduler.time;
    expect(machine.call('tick', times, period)).toBe(wasSet);
    expect(story(machine.driver)).toEqual(expected);
    expect(machine.kernel.scheduler.time - before).toBeGreaterThanOrEqual(
      5000n + 10_000n * BigInt(times - 1),
    );
  });

  it('cannot wait: the system stops', () => {
    using machine = start(1);
    const { kernel, call } = machine;
    const seen: string[] = [];
    kernel.events.on(({ kind, text }) => {
      if (kind === 'bugCheck') seen.push(text);
    });
    expect(() => call('wait_in_dpc')).toThrow(/ATTEMPTED_SWITCH_FROM_DPC/);
    expect(() => kernel.run({ instructions: 1000 })).toThrow(/systemStopped/);
    expect(seen).toEqual([expect.stringMatching(/ATTEMPTED_SWITCH_FROM_DPC 0xb8/)]);
  });

  it('let the host gather the processors, when they have come to their end', () => {
    using machine = start(2);
    const { kernel, driver } = machine;
    const thread = kernel.createThread(driver.symbol('rendezvous'));
    kernel.run({ until: thread.reaches(driver.symbol('meet', 0)), instructions: 2000 });
    kernel.rendezvous(() =>
      expect(kernel.threads.filter(({ irql }) => irql >= IRQL.DISPATCH_LEVEL)).toEqual([]),
    );
    kernel.run({ until: thread.returns() });
    expect(thread.result).toBe(2);
  });
});
