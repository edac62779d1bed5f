import { assemble } from 'hotpatch-lab/cpu';
import { describe, expect, it } from 'vitest';
import type { Kernel, Process } from '../../src/loader/index.js';
import { FileObject } from '../../src/loader/index.js';
import { ARCHITECTURES, type ArchitectureName, boot, described, placeCode, read } from './support.js';

/** The instructions with which each processor's ntdll calls a system service. */
const STUBS: Record<ArchitectureName, (number: number) => string> = {
  x64: (number) => `mov r10, rcx\nmov eax, ${number}\nsyscall\nret`,
  arm64: (number) => `svc #${number}\nret`,
  x86: (number) => `mov eax, ${number}\nlea edx, [esp + 4]\nint 0x2e\nret`,
};

async function caller(kernel: Kernel, process: Process) {
  const { name } = process.domain.architecture;
  const stubs = new Map<string, bigint>();
  for (const service of kernel.systemServices.names) {
    const code = await assemble(name, STUBS[name](kernel.systemServices.number(service)), { address: 0n });
    stubs.set(service, placeCode(process.domain, code));
  }
  return (service: string, ...parameters: (bigint | number)[]) =>
    Number(process.call(stubs.get(service) ?? 0n, parameters) & 0xffffffffn);
}

const CURRENT_PROCESS = -1n;
const MEM_COMMIT_RESERVE = 0x3000;
const MEM_RELEASE = 0x8000;

describe.each(ARCHITECTURES)('system services on %s', (architecture) => {
  async function start() {
    const kernel = boot(architecture);
    const process = kernel.createProcess({ name: 'a.exe' });
    const variables = process.domain.allocateMemory('pool', 0x1000);
    const call = await caller(kernel, process);
    const { pointerSize } = process.domain.architecture;
    const space = process.addressSpace;
    const get = (index: number) => {
      const at = variables + BigInt(8 * index);
      return pointerSize === 8 ? space.readU64(at) : BigInt(space.readU32(at));
    };
    const set = (index: number, value: bigint) => space.writeU64(variables + BigInt(8 * index), value);
    const at = (index: number) => variables + BigInt(8 * index);
    return { kernel, process, call, get, set, at, [Symbol.dispose]: () => kernel[Symbol.dispose]() };
  }

  it('give, protect and take virtual memory', async () => {
    using machine = await start();
    const { call, get, set, at, process } = machine;
    set(0, 0n);
    set(1, 0x1800n);
    expect(call('NtAllocateVirtualMemory', CURRENT_PROCESS, at(0), 0, at(1), MEM_COMMIT_RESERVE, 0x04)).toBe(
      0,
    );
    const base = get(0);
    expect(get(1)).toBe(0x2000n);
    process.addressSpace.writeU32(base, 7);
    expect(call('NtProtectVirtualMemory', CURRENT_PROCESS, at(0), at(1), 0x20, at(2))).toBe(0);
    expect(get(2) & 0xffffffffn).toBe(0x04n);
    expect(process.domain.table.query(base).protection).toBe('PAGE_EXECUTE_READ');
    expect(call('NtProtectVirtualMemory', CURRENT_PROCESS, at(0), at(1), 0x40, at(2))).toBe(0xc0000604);
    set(1, 0n);
    expect(call('NtFreeVirtualMemory', CURRENT_PROCESS, at(0), at(1), MEM_RELEASE)).toBe(0);
    expect(process.domain.table.query(base).state).toBe('free');
  });

  it('refuse what does not exist', async () => {
    using machine = await start();
    const { call, at, kernel, process } = machine;
    const code = await assemble(architecture, STUBS[architecture](999), { address: 0n });
    expect(process.call(placeCode(process.domain, code)) & 0xffffffffn).toBe(0xc000001cn);
    expect(call('NtClose', 0x1234)).toBe(0xc0000008);
    expect(call('NtAllocateVirtualMemory', 8, at(0), 0, at(1), MEM_COMMIT_RESERVE, 4)).toBe(0xc0000008);
    expect(call('NtQuerySystemInformation', 4711, at(0), 8, 0)).toBe(0xc0000003);
    expect(call('NtManageHotPatch', 9, at(0), 8, 0)).toBe(0xc00000bb);
    kernel.systemServices.define('NtManageHotPatch', ({ argument }) => Number(argument(0)) + 1);
    expect(call('NtManageHotPatch', 9, at(0), 8, 0)).toBe(10);
  });

  it('tell about the system, but not about VTL1', async () => {
    using machine = await start();
    const { kernel, call, at, process } = machine;
    if (architecture !== 'x86') {
      kernel.loadImage(...described(`${architecture}/base/packets.sys`));
      kernel.secureKernel?.loadImage(...described(`${architecture}/base/demo.dll`));
    }
    expect(call('NtQuerySystemInformation', 11, at(4), 4, at(0))).toBe(0xc0000004);
    expect(call('NtQuerySystemInformation', 11, at(4), 0x400, at(0))).toBe(0);
    const text = Buffer.from(process.addressSpace.read(at(4), 0x400)).toString('latin1');
    expect(text.includes('packets.sys')).toBe(architecture !== 'x86');
    expect(text).not.toContain('demo.dll');
    expect(process.addressSpace.readU32(at(4))).toBe(architecture === 'x86' ? 0 : 1);
    expect(call('NtQuerySystemInformation', 0, at(4), 64, at(0))).toBe(0);
    expect(process.addressSpace.readU32(at(4) + 8n)).toBe(0x1000);
  });

  it('map an image section into the process', async () => {
    using machine = await start();
    const { call, get, at, process } = machine;
    const file = process.handles.open(new FileObject('hpimport.dll', read(`${architecture}/hpimport.dll`)));
    expect(call('NtCreateSection', at(0), 0xd, 0, 0, 1, 0x1000000, file)).toBe(0);
    expect(call('NtMapViewOfSection', get(0), CURRENT_PROCESS, at(1), 0, 0, 0, at(2), 1, 0, 2)).toBe(0);
    expect(process.findImage('hpimport')).toMatchObject({ dllBase: get(1), initialized: false });
    expect(call('NtUnmapViewOfSection', CURRENT_PROCESS, get(1))).toBe(0);
    expect(process.images).toEqual([]);
    expect(call('NtUnmapViewOfSection', CURRENT_PROCESS, get(1))).toBe(0xc0000019);
    expect(call('NtCreateSection', at(0), 0xd, 0, 0, 1, 0, file)).toBe(0xc000000d);
  });

  it('end the process with all its threads and memory', async () => {
    using machine = await start();
    const { kernel, call, process } = machine;
    process.loadImage(...described(`${architecture}/base/demo.dll`));
    const other = process.createThread(process.findImage('demo')?.symbol('fib') ?? 0n, [10]);
    call('NtTerminateProcess', CURRENT_PROCESS, 0x40010004);
    expect(process.exitStatus).toBe(0x40010004);
    expect(kernel.processes).not.toContain(process);
    expect(kernel.threads).not.toContain(other);
    expect([...process.domain.table.entries()]).toEqual([]);
    expect(() => process.call(1n)).toThrow(/STATUS_PROCESS_IS_TERMINATING/);
  });
});
