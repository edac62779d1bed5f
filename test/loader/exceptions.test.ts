import { fileURLToPath } from 'node:url';
import { Lab } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { defineExport, type LoadedImage } from '../../loader/index.js';
import { ARCHITECTURES, type ArchitectureName, boot, built, KERNEL_ARCHITECTURES } from './support.js';

const path = (name: string) => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));

/** What the code has told, in order. */
function story(image: LoadedImage): number[] {
  const { addressSpace } = image.domain;
  const count = addressSpace.readU32(image.symbol('told'));
  const at = image.symbol('story');
  return Array.from({ length: count }, (_, index) => addressSpace.readU32(at + BigInt(4 * index)) | 0);
}

const int = (value: bigint) => Number(BigInt.asIntN(32, value));
const NULL = 0n;

type Case = readonly [
  name: string,
  call: readonly [name: string, ...parameters: (number | bigint)[]],
  result: number,
  story: readonly number[],
  architectures?: readonly ArchitectureName[],
];

const X86_FAMILY = ['x64', 'x86'] as const;

/** Of src/seh.c: which function is called how, what it returns, and what it told on the way. */
const CASES: Case[] = [
  ['nothing: __finally runs all the same', ['guarded', 7, NULL], 8, [170]],
  ['RaiseException in a callee', ['guarded', 1, NULL], 1010, [10, 111, 1]],
  ['a read of address 0', ['guarded', 2, NULL], 1020, [20, 121, 5]],
  ['a write to address 0', ['guarded', 3, NULL], 1030, [30, 131, 5]],
  ['an illegal instruction', ['guarded', 5, NULL], 1050, [50, 151, 0x1d]],
  ['a breakpoint', ['guarded', 6, NULL], 1060, [60, 161, 3]],
  ['a frame that says no, and one with __finally in between', ['outer', 1, NULL], 2001, [7]],
  ['a filter that mends the context and continues', ['mended', NULL], 4711, [9]],
  ['an exception in a __finally of an unwind', ['collides', NULL], 3000, [21, 20, 22, 23, 25]],
  ['__leave', ['leaves_early', 1], 1, [31]],
  ['a deep recursion: the stack grows', ['overflows', 30], 30, []],
  ['a deeper one: the stack overflows', ['overflows', 1000], -1, []],
];

const IN_USER_MODE = CASES.flatMap((each) =>
  (each[4] ?? ARCHITECTURES).map((architecture) => ({ architecture, each })),
);

describe('__try in user mode', () => {
  it.each(IN_USER_MODE)('on $architecture handles $each.0', ({ architecture, each }) => {
    const [, [name, ...parameters], result, expected] = each;
    using kernel = boot(architecture);
    const process = kernel.createProcess({ name: 'a.exe' });
    const dll = process.loadImage(...built(`${architecture}/seh.dll`));
    expect(int(process.call64(dll.symbol(name), parameters))).toBe(result);
    expect(story(dll)).toEqual(expected);
    expect(process.terminated).toBe(false);
  });

  it.each(X86_FAMILY)('on %s handles a division by zero', (architecture) => {
    using kernel = boot(architecture);
    const process = kernel.createProcess({ name: 'a.exe' });
    const dll = process.loadImage(...built(`${architecture}/seh.dll`));
    const zero = process.heap.allocate(4, 0, { fill: 0, quota: false });
    expect(int(process.call64(dll.symbol('guarded'), [4, zero]))).toBe(1040);
    expect(story(dll)).toEqual([40, 141, 0x94]);
  });
});

describe.each(ARCHITECTURES)('a function without a frame on %s', (architecture) => {
  it.each([
    ['behind_call', 1005],
    ['at_the_end', 1006],
    ['two_deep', 3006],
  ])('fails inside of the __try of %s', (name, result) => {
    using kernel = boot(architecture);
    const process = kernel.createProcess({ name: 'a.exe' });
    const dll = process.loadImage(...built(`${architecture}/leaf.dll`));
    expect(int(process.call64(dll.symbol(name), [NULL]))).toBe(result);
  });
});

describe.each(KERNEL_ARCHITECTURES)('__try in the kernel on %s', (architecture) => {
  it.each([
    ['ExRaiseStatus in a callee', ['guarded', 1, NULL], 1010, [10, 111, 1]],
    ['a read of a user address that is not there', ['guarded', 2, NULL], 1020, [20, 121, 5]],
    ['an illegal instruction', ['guarded', 5, NULL], 1050, [50, 151, 0x1d]],
    ['a frame that says no', ['outer', 1, NULL], 2001, [7]],
    ['an exception in a __finally of an unwind', ['collides', NULL], 3000, [21, 20, 22, 23, 25]],
  ] satisfies Case[])('handles %s', (_name, [name, ...parameters], result, expected) => {
    using kernel = boot(architecture);
    const driver = kernel.loadImage(...built(`${architecture}/sehdrv.sys`));
    expect(int(kernel.call64(driver.symbol(name), parameters))).toBe(result);
    expect(story(driver)).toEqual(expected);
  });

  /** Addresses of the kernel itself, and any at DISPATCH_LEVEL, are never an exception that a handler sees. */
  it.each([
    [0xffffb900_00000000n, 0, /PAGE_FAULT_IN_NONPAGED_AREA 0x50 \(0xffffb90000000000, 0x0, /],
    [NULL, 2, /DRIVER_IRQL_NOT_LESS_OR_EQUAL 0xd1 \(0x0, 0x2, 0x0, /],
  ])('stops at a read of %s at IRQL %i, whatever handlers there are', (address, irql, message) => {
    using kernel = boot(architecture);
    const driver = kernel.loadImage(...built(`${architecture}/sehdrv.sys`));
    const thread = kernel.createThread(driver.symbol('guarded'), [2, address], { irql });
    expect(() => kernel.run({ until: thread.returns() })).toThrow(/access violation: read/);
    expect(thread.crash?.bugCheck?.message).toMatch(message);
    expect(story(driver)).toEqual([]);
  });

  it.each([
    [1, 0, /SYSTEM_THREAD_EXCEPTION_NOT_HANDLED 0x7e \(0xe0000001, 0xfffff8/],
    [2, 0, /SYSTEM_THREAD_EXCEPTION_NOT_HANDLED 0x7e \(0xc0000005, 0xfffff8/],
    [1, 2, /KMODE_EXCEPTION_NOT_HANDLED 0x1e \(0xe0000001, 0xfffff8/],
  ])('stops when nobody handles failure %i at IRQL %i', (what, irql, message) => {
    using kernel = boot(architecture);
    const driver = kernel.loadImage(...built(`${architecture}/sehdrv.sys`));
    const thread = kernel.createThread(driver.symbol('fails_alone'), [what, NULL], { irql });
    expect(() => kernel.run({ until: thread.returns() })).toThrow(/access violation|raised in sehdrv!fail\+/);
    expect(thread.crash?.bugCheck?.message).toMatch(message);
    expect(kernel.events.toString()).toMatch(message);
  });
});

describe.each(ARCHITECTURES)('an exception that nobody handles on %s', (architecture) => {
  it.each([
    ['RaiseException', 1, 0xe0000001, /exception 0xe0000001 raised in seh!fail\+0x/],
    ['a read of address 0', 2, 0xc0000005, /access violation: read of .*by seh!fail\+0x/],
    ['an illegal instruction', 5, 0xc000001d, /exception at seh!fail\+0x.*invalidOpcode/],
    ['a breakpoint', 6, 0x80000003, /exception at seh!fail\+0x.*breakpoint/],
  ])('ends the process with its code: %s', (_name, what, status, message) => {
    using kernel = boot(architecture);
    const process = kernel.createProcess({ name: 'a.exe' });
    const dll = process.loadImage(...built(`${architecture}/seh.dll`));
    const other = process.createThread(dll.symbol('recurse'), [10]);
    expect(() => process.call64(dll.symbol('fails_alone'), [what, NULL])).toThrow(message);
    expect(process.exitStatus).toBe(status);
    expect(kernel.processes).not.toContain(process);
    expect(kernel.threads).not.toContain(other);
    expect(kernel.events.toString()).toContain(`has ended (0x${status.toString(16)})`);
  });

  it('writes nothing to the stack when no handler is in sight', () => {
    using kernel = boot(architecture);
    const process = kernel.createProcess({ name: 'a.exe' });
    const dll = process.loadImage(...built(`${architecture}/seh.dll`));
    const thread = process.createThread(dll.symbol('fails_alone'), [2, NULL]);
    kernel.run({ until: thread.reaches(dll.symbol('fail')) });
    const { sp } = thread;
    const below = () => process.addressSpace.read(sp - 0x800n, 0x700);
    const before = below();
    let after: Uint8Array | undefined;
    kernel.events.on(({ kind }) => {
      if (kind === 'threadCrashed') after = below();
    });
    expect(() => kernel.run({ until: thread.returns() })).toThrow(/access violation/);
    expect(after).toEqual(before);
  });

  it('asks the filter of the process last', () => {
    using kernel = boot(architecture);
    const seen: string[] = [];
    const process = kernel.createProcess({ name: 'a.exe' });
    const services = kernel.userServices({ wow64: process.wow64 });
    const note = (name: string) =>
      defineExport(name, ['pointer'], (_call, pointers) => {
        const { addressSpace } = process;
        const record =
          process.domain.architecture.pointerSize === 8
            ? addressSpace.readU64(pointers)
            : BigInt(addressSpace.readU32(pointers));
        seen.push(`${name} ${addressSpace.readU32(record).toString(16)}`);
        return 0;
      });
    services.define({ name: 'notes.dll', exports: [note('First'), note('Second'), note('Last')] });
    const address = (name: string) => services.address('notes.dll', name);
    const win32 = (name: string, ...parameters: (bigint | number)[]) =>
      process.call64(services.address('kernelbase.dll', name), parameters);
    const dll = process.loadImage(...built(`${architecture}/seh.dll`));
    win32('AddVectoredExceptionHandler', 0, address('Second'));
    win32('AddVectoredExceptionHandler', 1, address('First'));
    win32('SetUnhandledExceptionFilter', address('Last'));
    expect(int(process.call64(dll.symbol('guarded'), [1, NULL]))).toBe(1010);
    expect(seen).toEqual(['First e0000001', 'Second e0000001']);
    win32('RemoveVectoredExceptionHandler', address('First'));
    expect(() => process.call64(dll.symbol('fails_alone'), [2, NULL])).toThrow(/access violation/);
    expect(seen.slice(2)).toEqual(['Second c0000005', 'Last c0000005']);
    expect(process.exitStatus).toBe(0xc0000005);
  });
});

describe.each(ARCHITECTURES)('a patched function on %s', (architecture) => {
  async function patched() {
    const lab = await Lab.boot({ architecture });
    const process = lab.kernel.createProcess({ name: 'a.exe' });
    const dll = process.loadImage(...built(`${architecture}/seh.dll`));
    await lab.loadHotPatch(path(`${architecture}/seh_hp.dll`));
    const at = (name: string) => dll.symbol(name);
    return { lab, process, dll, at, [Symbol.dispose]: () => lab[Symbol.dispose]() };
  }

  it('is unwound like any other: from the patch image into the base', async () => {
    using machine = await patched();
    const { process, dll, at } = machine;
    expect(dll.hotPatchState).toBe('AppliedForward');
    // The fix adds 100: it is the patch that runs, and that fails.
    expect(int(process.call64(at('guarded'), [7, NULL]))).toBe(108);
    expect(int(process.call64(at('guarded'), [2, NULL]))).toBe(1020);
    expect(int(process.call64(at('guarded'), [1, NULL]))).toBe(1010);
    expect(int(process.call64(at('collides'), [NULL]))).toBe(3000);
    expect(story(dll)).toEqual([170, 20, 121, 5, 10, 111, 1, 21, 20, 22, 23, 25]);
  });

  it('shows its filter on top of both in a stack walk', async () => {
    using machine = await patched();
    const { lab, process, at } = machine;
    const thread = process.createThread(at('guarded'), [2, NULL]);
    lab.kernel.run({ until: thread.reaches(at('tell')) });
    const walked = thread.stackWalk().map(({ text }) => text.replace(/\+0x.*/, ''));
    expect(walked[0]).toBe('seh!tell');
    expect(walked).toEqual(expect.arrayContaining([expect.stringMatching(/^seh_hp!fail/)]));
    // Without a frame of its own, the x86 function hides its caller from a walk by frame pointers.
    expect(walked.at(-1)).toBe(architecture === 'x86' ? 'seh_hp!fail' : 'seh!guarded');
    lab.kernel.run({ until: thread.returns() });
    expect(thread.result).toBe(1020);
    expect(thread.callouts).toEqual([]);
  });
});

describe('the guard page of a stack', () => {
  it.each(ARCHITECTURES)('moves down as the stack grows, with StackLimit, on %s', (architecture) => {
    using kernel = boot(architecture);
    const process = kernel.createProcess({ name: 'a.exe' });
    const dll = process.loadImage(...built(`${architecture}/seh.dll`));
    const thread = process.createThread(dll.symbol('recurse'), [30]);
    const { table } = process.domain;
    const limit = () => {
      const { pointerSize } = process.domain.architecture;
      const at = (thread.teb ?? 0n) + BigInt(2 * pointerSize);
      return pointerSize === 8 ? process.addressSpace.readU64(at) : BigInt(process.addressSpace.readU32(at));
    };
    const before = thread.stack.limit;
    expect(limit()).toBe(before);
    expect(table.query(before - 0x1000n)).toMatchObject({ state: 'committed', guard: true });
    expect(table.query(before - 0x2000n).state).toBe('reserved');
    kernel.run({ until: thread.returns() });
    const { limit: after } = thread.stack;
    expect(before - after).toBeGreaterThanOrEqual(0x4000n);
    expect(limit()).toBe(after);
    expect(table.query(before - 0x1000n).guard).toBe(false);
    expect(table.query(after - 0x1000n).guard).toBe(true);
    expect(table.query(thread.stack.base).state).toBe('reserved');
  });

  it('of other memory is an exception, once', () => {
    using kernel = boot('x64');
    const process = kernel.createProcess({ name: 'a.exe' });
    const dll = process.loadImage(...built('x64/seh.dll'));
    const page = process.domain.pool.region.allocate(0x1000);
    process.domain.table.commit(page, 1, 'PAGE_READWRITE', { guard: true });
    expect(int(process.call64(dll.symbol('guarded'), [2, page]))).toBe(1020);
    expect(story(dll)).toEqual([20, 121, 1]);
    expect(int(process.call64(dll.symbol('guarded'), [2, page]))).toBe(1);
  });
});
