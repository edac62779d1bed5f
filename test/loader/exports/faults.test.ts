import { GuestCrash, type Kernel, type Process } from 'hotpatch-lab/loader';
import { describe, expect, it } from 'vitest';
import { ARCHITECTURES, boot, described, goOn, KERNEL_ARCHITECTURES } from '../support.js';

const [PAGE_FAULT, WRITE_TO_READONLY] = [0x50, 0xbe];
const ACCESS_VIOLATION = 0xc000_0005;

/** What became of a call. */
function outcome(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof GuestCrash)) throw error;
    return error.crash.bugCheck?.code ?? error.crash.exception?.code;
  }
}

const bytesAt = (kernel: Kernel, address: bigint, length = 16): string =>
  Buffer.from(kernel.system.addressSpace.read(address, length)).toString('hex');

/** What became of a call, each as if the one before had not stopped the system. */
function outcomeInKernel(kernel: Kernel, call: () => unknown): unknown {
  goOn(kernel);
  return outcome(call);
}

describe.each(KERNEL_ARCHITECTURES)('a driver that calls exports with bad pointers on %s', (architecture) => {
  const ntoskrnl = (kernel: Kernel, name: string) => kernel.services.address('ntoskrnl.exe', name);

  it('stops the system as its own instruction would have, and has stored nothing', () => {
    using kernel = boot(architecture);
    const [image, options] = described(`${architecture}/base/demo.dll`);
    const driver = kernel.loadImage(image, { ...options, name: 'demo.sys', domain: kernel.system });
    const source = kernel.system.allocateMemory('pool', 64);
    const code = driver.address(
      image.sections.find(({ name }) => name === '.text')?.virtualAddress ?? 0x1000,
    );
    const before = bytesAt(kernel, code);
    const memcpy = ntoskrnl(kernel, 'memcpy');
    const unmapped = 0xffff_b8ff_1234_0000n;
    const secure = 0xffff_f980_1000_0000n;
    const call = (...args: bigint[]) =>
      outcomeInKernel(kernel, () => kernel.call64(memcpy, args, { domain: kernel.system }));
    expect(call(code, source, 16n)).toBe(WRITE_TO_READONLY);
    expect(call(source, unmapped, 16n)).toBe(PAGE_FAULT);
    expect(call(source, secure, 16n)).toBe(PAGE_FAULT);
    expect(bytesAt(kernel, code)).toBe(before);
  });

  it('does not get around the second level by another mapping of the same page', () => {
    using kernel = boot(architecture);
    const [image, options] = described(`${architecture}/base/demo.dll`);
    const driver = kernel.loadImage(image, { ...options, name: 'demo.sys', domain: kernel.system });
    const source = kernel.system.allocateMemory('pool', 64);
    const code = driver.address(
      image.sections.find(({ name }) => name === '.text')?.virtualAddress ?? 0x1000,
    );
    const before = bytesAt(kernel, code);
    const alias = 0xffff_bb00_0000_0000n;
    const frame = kernel.system.addressSpace.query(code).frame ?? -1;
    kernel.system.table.commit(alias, 1, 'PAGE_READWRITE', { frames: [frame], copyOnWrite: false });
    const target = alias + (code & 0xfffn);
    for (const [name, args] of [
      ['memcpy', [target, source, 16n]],
      ['RtlZeroMemory', [target, 16n]],
      ['RtlInitUnicodeString', [target, 0n]],
    ] as const)
      expect(
        outcomeInKernel(kernel, () => kernel.call64(ntoskrnl(kernel, name), args, { domain: kernel.system })),
      ).toBe(WRITE_TO_READONLY);
    expect(bytesAt(kernel, code)).toBe(before);
  });

  it('gets a typed answer to every absurd length', () => {
    using kernel = boot(architecture);
    const block = kernel.system.allocateMemory('pool', 0x1000);
    kernel.system.addressSpace.write(block + 0xff0n, Buffer.from('abcdabcdabcdabcd'));
    const format = kernel.system.allocateMemory('pool', 64);
    kernel.system.addressSpace.write(format, Buffer.from('%999999999d\0'));
    const call = (name: string, ...args: bigint[]) =>
      outcomeInKernel(kernel, () => kernel.call(ntoskrnl(kernel, name), args, { domain: kernel.system }));
    expect(call('memcpy', block, block, 0xffff_ffff_ffff_ffffn)).toBe(PAGE_FAULT);
    expect(call('memset', block, 0n, 17n << 20n)).toBe(PAGE_FAULT);
    expect(call('DbgPrint', format, 1n)).toBe(0);
    // Four characters at the end of the block: nothing behind them is read.
    expect(call('strncmp', block + 0xffcn, block + 0xff8n, 4n)).toBe(0);
    expect(call('RtlCompareMemory', 0n, 0n, 0n)).toBe(0);
  });
});

describe.each(ARCHITECTURES)('a program that gives kernel addresses to exports on %s', (architecture) => {
  const call = (process: Process, module: string, name: string, args: readonly bigint[]) =>
    outcome(() => process.call(process.domain.services.address(module, name), args));

  it.each([
    ['ucrtbase.dll', 'strcpy'],
    ['ucrtbase.dll', 'memset'],
    ['ucrtbase.dll', 'wcscpy'],
    ['ntdll.dll', 'RtlInitUnicodeString'],
    ['kernel32.dll', 'QueryPerformanceCounter'],
    ['kernel32.dll', 'InitializeSListHead'],
    ['kernel32.dll', 'InitializeCriticalSection'],
    ['kernel32.dll', 'GetSystemInfo'],
  ])('%s!%s is an access violation, and the kernel is as it was', (module, name) => {
    using kernel = boot(architecture);
    const secret = kernel.system.allocateMemory('pool', 0x1000);
    kernel.system.addressSpace.write(secret, Buffer.from('kernel secret!!!'));
    const before = bytesAt(kernel, secret);
    const process = kernel.createProcess({ name: 'a.exe' });
    const own = process.domain.allocateMemory('pool', 64);
    const address = architecture === 'x86' ? 0xfff0_0000n : secret;
    expect(call(process, module, name, [address, own, 8n])).toBe(ACCESS_VIOLATION);
    expect(process.exitStatus).toBe(ACCESS_VIOLATION);
    expect(bytesAt(kernel, secret)).toBe(before);
  });
});

describe.each(ARCHITECTURES)('the heap on %s', (architecture) => {
  const crt = (process: Process, name: string, ...args: bigint[]) =>
    outcome(() => process.call64(process.domain.services.address('ucrtbase.dll', name), args));
  const HEAP_CORRUPTION = 0xc000_0374;

  it('gives a thread the same addresses whatever it has given back', () => {
    using kernel = boot(architecture);
    const process = kernel.createProcess({ name: 'a.exe' });
    const first = crt(process, 'malloc', 100n) as bigint;
    expect(crt(process, '_msize', first)).toBe(100n);
    crt(process, 'free', first);
    expect(crt(process, 'malloc', 100n)).toBe(first);
    expect(crt(process, 'malloc', 0x7000_0000n)).toBe(0n);
  });

  it('ends the process that frees twice', () => {
    using kernel = boot(architecture);
    const process = kernel.createProcess({ name: 'a.exe' });
    const block = crt(process, 'malloc', 32n) as bigint;
    crt(process, 'free', block);
    expect(crt(process, 'free', block)).toBe(HEAP_CORRUPTION);
  });

  it('finds overruns and uses after free when it is checked', () => {
    using kernel = boot(architecture, { heap: 'checked' });
    const open = () => kernel.createProcess({ name: 'a.exe' });
    const overrun = open();
    const long = crt(overrun, 'malloc', 32n) as bigint;
    expect(crt(overrun, 'memset', long, 0n, 33n)).toBe(ACCESS_VIOLATION);
    const short = open();
    const block = crt(short, 'malloc', 30n) as bigint;
    crt(short, 'memset', block, 0n, 31n);
    expect(crt(short, 'free', block)).toBe(HEAP_CORRUPTION);
    const stale = open();
    const freed = crt(stale, 'malloc', 16n) as bigint;
    crt(stale, 'free', freed);
    expect(crt(stale, 'memset', freed, 0n, 1n)).toBe(ACCESS_VIOLATION);
  });
});
