import { type FileSystem, KernelError, type Process } from 'hotpatch-lab';
import { FLG_HOTPATCH } from 'hotpatch-lab/engine';
import { describe, expect, it } from 'vitest';
import { CALLERS, Machine, SHARE_ALL } from './machine.js';

const { MAP_ATOMIC_SWAP, RENAME_INFO, RELOAD_NTDLL } = FLG_HOTPATCH;
const SUCCESS = 0;

/** What the two requests do to the disk, and whether there is a file of that name before each of it. */
const REQUESTS = [
  { request: 'MAP_ATOMIC_SWAP', flag: MAP_ATOMIC_SWAP, operations: ['swap'], isThere: [true] },
  {
    request: 'RENAME_INFO',
    flag: RENAME_INFO,
    operations: ['rename', 'rename', 'rename'],
    isThere: [true, false, true],
  },
];

describe.each(CALLERS)('files that change names, for $caller', (caller) => {
  it.each(REQUESTS)('$request exchanges two files, one of them in use', async (row) => {
    using machine = await Machine.boot(caller);
    const { disk, shell, shellNew } = machine;
    const [old, fixed] = [disk.read(shell), disk.read(shellNew)];
    const since = disk.operations.length;
    const isThere: boolean[] = [];
    using _watch = disk.onOperation(() => isThere.push(disk.exists(shell)));
    expect(machine.exchange(row.flag, shell, shellNew)).toBe(SUCCESS);
    expect(machine.operations(since)).toEqual(row.operations);
    expect(isThere).toEqual(row.isThere);
    expect([disk.read(shell), disk.read(shellNew)]).toEqual([fixed, old]);
    expect([disk.isMapped(shell), disk.isMapped(shellNew)]).toEqual([false, true]);
    expect(disk.paths).toHaveLength(4);
  });

  it.each(REQUESTS)('$request needs SeRestorePrivilege', async ({ flag }) => {
    using machine = await Machine.boot(caller, ['SeLoadDriverPrivilege']);
    const before = machine.contents();
    expect(machine.exchange(flag, machine.shell, machine.shellNew)).toBe(0xc0000061);
    expect(machine.contents()).toEqual(before);
  });

  it('nobody opens a file in between without sharing delete', async () => {
    using machine = await Machine.boot(caller);
    const { disk, shell, shellNew } = machine;
    const { handles } = machine.open([shell, shellNew]);
    const tried: string[] = [];
    using _watch = disk.onOperation(({ text }) => {
      for (const path of disk.paths.filter((name) => name.startsWith(shell.slice(0, -4))))
        expect(() => disk.open(path, { access: 'read' })).toThrow('STATUS_SHARING_VIOLATION');
      tried.push(text);
    });
    expect(machine.call(RENAME_INFO, handles)).toBe(SUCCESS);
    expect(tried).toHaveLength(3);
  });

  it('MAP_ATOMIC_SWAP is done or not done when the power fails, RENAME_INFO can be half done', async () => {
    using machine = await Machine.boot(caller);
    const { disk, shell, shellNew } = machine;
    const before = machine.contents();
    const { handles } = machine.open([shell, shellNew]);
    failAt(disk, 0, new Error('power failure'));
    expect(() => machine.call(MAP_ATOMIC_SWAP, handles)).toThrow('power failure');
    expect(machine.contents()).toEqual(before);
    failAt(disk, 1, new Error('power failure'));
    expect(() => machine.call(RENAME_INFO, handles)).toThrow('power failure');
    expect(disk.exists(shell)).toBe(false);
  });
});

/** Handles that neither request accepts, and what it answers. */
const REFUSALS: readonly {
  readonly what: string;
  readonly status: { readonly swap: number; readonly rename: number };
  handles(machine: Machine): number[];
}[] = [
  {
    what: 'files of different folders',
    status: { swap: 0xc000000d, rename: 0xc000000d },
    handles(machine) {
      const elsewhere = 'C:\\WINDOWS\\shell.new.dll';
      machine.disk.write(elsewhere, Uint8Array.of(1));
      return machine.open([machine.shell, elsewhere]).handles;
    },
  },
  {
    what: 'one handle twice',
    status: { swap: 0xc000000d, rename: 0xc000000d },
    handles(machine) {
      const { handles } = machine.open([machine.shell]);
      return [...handles, ...handles];
    },
  },
  {
    what: 'two handles of one file',
    status: { swap: 0xc000000d, rename: 0xc000000d },
    handles: (machine) => machine.open([machine.shell, machine.shell]).handles,
  },
  {
    what: 'a handle that was closed',
    status: { swap: 0xc0000008, rename: 0xc0000008 },
    handles(machine) {
      const { handles } = machine.open([machine.shell, machine.shellNew]);
      machine.process.handles.close(handles[1] ?? 0);
      return handles;
    },
  },
  {
    what: 'a file that was closed',
    status: { swap: 0xc0000008, rename: 0xc0000008 },
    handles(machine) {
      const { files, handles } = machine.open([machine.shell, machine.shellNew]);
      files[0]?.close();
      return handles;
    },
  },
  {
    what: 'a handle of a process',
    status: { swap: 0xc0000024, rename: 0xc0000024 },
    handles: (machine) => [
      ...machine.open([machine.shell]).handles,
      machine.process.handles.open(machine.process),
    ],
  },
  {
    what: 'a handle of nothing',
    status: { swap: 0xc0000008, rename: 0xc0000008 },
    handles: (machine) => [0x4444, ...machine.open([machine.shell]).handles],
  },
  // Whoever shares no `delete` keeps others from opening the file for it: there are handles for reading only.
  ...(['shell', 'shellNew'] as const).map((file) => ({
    what: `somebody has ${file} open without sharing delete`,
    status: { swap: 0xc0000043, rename: 0xc0000022 },
    handles(machine: Machine) {
      machine.disk.open(machine[file], { access: 'read', share: ['read', 'write'] });
      return machine.open([machine.shell, machine.shellNew], { ...SHARE_ALL, access: 'read' }).handles;
    },
  })),
];

describe.each(CALLERS)('handles that no file is renamed by, for $caller', (caller) => {
  it.each(REFUSALS)('$what', async ({ status, handles }) => {
    using machine = await Machine.boot(caller);
    const given = handles(machine);
    const before = machine.contents();
    const since = machine.disk.operations.length;
    expect(machine.call(MAP_ATOMIC_SWAP, given)).toBe(status.swap);
    expect(machine.call(RENAME_INFO, given)).toBe(status.rename);
    expect(machine.contents()).toEqual(before);
    expect(machine.operations(since)).toEqual([]);
  });
});

/** Renames that are refused after others were made, and the operations that this takes. */
const HALF_DONE: readonly {
  readonly what: string;
  readonly status: number;
  readonly operations: readonly string[];
  handles(machine: Machine): number[];
}[] = [
  {
    what: 'the first: the name for the old file is taken',
    status: 0xc0000035,
    operations: [],
    handles(machine) {
      machine.disk.write(`${machine.shell}.cp`, Uint8Array.of(1));
      return machine.open([machine.shell, machine.shellNew]).handles;
    },
  },
  {
    what: 'the second: the new file is open for reading only',
    status: 0xc0000022,
    operations: ['rename', 'rename'],
    handles: (machine) => [
      ...machine.open([machine.shell]).handles,
      ...machine.open([machine.shellNew], { ...SHARE_ALL, access: 'read' }).handles,
    ],
  },
  {
    what: 'the third: the disk refuses it',
    status: 0xc0000022,
    operations: ['rename', 'rename', 'rename', 'rename'],
    handles(machine) {
      const error = {
        rule: 'file.access',
        status: 'STATUS_ACCESS_DENIED',
        message: 'no more renames',
      } as const;
      failAt(machine.disk, 2, new KernelError(error));
      return machine.open([machine.shell, machine.shellNew]).handles;
    },
  },
];

describe.each(CALLERS)(
  'RENAME_INFO takes back what it has done when a rename is refused, for $caller',
  (caller) => {
    it.each(HALF_DONE)('$what', async ({ status, operations, handles }) => {
      using machine = await Machine.boot(caller);
      const given = handles(machine);
      const before = machine.contents();
      const since = machine.disk.operations.length;
      expect(machine.call(RENAME_INFO, given)).toBe(status);
      expect(machine.contents()).toEqual(before);
      expect(machine.operations(since)).toEqual(operations);
    });
  },
);

describe.each(CALLERS)('RELOAD_NTDLL, for $caller', (caller) => {
  it('makes processes that start later map the new ntdll.dll', async () => {
    using machine = await Machine.boot(caller);
    const { disk, ntdll, ntdllNew, process } = machine;
    expect(machine.exchange(MAP_ATOMIC_SWAP, ntdll, ntdllNew)).toBe(SUCCESS);
    const before = machine.start('before.exe');
    expect(machine.call(RELOAD_NTDLL)).toBe(SUCCESS);
    const later = machine.start('later.exe');
    expect([process, before, later].map(readsTooMuch)).toEqual([true, true, false]);
    for (const running of [process, before]) {
      expect(() => disk.delete(ntdllNew)).toThrow('STATUS_CANNOT_DELETE');
      running.terminate();
    }
    disk.delete(ntdllNew);
  });

  it('needs SeLoadDriverPrivilege', async () => {
    using machine = await Machine.boot(caller, ['SeRestorePrivilege']);
    machine.exchange(MAP_ATOMIC_SWAP, machine.ntdll, machine.ntdllNew);
    expect(machine.call(RELOAD_NTDLL)).toBe(0xc0000061);
    expect(readsTooMuch(machine.start('later.exe'))).toBe(true);
  });
});

/** The old RtlpHashBytes reads one byte behind those that it is given. */
function readsTooMuch(process: Process): boolean {
  const ntdll = process.findImage('ntdll.dll');
  if (ntdll === undefined) throw new Error(`${process.name} has no ntdll.dll`);
  const bytes = process.domain.allocateMemory('pool', 8);
  const hash = (last: number) => {
    process.addressSpace.write(bytes, Uint8Array.of(1, 2, 3, last));
    return process.call64(ntdll.symbol('RtlpHashBytes'), [bytes, 3]);
  };
  return hash(4) !== hash(5);
}

/** What the disk does instead of an operation, counted from now. */
function failAt(disk: FileSystem, index: number, error: Error): void {
  let count = 0;
  disk.onOperation(() => {
    if (count++ === index) throw error;
  });
}
