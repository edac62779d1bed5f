import { assemble } from 'hotpatch-lab/cpu';
import { describe, expect, it } from 'vitest';
import type { Kernel, Process } from '../../loader/index.js';
import { FileObject, SectionObject } from '../../loader/index.js';
import {
  ARCHITECTURES,
  type ArchitectureName,
  boot,
  builder,
  described,
  memoryState,
  placeCode,
  read,
  returning,
} from './support.js';

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
    Number(process.call64(stubs.get(service) ?? 0n, parameters) & 0xffffffffn);
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
    expect(process.call64(placeCode(process.domain, code)) & 0xffffffffn).toBe(0xc000001cn);
    expect(call('NtClose', 0x1234)).toBe(0xc0000008);
    expect(call('NtAllocateVirtualMemory', 8, at(0), 0, at(1), MEM_COMMIT_RESERVE, 4)).toBe(0xc0000008);
    expect(call('NtQuerySystemInformation', 4711, at(0), 8, 0)).toBe(0xc0000003);
    expect(call('NtManageHotPatch', 9, at(0), 8, 0)).toBe(0xc00000bb);
    kernel.systemServices.define('NtManageHotPatch', ({ argument }) => Number(argument(0)) + 1);
    expect(call('NtManageHotPatch', 9, at(0), 8, 0)).toBe(10);
  });

  it('tell about the system, but not about VTL1', async () => {
    using machine = await start();
    const { kernel, call, at, get, process } = machine;
    if (architecture !== 'x86') {
      kernel.loadImage(...described(`${architecture}/base/packets.sys`));
      kernel.secureKernel?.loadImage(...described(`${architecture}/base/demo.dll`));
    }
    // No module, on x86: the count alone.
    const count = architecture === 'x86' ? 3 : 4;
    expect(call('NtQuerySystemInformation', 11, at(4), count, at(0))).toBe(0xc0000004);
    expect(call('NtQuerySystemInformation', 11, at(4), 0x400, at(0))).toBe(0);
    const text = Buffer.from(process.addressSpace.read(at(4), 0x400)).toString('latin1');
    expect(text.includes('packets.sys')).toBe(architecture !== 'x86');
    expect(text).not.toContain('demo.dll');
    expect(process.addressSpace.readU32(at(4))).toBe(architecture === 'x86' ? 0 : 1);
    const size = architecture === 'x86' ? 44 : 64;
    expect(call('NtQuerySystemInformation', 0, at(4), size, at(0))).toBe(0);
    expect(get(0) & 0xffffffffn).toBe(BigInt(size));
    expect(process.addressSpace.readU32(at(4) + 0x18n)).toBe(0x10000);
    expect(process.addressSpace.readU8(at(4) + BigInt(size === 64 ? 0x38 : 0x28))).toBe(1);
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
    expect(() => process.call64(1n)).toThrow(/STATUS_PROCESS_IS_TERMINATING/);
  });

  /** Arguments as words: a number, `$n` the address of variable n, and the names of places below. */
  const PLACES = ['null', 'kernel', 'readOnly', 'guard', 'reserved', 'wild', 'image', 'odd'] as const;
  type Word = number | `$${number}` | (typeof PLACES)[number];
  const ACCESS_VIOLATION = 0xc0000005;
  const CASES: readonly (readonly [service: string, words: readonly Word[], status: number])[] = [
    // NtQuerySystemInformation(Class, Buffer, Length, *ReturnLength)
    ...(['null', 'kernel', 'readOnly', 'guard', 'reserved', 'wild', 'image'] as const).map(
      (place) => ['NtQuerySystemInformation', [11, place, 0x400, '$0'], ACCESS_VIOLATION] as const,
    ),
    ['NtQuerySystemInformation', [11, '$4', 0x400, 'kernel'], ACCESS_VIOLATION],
    ['NtQuerySystemInformation', [11, '$4', 0x400, 'readOnly'], ACCESS_VIOLATION],
    ['NtQuerySystemInformation', [11, 'odd', 0x400, '$0'], 0x80000002],
    ['NtQuerySystemInformation', [11, '$4', 0x400, 'odd'], 0x80000002],
    ['NtQuerySystemInformation', [0, '$4', 0x20, '$0'], 0xc0000004],
    ['NtQuerySystemInformation', [0, '$4', 0x41, '$0'], 0xc0000004],
    ['NtQuerySystemInformation', [0, 0, 0, 0], 0xc0000004],
    ['NtQuerySystemInformation', [69, '$4', 0x400, 0], 0xc0000002],
    // NtAllocateVirtualMemory(Process, *Base, ZeroBits, *Size, Type, Protect)
    ['NtAllocateVirtualMemory', [-1, 'null', 0, '$1', 0x3000, 4], ACCESS_VIOLATION],
    ['NtAllocateVirtualMemory', [-1, '$0', 0, 'kernel', 0x3000, 4], ACCESS_VIOLATION],
    ['NtAllocateVirtualMemory', [-1, 'readOnly', 0, '$1', 0x3000, 4], ACCESS_VIOLATION],
    ['NtAllocateVirtualMemory', [-1, '$0', 0, '$1', 0x3000, 3], 0xc0000045],
    ['NtAllocateVirtualMemory', [-1, '$0', 0, '$1', 0x3000, 0x40], 0xc0000604],
    ['NtAllocateVirtualMemory', [-1, '$0', 0, '$1', 0, 4], 0xc00000f3],
    ['NtAllocateVirtualMemory', [-1, '$0', 0, '$1', 0x3001, 4], 0xc00000f3],
    ['NtAllocateVirtualMemory', [-1, '$0', 0, '$2', 0x3000, 4], 0xc00000f2],
    ['NtAllocateVirtualMemory', [-1, '$3', 0, '$1', 0x3000, 4], 0xc0000018],
    ['NtAllocateVirtualMemory', [-1, '$5', 0, '$1', 0x3000, 4], 0xc00000f0],
    ['NtAllocateVirtualMemory', [-1, '$0', 0, '$6', 0x3000, 4], 0xc000012d],
    ['NtAllocateVirtualMemory', [-1, '$0', 0, '$5', 0x3000, 4], 0xc000012d],
    ['NtAllocateVirtualMemory', [-1, '$3', 0, '$5', 0x3000, 4], 0xc00000f2],
    // NtFreeVirtualMemory(Process, *Base, *Size, Type)
    ['NtFreeVirtualMemory', [8, '$0', '$1', 0x8000], 0xc0000008],
    ['NtFreeVirtualMemory', [-1, 'kernel', '$1', 0x8000], ACCESS_VIOLATION],
    ['NtFreeVirtualMemory', [-1, '$3', '$1', 0x1234], 0xc00000f2],
    ['NtFreeVirtualMemory', [-1, '$7', '$1', 0x8000], 0xc00000a0],
    ['NtFreeVirtualMemory', [-1, '$8', '$2', 0x8000], 0xc000001b],
    ['NtFreeVirtualMemory', [-1, '$0', '$1', 0x8000], 0xc00000f0],
    // NtProtectVirtualMemory(Process, *Base, *Size, NewProtect, *OldProtect)
    ['NtProtectVirtualMemory', [8, '$3', '$1', 4, '$9'], 0xc0000008],
    ['NtProtectVirtualMemory', [-1, 'null', '$1', 4, '$9'], ACCESS_VIOLATION],
    ['NtProtectVirtualMemory', [-1, '$3', 'kernel', 4, '$9'], ACCESS_VIOLATION],
    ['NtProtectVirtualMemory', [-1, '$3', '$1', 2, 'readOnly'], ACCESS_VIOLATION],
    ['NtProtectVirtualMemory', [-1, '$3', '$1', 0x80, '$9'], 0xc0000604],
    ['NtProtectVirtualMemory', [-1, '$3', '$1', 6, '$9'], 0xc0000045],
    ['NtProtectVirtualMemory', [-1, '$7', '$1', 4, '$9'], 0xc000002d],
    ['NtProtectVirtualMemory', [-1, '$3', '$2', 4, '$9'], 0xc00000f1],
    ['NtProtectVirtualMemory', [-1, '$5', '$1', 4, '$9'], 0xc00000f0],
    // NtCreateSection(*Handle, Access, Attributes, MaximumSize, Protection, Attributes, File)
    ['NtCreateSection', ['kernel', 0xd, 0, 0, 1, 0x1000000, 4], ACCESS_VIOLATION],
    ['NtCreateSection', ['readOnly', 0xd, 0, 0, 1, 0x1000000, 4], ACCESS_VIOLATION],
    ['NtCreateSection', ['$0', 0xd, 0, 0, 1, 0x1000000, 0x44], 0xc0000008],
    ['NtCreateSection', ['$0', 0xd, 0, 0, 1, 0x1000000, 8], 0xc0000008],
    ['NtCreateSection', ['$0', 0xd, 0, 0, 1, 0x8000000, 4], 0xc000000d],
    // NtMapViewOfSection(Section, Process, *Base, …, *ViewSize, …)
    ['NtMapViewOfSection', [4, -1, '$0', 0, 0, 0, '$1', 1, 0, 2], 0xc0000008],
    ['NtMapViewOfSection', [8, 12, '$0', 0, 0, 0, '$1', 1, 0, 2], 0xc0000008],
    ['NtMapViewOfSection', [8, -1, 'null', 0, 0, 0, '$1', 1, 0, 2], ACCESS_VIOLATION],
    ['NtMapViewOfSection', [8, -1, '$0', 0, 0, 0, 'kernel', 1, 0, 2], ACCESS_VIOLATION],
    ['NtMapViewOfSection', [12, -1, '$0', 0, 0, 0, '$1', 1, 0, 2], 0xc0000045],
    ['NtUnmapViewOfSection', [-1, '$0'], 0xc0000019],
    ['NtUnmapViewOfSection', [-1, 'kernel'], 0xc0000019],
    ['NtUnmapViewOfSection', [8, 'image'], 0xc0000008],
    ['NtDelayExecution', [0, 'kernel'], ACCESS_VIOLATION],
  ];

  it('refuse bad arguments, and leave everything as it was', async () => {
    using machine = await start();
    const { kernel, call, set, at, process } = machine;
    const image = process.loadImage(...described(`${architecture}/hpimport.dll`));
    const { table, pool } = process.domain;
    const page = (protection: 'PAGE_READONLY' | 'PAGE_READWRITE', guard = false) => {
      const address = pool.region.allocate(0x1000);
      table.commit(address, 1, protection, { guard });
      return address;
    };
    const reserved = pool.region.allocate(0x1000);
    table.reserve(reserved, 1);
    const places = {
      null: 0n,
      kernel: architecture === 'x86' ? 0xfffe0000n : kernel.system.pool.allocate(0x1000),
      readOnly: page('PAGE_READONLY'),
      guard: page('PAGE_READWRITE', true),
      reserved,
      wild: pool.region.allocate(0x1000),
      image: image.address(0x1000),
      odd: at(4) + 2n,
    };
    const end = table.range.end;
    const values = [
      0n,
      0x1000n,
      0n,
      page('PAGE_READWRITE'),
      0n,
      end,
      end - 0x20000n,
      places.wild,
      image.dllBase,
    ];
    values.forEach((value, index) => {
      const at32 = at(index);
      if (architecture === 'x86') process.addressSpace.writeU32(at32, Number(value));
      else set(index, value);
    });
    process.handles.open(new FileObject('hpimport.dll', read(`${architecture}/hpimport.dll`)));
    process.handles.open(new SectionObject(image.image, { name: 'a.dll' }));
    process.handles.open(
      new SectionObject(
        builder(architecture).section('.text', 0xe0000020).code('f', returning(architecture, 1)).build()
          .image,
        { name: 'bad.dll' },
      ),
    );
    const before = memoryState(kernel);
    const handles = process.handles.size;
    const wrong: string[] = [];
    for (const [service, words, status] of CASES) {
      const parameters = words.map((word) => {
        if (typeof word === 'number') return word < 0 ? CURRENT_PROCESS : BigInt(word);
        return word.startsWith('$') ? at(Number(word.slice(1))) : places[word as (typeof PLACES)[number]];
      });
      const found = call(service, ...parameters);
      if (found !== status) wrong.push(`${service} ${words.join()}: 0x${found.toString(16)}`);
      // ReturnLength is written even when the buffer is too small.
      if (service === 'NtQuerySystemInformation') set(0, 0n);
    }
    expect(wrong).toEqual([]);
    expect(memoryState(kernel)).toBe(before);
    expect(process.handles.size).toBe(handles);
    expect(process.images).toEqual([image]);
  });
});

describe.each(ARCHITECTURES)('a simulated export on %s', (architecture) => {
  it.each([
    ['memset', 'null', /access violation: write of .*00000000 by memset, called from/],
    ['memset', 'readOnly', /access violation: write of .* by memset/],
    ['memcpy', 'null', /access violation: read of .*00000000 by memcpy/],
  ] as const)(
    '%s given a bad address (%s) faults like the code that it stands for',
    (name, place, message) => {
      using kernel = boot(architecture);
      const process = kernel.createProcess({ name: 'a.exe' });
      const address = process.domain.pool.region.allocate(0x1000);
      process.domain.table.commit(address, 1, 'PAGE_READONLY');
      const good = process.heap.allocate(16, 0, { fill: 0, quota: false });
      const bad = place === 'null' ? 0n : address;
      const parameters = name === 'memset' ? [bad, 1, 16] : [good, bad, 16];
      const target = process.domain.services.address('ntdll.dll', name);
      expect(() => process.call64(target, parameters)).toThrow(message);
      expect(process.exitStatus).toBe(0xc0000005);
    },
  );
});
