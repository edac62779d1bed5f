import { BugCheck, GuestCrash, Lab } from 'hotpatch-lab';
import { assemble } from 'hotpatch-lab/cpu';
import type { Kernel } from 'hotpatch-lab/loader';
import { describe, expect, it } from 'vitest';
import { fixture } from '../support.js';
import { boot, builder, described, KERNEL_ARCHITECTURES } from './support.js';

const STOPPED = /the system has stopped with bugcheck .*systemStopped, STATUS_SHUTDOWN_IN_PROGRESS/;

/** Endless, and it counts in memory: `for (;;) ++*counter;` */
const COUNTS = {
  x64: 'again: inc dword ptr [rcx]; jmp again',
  arm64: 'again: ldr w1, [x0]; add w1, w1, #1; str w1, [x0]; b again',
} as const;
const STORES_AT_NULL = {
  x64: 'xor eax, eax; mov dword ptr [rax], eax; ret',
  arm64: 'mov x1, xzr; str wzr, [x1]; ret',
} as const;

const bugChecks = (kernel: Kernel) =>
  kernel.events.all.flatMap(({ kind, text }) => (kind === 'bugCheck' ? [text] : []));

describe.each(KERNEL_ARCHITECTURES)('after a bug check nothing runs any more, on %s', (architecture) => {
  const code = async (kernel: Kernel, source: string) => {
    const bytes = await assemble(architecture, source, { address: 0n });
    const address = kernel.system.allocateMemory('pool', bytes.length);
    kernel.system.addressSpace.write(address, bytes);
    kernel.system.table.protect(address & ~0xfffn, 1, 'PAGE_EXECUTE_READ');
    return address;
  };

  it('not the threads of other processors either', async () => {
    using kernel = boot(architecture, { processors: 2 });
    const counter = kernel.system.allocateMemory('pool', 4);
    const counting = kernel.createThread(await code(kernel, COUNTS[architecture]), [counter]);
    const crashing = kernel.createThread(0n, [], { domain: kernel.system });
    expect(() => kernel.run({ until: counting.returns() })).toThrow(BugCheck);
    expect(crashing.crash?.bugCheck).toBe(kernel.bugChecks.current);
    const count = () => kernel.system.addressSpace.readU32(counter);
    const before = count();
    const { instructions } = counting;
    for (const attempt of [
      () => kernel.run({ until: counting.returns() }),
      () => kernel.run({ instructions: 100 }),
      () => kernel.run(),
      () => kernel.call(counting.startAddress, [counter]),
      () => kernel.scheduler.runThread(counting, 10),
    ])
      expect(attempt).toThrow(STOPPED);
    expect([count(), counting.instructions]).toEqual([before, instructions]);
    expect(bugChecks(kernel)).toHaveLength(1);
  });

  it('a run without a wish ends where it happens, and says with what', () => {
    using kernel = boot(architecture);
    const crashing = kernel.createThread(0n, [], { domain: kernel.system });
    expect(kernel.run()).toEqual({ reason: 'bugCheck', bugCheck: crashing.crash?.bugCheck });
  });

  it('when DriverEntry is what fails; the image stays for who looks at it', async () => {
    using kernel = boot(architecture);
    const bytes = await assemble(architecture, STORES_AT_NULL[architecture], { address: 0n });
    const driver = builder(architecture, { name: 'bad.sys', subsystem: 'NATIVE', dll: false })
      .code('DriverEntry', bytes)
      .entryPoint('DriverEntry')
      .build();
    expect(() => kernel.loadImage(driver.image, { domain: kernel.system, name: 'bad.sys' })).toThrow(
      GuestCrash,
    );
    const [bad] = kernel.system.images;
    expect(bad?.baseDllName).toBe('bad.sys');
    expect(Buffer.from(bad?.codeBytes() ?? []).includes(Buffer.from(bytes))).toBe(true);
    expect(() => kernel.loadImage(...described(`${architecture}/base/packets.sys`))).toThrow(STOPPED);
    expect(() => kernel.createProcess({ name: 'late.exe' })).toThrow(STOPPED);
    expect(bugChecks(kernel)).toHaveLength(1);
  });

  it('when the callout of a hotpatch fails too late', () => {
    using lab = Lab.boot({ architecture });
    const driver = lab.loadDriver(fixture(`${architecture}/base/callout.sys`));
    lab.call(driver.symbol('FailCalloutInPhase'), [1]);
    const patched = () => lab.loadHotPatch(fixture(`${architecture}/patch/callout_hp.sys`));
    expect(patched).toThrow(/0x48501b/);
    expect(bugChecks(lab.kernel)).toEqual([expect.stringMatching(/MEMORY_MANAGEMENT 0x1a \(0x48501b/)]);
    expect(() => lab.call(driver.symbol('CalloutPhasesSeen'))).toThrow(STOPPED);
    expect(patched).toThrow(STOPPED);
    // What it was in the middle of stays as it was: nothing was rolled back.
    expect(driver.codeBytes()).not.toEqual(driver.codeBytesBeforePatch);
  });

  it('when PatchGuard has found something', () => {
    using lab = Lab.boot({ architecture });
    const driver = lab.loadDriver(fixture(`${architecture}/base/packets.sys`));
    const { addressSpace, machine } = driver.domain;
    machine.writeCode(addressSpace, driver.symbol('Checksum'), Uint8Array.of(0, 0, 0, 0), {
      writer: 'alias',
    });
    expect(() => lab.kernel.patchGuard.check()).toThrow(BugCheck);
    expect(() => lab.call(driver.symbol('Checksum'), [0, 0])).toThrow(STOPPED);
  });
});

describe.each(KERNEL_ARCHITECTURES)('BAD_POOL_CALLER on %s', (architecture) => {
  const TAG = 0x67617431; // '1tag'

  /** Parameters by bugcodes.h, "0xC2": what was wrong, the address, and for a tag both of them. */
  it.each([
    { what: 'freed twice', times: 2, offset: 0n, tag: TAG, parameters: (at: bigint) => [0x46n, at, 0n, 0n] },
    {
      what: 'in the midst of a block',
      times: 1,
      offset: 16n,
      tag: TAG,
      parameters: (at: bigint) => [0x46n, at, 0n, 0n],
    },
    {
      what: 'with another tag',
      times: 1,
      offset: 0n,
      tag: TAG + 1,
      parameters: (at: bigint) => [0xan, at, BigInt(TAG), BigInt(TAG + 1)],
    },
  ])('$what: the system stops', ({ times, offset, tag, parameters }) => {
    using kernel = boot(architecture);
    const block = kernel.pool.allocate(64, TAG, { fill: 0, quota: false }) + offset;
    const free = kernel.system.services.address('ntoskrnl.exe', 'ExFreePoolWithTag');
    for (let done = 1; done < times; done++) kernel.call(free, [block, tag]);
    expect(() => kernel.call(free, [block, tag])).toThrow(GuestCrash);
    expect(kernel.bugChecks.current).toMatchObject({ code: 0xc2, parameters: parameters(block) });
    expect(() => kernel.call(free, [block, tag])).toThrow(STOPPED);
  });
});
