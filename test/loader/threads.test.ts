import { describe, expect, it } from 'vitest';
import { blocked, defineExport, IRQL, Kernel } from '../../loader/index.js';
import { ARCHITECTURES, boot, described, KERNEL_ARCHITECTURES } from './support.js';

const service = (kernel: Kernel, name: string) => kernel.services.address('ntoskrnl.exe', name);

describe.each(KERNEL_ARCHITECTURES)('waiting on %s', (architecture) => {
  it.each([
    ['notification event', 0, 2],
    ['synchronization event', 1, 1],
  ])('for a %s', (_name, type, woken) => {
    using kernel = boot(architecture, { processors: 2 });
    const event = kernel.pool.allocate(24, 0, { fill: 0, quota: false });
    kernel.call64(service(kernel, 'KeInitializeEvent'), [event, type, 0]);
    const wait = service(kernel, 'KeWaitForSingleObject');
    const waiters = [0, 1].map(() => kernel.createThread(wait, [event, 0, 0, 0, 0]));
    expect(kernel.run({ instructions: 100 })).toEqual({ reason: 'idle' });
    expect(waiters.map(({ state }) => state)).toEqual(['waiting', 'waiting']);
    expect(kernel.call64(service(kernel, 'KeSetEvent'), [event, 0, 0]) & 0xffffffffn).toBe(0n);
    kernel.run({ instructions: 100 });
    expect(waiters.filter(({ finished }) => finished)).toHaveLength(woken);
    expect(kernel.call64(service(kernel, 'KeReadStateEvent'), [event]) & 0xffffffffn).toBe(
      type === 0 ? 1n : 0n,
    );
  });

  it('ends by itself when its time has come', () => {
    using kernel = boot(architecture);
    const space = kernel.system.addressSpace;
    const event = kernel.pool.allocate(24, 0, { fill: 0, quota: false });
    const timeout = kernel.pool.allocate(8, 0, { fill: 0, quota: false });
    space.writeU64(timeout, BigInt.asUintN(64, -50_000n));
    const thread = kernel.createThread(service(kernel, 'KeWaitForSingleObject'), [event, 0, 0, 0, timeout]);
    const before = kernel.scheduler.time;
    kernel.run({ until: thread.returns() });
    expect(thread.result).toBe(0x102);
    expect(kernel.scheduler.time - before).toBeGreaterThanOrEqual(50_000n);
  });

  it.each([0n, 10_000n])('is not ended by a timer that wakes nobody, of period %d', (period) => {
    using kernel = boot(architecture);
    const space = kernel.system.addressSpace;
    const allocate = (size: number) => kernel.pool.allocate(size, 0, { fill: 0, quota: false });
    const [event, timeout, timer] = [24, 8, 64].map(allocate) as [bigint, bigint, bigint];
    kernel.call64(service(kernel, 'KeInitializeTimer'), [timer]);
    kernel.call64(service(kernel, 'KeSetTimerEx'), [timer, -10_000n, period / 10_000n, 0]);
    space.writeU64(timeout, BigInt.asUintN(64, -50_000n));
    const thread = kernel.createThread(service(kernel, 'KeWaitForSingleObject'), [event, 0, 0, 0, timeout]);
    kernel.run({ until: thread.returns() });
    expect(thread.result).toBe(0x102);
  });

  it('says what it waits for when nobody will ever signal it', () => {
    using kernel = boot(architecture);
    const event = kernel.pool.allocate(24, 0, { fill: 0, quota: false });
    const thread = kernel.createThread(service(kernel, 'KeWaitForSingleObject'), [event, 0, 0, 0, 0]);
    expect(() => kernel.run({ until: thread.returns() })).toThrow(
      /nothing is left to run; thread \d+ is at .*, waiting for the object at/,
    );
  });

  it('keeps spin locks exclusive', () => {
    using kernel = boot(architecture, { processors: 2 });
    const lock = kernel.pool.allocate(8, 0, { fill: 0, quota: false });
    const acquire = service(kernel, 'KeAcquireSpinLockRaiseToDpc');
    expect(kernel.call64(acquire, [lock])).toBe(BigInt(IRQL.PASSIVE_LEVEL));
    const second = kernel.createThread(acquire, [lock]);
    kernel.run({ instructions: 100 });
    expect(second.state).toBe('waiting');
    kernel.call64(service(kernel, 'KeReleaseSpinLock'), [lock, IRQL.PASSIVE_LEVEL]);
    kernel.run({ instructions: 100 });
    expect(second.finished).toBe(true);
    expect(second.irql).toBe(IRQL.DISPATCH_LEVEL);
  });
});

describe.each(ARCHITECTURES)('threads on %s', (architecture) => {
  it('sleep with a stack that can be walked, inside the call that they wait in', () => {
    using kernel = Kernel.boot({ architecture });
    let open = false;
    const gate = defineExport(
      'imp_add',
      ['i32', 'i32'],
      (_call, a, b) => blocked({ reason: 'the gate', ready: () => (open ? BigInt(a + b) : undefined) }),
      'cdecl',
    );
    kernel.userServices().define({ name: 'hpimport.dll', exports: [gate] });
    const process = kernel.createProcess({ name: 'a.exe' });
    const demo = process.loadImage(...described(`${architecture}/base/demo.dll`));
    const thread = process.createThread(demo.symbol('dispatch'), [5, 20, 22]);
    kernel.run({ instructions: 1000 });
    expect(thread.state).toBe('waiting');
    expect(thread.processor).toBeUndefined();
    const walked = thread.stackWalk().map(({ text }) => text);
    // The compiler has made the call a tail call on some processors: then nothing of dispatch is left on the stack.
    expect(walked.every((text) => text.startsWith('demo!dispatch+0x'))).toBe(true);
    open = true;
    kernel.run({ until: thread.returns() });
    expect(thread.result).toBe(42);
  });

  it('share a processor: none waits for another to end', () => {
    using kernel = boot(architecture);
    const process = kernel.createProcess({ name: 'a.exe' });
    const demo = process.loadImage(...described(`${architecture}/base/demo.dll`));
    const threads = [15, 15, 15].map((n) => process.createThread(demo.symbol('fib'), [n]));
    kernel.run({ instructions: 20_000 });
    for (const thread of threads) {
      expect(thread.finished).toBe(false);
      expect(thread.instructions).toBeGreaterThan(1000);
    }
    for (const thread of threads) kernel.run({ until: thread.returns() });
    expect(threads.map(({ result }) => result)).toEqual([610, 610, 610]);
  });

  it('run the same way with the same seed', () => {
    const story = (seed: number) => {
      using kernel = boot(architecture, { processors: 2, seed });
      const process = kernel.createProcess({ name: 'a.exe' });
      const demo = process.loadImage(...described(`${architecture}/base/demo.dll`));
      const threads = [10, 9, 8].map((n) => process.createThread(demo.symbol('fib'), [n]));
      const places: string[] = [];
      for (let i = 0; i < 20; i++) {
        kernel.run({ instructions: 97 });
        places.push(threads.map(({ pc }) => pc.toString(16)).join());
      }
      return { places, hash: kernel.machine.hash() };
    };
    expect(story(7)).toEqual(story(7));
    expect(story(7).places).not.toEqual(story(8).places);
  });
});

describe.each(KERNEL_ARCHITECTURES)('the quantum on %s', (architecture) => {
  it.each([
    ['ends at PASSIVE_LEVEL: others get the processor', IRQL.PASSIVE_LEVEL, true],
    ['does not end at DISPATCH_LEVEL', IRQL.DISPATCH_LEVEL, false],
  ] as const)('%s', (_name, irql, others) => {
    using kernel = boot(architecture);
    const demo = kernel.loadImage(...described(`${architecture}/base/demo.dll`));
    const first = kernel.createThread(demo.symbol('fib'), [24], { irql });
    const second = kernel.createThread(demo.symbol('fib'), [24]);
    kernel.run({ until: first.reaches(demo.symbol('fib')) });
    kernel.run({ instructions: 50_000 });
    expect(first.finished).toBe(false);
    expect(second.started).toBe(others);
  });
});

describe.each(KERNEL_ARCHITECTURES)('a rendezvous of all processors on %s', (architecture) => {
  function busy(irql: number) {
    const kernel = boot(architecture, { processors: 3 });
    const demo = kernel.loadImage(...described(`${architecture}/base/demo.dll`));
    const thread = kernel.createThread(demo.symbol('fib'), [12], { irql });
    kernel.createThread(demo.symbol('fib'), [20]);
    kernel.run({ instructions: 500 });
    return { kernel, thread, [Symbol.dispose]: () => kernel[Symbol.dispose]() };
  }

  it('holds every thread while it lasts', () => {
    using machine = busy(IRQL.PASSIVE_LEVEL);
    const { kernel, thread } = machine;
    const { pc, instructions } = thread;
    const result = kernel.rendezvous(() => {
      expect(kernel.run({ instructions: 100 })).toEqual({ reason: 'gathered' });
      expect(() => kernel.rendezvous(() => 0)).toThrow(/gathered already/);
      return [thread.pc, thread.instructions];
    });
    expect(result).toEqual([pc, instructions]);
    kernel.run({ until: thread.returns() });
    expect(thread.result).toBe(144);
  });

  it('waits until a processor has lowered its IRQL', () => {
    using machine = busy(IRQL.DISPATCH_LEVEL);
    const { kernel, thread } = machine;
    kernel.rendezvous(() => expect(thread.finished).toBe(true), { timeout: 1_000_000 });
  });

  it('gives up cleanly when one does not come', () => {
    using machine = busy(IRQL.DISPATCH_LEVEL);
    const { kernel, thread } = machine;
    let called = false;
    const tryIt = () =>
      kernel.rendezvous(
        () => {
          called = true;
        },
        { timeout: 50 },
      );
    expect(tryIt).toThrow(
      /processor \d did not come .* within 50 instructions: thread \d+ .* DISPATCH_LEVEL in demo!fib/,
    );
    expect(called).toBe(false);
    kernel.run({ until: thread.returns() });
    expect(thread.result).toBe(144);
  });

  it('is what KeIpiGenericCall makes: its function runs once on every processor', () => {
    using machine = busy(IRQL.PASSIVE_LEVEL);
    const { kernel, thread } = machine;
    const seen: string[] = [];
    kernel.services.define({
      name: 'ntoskrnl.exe',
      exports: [
        defineExport('Broadcast', ['pointer'], (call, context) => {
          seen.push(`${call.processor.index} ${call.thread.irql} ${context}`);
          return 100 + call.processor.index;
        }),
      ],
    });
    const result = kernel.call64(service(kernel, 'KeIpiGenericCall'), [service(kernel, 'Broadcast'), 5]);
    expect(seen).toEqual(['0 14 5', '1 14 5', '2 14 5']);
    expect([100n, 101n, 102n]).toContain(result);
    kernel.run({ until: thread.returns() });
    expect(thread.result).toBe(144);
  });

  it('lets drivers start threads and wait for them', () => {
    using kernel = boot(architecture);
    const demo = kernel.loadImage(...described(`${architecture}/base/demo.dll`));
    const handle = kernel.pool.allocate(8, 0, { fill: 0, quota: false });
    const create = service(kernel, 'PsCreateSystemThread');
    expect(kernel.call64(create, [handle, 0, 0, 0, 0, demo.symbol('fib'), 10]) & 0xffffffffn).toBe(0n);
    const [thread] = kernel.threads;
    if (thread === undefined) throw new Error('no thread');
    kernel.run({ until: thread.returns() });
    expect(thread.result).toBe(55);
    expect(kernel.system.addressSpace.readU64(handle)).toBeGreaterThan(0n);
  });
});

it('address space of stacks of threads that ended is used again in a 32-bit process', () => {
  using kernel = boot('x86');
  const { domain } = kernel.createProcess({ name: 'a.exe' });
  const [start, end] = [domain.stacks.region.start, domain.stacks.region.end];
  const target = domain.services.address('kernel32.dll', 'GetCurrentThreadId');
  for (let count = 0; count < Number((end - start) / 0x1_0000n) + 10; count++) {
    const thread = kernel.createThread(target, [], { domain });
    kernel.run({ until: thread.returns() });
    expect(thread.finished).toBe(true);
  }
});

it.each(ARCHITECTURES)('memory of stacks of threads that ended is used again, on %s', (architecture) => {
  using kernel = boot(architecture, { memorySize: 2 << 20 });
  const { domain } = kernel.createProcess({ name: 'a.exe' });
  const target = domain.services.address('kernel32.dll', 'GetCurrentThreadId');
  const frames = kernel.machine.memory.frames;
  for (let count = 0; count < frames; count++) {
    const thread = kernel.createThread(target, [], { domain });
    kernel.run({ until: thread.returns() });
    expect(thread.finished).toBe(true);
  }
});
