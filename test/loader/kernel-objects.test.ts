import { Lab } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import type { Kernel, Thread } from '../../loader/index.js';
import { boot, KERNEL_ARCHITECTURES } from './support.js';

const SYNCHRONIZATION = 1;
const WAIT_ALL = 0;
const WAIT_ANY = 1;
const STATUS_TIMEOUT = 0x102;

class Objects {
  constructor(readonly kernel: Kernel) {}

  get space() {
    return this.kernel.system.addressSpace;
  }

  export(name: string): bigint {
    return this.kernel.services.address('ntoskrnl.exe', name);
  }

  call(name: string, ...parameters: (bigint | number)[]): number {
    return Number(BigInt.asIntN(32, this.kernel.call64(this.export(name), parameters)));
  }

  /** An object of the kernel in pool that is full of something else. */
  make(initialize: string, ...parameters: (bigint | number)[]): bigint {
    const object = this.kernel.pool.allocate(64, 0, { fill: 0xcd, quota: false });
    this.kernel.call64(this.export(initialize), [object, ...parameters]);
    return object;
  }

  time(value: bigint): bigint {
    const timeout = this.kernel.pool.allocate(8, 0, { fill: 0, quota: false });
    this.space.writeU64(timeout, BigInt.asUintN(64, value));
    return timeout;
  }

  array(objects: readonly bigint[]): bigint {
    const array = this.kernel.pool.allocate(8 * objects.length, 0, { fill: 0, quota: false });
    objects.forEach((object, index) => void this.space.writeU64(array + 8n * BigInt(index), object));
    return array;
  }

  waiter(objects: readonly bigint[], type: number, timeout = 0n, blocks = 1n): Thread {
    const parameters = [objects.length, this.array(objects), type, 0, 0, 0, timeout, blocks];
    const thread = this.kernel.createThread(this.export('KeWaitForMultipleObjects'), parameters);
    this.kernel.run({ instructions: 100 });
    return thread;
  }
}

describe.each(KERNEL_ARCHITECTURES)('waiting for several objects on %s', (architecture) => {
  const set = (objects: Objects, event: bigint) => {
    objects.call('KeSetEvent', event, 0, 0);
    objects.kernel.run({ instructions: 100 });
  };

  it('for any: the first that is signalled, by its index; the others keep their signal', () => {
    using kernel = boot(architecture);
    const objects = new Objects(kernel);
    const events = [0, 1, 2].map(() => objects.make('KeInitializeEvent', SYNCHRONIZATION, 0));
    const thread = objects.waiter(events, WAIT_ANY);
    expect(thread.state).toBe('waiting');
    set(objects, events[2] ?? 0n);
    expect(thread.result).toBe(2);
    for (const event of events) objects.call('KeSetEvent', event, 0, 0);
    expect(objects.waiter(events, WAIT_ANY).result).toBe(0);
    expect(events.map((event) => objects.call('KeReadStateEvent', event))).toEqual([0, 1, 1]);
  });

  it('for all: none loses its signal until all have one', () => {
    using kernel = boot(architecture);
    const objects = new Objects(kernel);
    const events = [0, 1].map(() => objects.make('KeInitializeEvent', SYNCHRONIZATION, 0));
    const thread = objects.waiter(events, WAIT_ALL);
    set(objects, events[1] ?? 0n);
    expect(thread.state).toBe('waiting');
    expect(objects.call('KeReadStateEvent', events[1] ?? 0n)).toBe(1);
    set(objects, events[0] ?? 0n);
    expect(thread.result).toBe(0);
    expect(events.map((event) => objects.call('KeReadStateEvent', event))).toEqual([0, 0]);
  });

  it('ends when its time has come', () => {
    using kernel = boot(architecture);
    const objects = new Objects(kernel);
    const event = objects.make('KeInitializeEvent', SYNCHRONIZATION, 0);
    const thread = objects.waiter([event, event], WAIT_ANY, objects.time(-50_000n));
    kernel.run({ until: thread.returns() });
    expect(thread.result).toBe(STATUS_TIMEOUT);
  });

  it.each([
    [4, 0n],
    [65, 1n],
  ])('for %d objects with wait blocks at %d stops the system', (count, blocks) => {
    using kernel = boot(architecture);
    const objects = new Objects(kernel);
    const event = objects.make('KeInitializeEvent', SYNCHRONIZATION, 1);
    const thread = objects.waiter(new Array(count).fill(event), WAIT_ANY, 0n, blocks);
    expect(() => kernel.run({ until: thread.returns() })).toThrow(/waits for \d+ objects and may for \d+/);
    expect(thread.crash?.bugCheck?.code).toBe(0xc);
  });
});

describe.each(KERNEL_ARCHITECTURES)('mutexes and semaphores on %s', (architecture) => {
  it('a mutex lets its owner in again, and nobody else', () => {
    using kernel = boot(architecture);
    const objects = new Objects(kernel);
    const mutex = objects.make('KeInitializeMutex', 0);
    expect(objects.call('KeReadStateMutex', mutex)).toBe(1);
    const owner = objects.waiter([mutex, mutex, mutex], WAIT_ALL);
    expect(owner.result).toBe(0);
    expect(objects.call('KeReadStateMutex', mutex)).toBe(-2);
    expect(objects.waiter([mutex], WAIT_ANY).state).toBe('waiting');
  });

  it('only the owner of a mutex releases it', () => {
    using kernel = boot(architecture);
    const objects = new Objects(kernel);
    const mutex = objects.make('KeInitializeMutex', 0);
    expect(() => objects.call('KeReleaseMutex', mutex, 0)).toThrow(/c0000046/i);
  });

  it('a semaphore counts up to its limit', () => {
    using kernel = boot(architecture);
    const objects = new Objects(kernel);
    const semaphore = objects.make('KeInitializeSemaphore', 0, 2);
    const waiters = [0, 1].map(() => objects.waiter([semaphore], WAIT_ANY));
    expect(objects.call('KeReleaseSemaphore', semaphore, 0, 1, 0)).toBe(0);
    kernel.run({ instructions: 100 });
    expect(waiters.filter(({ finished }) => finished)).toHaveLength(1);
    expect(objects.call('KeReleaseSemaphore', semaphore, 0, 2, 0)).toBe(0);
    kernel.run({ instructions: 100 });
    expect(objects.call('KeReadStateSemaphore', semaphore)).toBe(1);
    expect(() => objects.call('KeReleaseSemaphore', semaphore, 0, 2, 0)).toThrow(/c0000047/i);
  });
});

describe.each(KERNEL_ARCHITECTURES)('MmGetSystemRoutineAddress on %s', (architecture) => {
  const find = (kernel: Kernel, name: string): bigint => {
    const objects = new Objects(kernel);
    const text = kernel.pool.allocate(64, 0, { fill: 0, quota: false });
    const string = kernel.pool.allocate(16, 0, { fill: 0, quota: false });
    objects.space.write(text, new Uint8Array(new Uint16Array([...name].map((c) => c.charCodeAt(0))).buffer));
    objects.space.writeU32(string, (2 * name.length) | ((2 * name.length + 2) << 16));
    objects.space.writeU64(string + 8n, text);
    return kernel.call64(objects.export('MmGetSystemRoutineAddress'), [string]);
  };

  it('finds what an import would be bound to, and nothing else', () => {
    using kernel = boot(architecture);
    expect(find(kernel, 'KeSetEvent')).toBe(kernel.services.address('ntoskrnl.exe', 'KeSetEvent'));
    expect(find(kernel, 'KeNoSuchRoutine')).toBe(0n);
    expect(find(kernel, '')).toBe(0n);
  });
});

describe('fastcall routines of the kernel on x86', () => {
  /** `mov ecx, [esp+4]; mov edx, [esp+8]; call routine; ret`. */
  const through = (routine: bigint): Uint8Array => {
    const code = Buffer.from('8b4c24048b542408b800000000ffd0c3', 'hex');
    code.writeUInt32LE(Number(routine), 9);
    return code;
  };

  it.each([
    ['KfAcquireSpinLock', 'KfReleaseSpinLock'],
    ['KefAcquireSpinLockAtDpcLevel', 'KefReleaseSpinLockFromDpcLevel'],
  ])('%s and %s take the lock from ecx', (acquire, release) => {
    using lab = Lab.boot({ architecture: 'x86' });
    const process = lab.createProcess('driver.exe');
    const { domain } = process;
    const lock = lab.allocate(new Uint8Array(8), { domain });
    const call = (name: string, ...parameters: (bigint | number)[]) =>
      process.call(
        lab.allocateCode(through(domain.services.address('ntoskrnl.exe', name)), { domain }),
        parameters,
      );
    expect(call(acquire, lock)).toBe(0);
    expect(domain.addressSpace.readU32(lock)).toBe(1);
    call(release, lock, 0);
    expect(domain.addressSpace.readU32(lock)).toBe(0);
  });
});
