import { FileSystem, type Process } from 'hotpatch-lab';
import {
  CodeInformation,
  encodeCodeInfo,
  encodeHandles,
  encodeNames,
  FLG_HOTPATCH,
  LDR_HOT_PATCH_ROUTINE,
  SYSTEM_HOTPATCH_INFORMATION,
} from 'hotpatch-lab/engine';
import { describe, expect, it } from 'vitest';
import { processOf } from '../../../loader/index.js';
import { buildPatch, buildTarget, nearHooks, type Running, run, setSystemInformation } from './support.js';

const PATH = 'C:\\WINDOWS\\hotpatch\\patch.dll';

const SUCCESS = 0;

async function withProcess(processor: 'x86' | 'x64' = 'x64', privileges: readonly string[] = []) {
  const running = await run({ processor });
  const process = processOf(running.loaded[0]?.domain);
  if (process === undefined) throw new Error('no process');
  process.enablePrivileges(...privileges);
  const image = buildPatch(running.target, { processor });
  running.lab.kernel.files.add('patch.dll', image);
  const { pointerSize } = process.domain.architecture;
  const names = (flags: number, name = PATH, targetProcess?: bigint) =>
    encodeNames(flags, { name }, { pointerSize, ...(targetProcess === undefined ? {} : { targetProcess }) });
  return { running, process, names, pointerSize, [Symbol.dispose]: () => running[Symbol.dispose]() };
}

describe('NtSetSystemInformation(SystemHotpatchInformation), from guest code', () => {
  it.each([
    ['another class', { kind: 7 }, 0xc0000003],
    ['no room for a header', { length: 8 }, 0xc0000004],
    ['an InfoSize beyond the buffer', { length: 0x30 }, 0xc0000004],
  ])('%s', async (_, options, status) => {
    using one = await withProcess();
    expect(setSystemInformation(one.process, one.names(FLG_HOTPATCH.NAME_INFO), options).status).toBe(status);
  });

  const { KERNEL, NAME_INFO, INJECT_THREAD, ACTIVE, RELOAD_NTDLL, MAP_ATOMIC_SWAP, RENAME_INFO } =
    FLG_HOTPATCH;
  it.each([
    ['an unknown flag', 0x2, [], 0xc000000d],
    ['KERNEL without privilege', KERNEL + NAME_INFO, [], 0xc0000061],
    ['INJECT_THREAD without privilege', INJECT_THREAD, [], 0xc0000061],
    ['MAP_ATOMIC_SWAP without privilege', MAP_ATOMIC_SWAP, [], 0xc0000061],
    ['RENAME_INFO without privilege', RENAME_INFO, [], 0xc0000061],
    ['KERNEL without a name', KERNEL, ['SeLoadDriverPrivilege'], 0xc000000d],
    ['a driver that is not loaded', KERNEL + NAME_INFO + ACTIVE, ['SeLoadDriverPrivilege'], 0xc0000225],
    ['RELOAD_NTDLL without a disk', RELOAD_NTDLL, ['SeLoadDriverPrivilege'], 0xc00000bb],
  ] as const)('%s', async (_, flags, privileges, status) => {
    using one = await withProcess('x64', privileges);
    expect(setSystemInformation(one.process, one.names(flags)).status).toBe(status);
  });

  it.each(['x86', 'x64'] as const)(
    '%s: UserModeInfo patches the calling process, without ACTIVE it is disabled',
    async (processor) => {
      using one = await withProcess(processor);
      const { running, process, names } = one;
      expect(setSystemInformation(process, names(NAME_INFO + ACTIVE)).status).toBe(SUCCESS);
      expect(running.call()).toEqual([9, 1]);
      expect(setSystemInformation(process, names(NAME_INFO)).status).toBe(SUCCESS);
      expect(running.call()).toEqual([1, 1]);
      expect(setSystemInformation(process, names(NAME_INFO + ACTIVE, 'nothing.dll')).status).toBe(0xc0000034);
    },
  );

  it.each(['x86', 'x64'] as const)(
    '%s: InjectionInfo patches every process, or the one of a handle',
    async (processor) => {
      using one = await withProcess(processor, ['SeDebugPrivilege']);
      const { running, process, names } = one;
      const other = processOf(running.loaded[1]?.domain);
      if (other === undefined) throw new Error('no second process');
      const handle = BigInt(process.handles.open(other));
      expect(setSystemInformation(process, names(INJECT_THREAD + ACTIVE, PATH, handle)).status).toBe(SUCCESS);
      expect(running.call()).toEqual([1, 9]);
      expect(setSystemInformation(process, names(INJECT_THREAD + ACTIVE, PATH, 0x4444n)).status).toBe(
        0xc0000008,
      );
      expect(setSystemInformation(process, names(INJECT_THREAD + ACTIVE, PATH, 0n)).status).toBe(SUCCESS);
      expect(running.call()).toEqual([9, 9]);
    },
  );

  it('LdrHotPatchRoutine does the work for a thread that begins there', async () => {
    using one = await withProcess();
    const { running, process, names } = one;
    const buffer = names(NAME_INFO + ACTIVE);
    const address = process.domain.allocateMemory('pool', buffer.length);
    process.addressSpace.write(address, buffer);
    const routine = process.domain.services.address('ntdll.dll', LDR_HOT_PATCH_ROUTINE);
    expect(running.lab.kernel.call64(routine, [address], { domain: process.domain })).toBe(0n);
    expect(new CodeInformation(process.addressSpace, address, buffer.length, 8).patchingFinished).toBe(true);
    expect(running.call()).toEqual([9, 1]);
  });

  it('CodeInfo swaps bytes of the caller, and says when they are not what was expected', async () => {
    using one = await withProcess();
    const { running, process } = one;
    const entry = running.loaded[0]?.symbol('f') ?? 0n;
    const descriptor = {
      targetAddress: entry + 2n,
      code: Uint8Array.of(0xb8, 7),
      origCode: Uint8Array.of(0xb8, 1),
      validation: Uint8Array.of(0xb8, 1),
    };
    expect(setSystemInformation(process, encodeCodeInfo(ACTIVE, [descriptor])).status).toBe(SUCCESS);
    expect(running.call()).toEqual([7, 1]);
    const again = setSystemInformation(process, encodeCodeInfo(ACTIVE, [descriptor]));
    expect(again.status).toBe(0xc000003e);
    expect(again.flags & FLG_HOTPATCH.VERIFICATION_ERROR).not.toBe(0);
    const back = { ...descriptor, validation: Uint8Array.of(0xb8, 7) };
    expect(setSystemInformation(process, encodeCodeInfo(0, [back])).status).toBe(SUCCESS);
    expect(running.call()).toEqual([1, 1]);
    const nowhere = { ...descriptor, targetAddress: 0x12345n };
    expect(setSystemInformation(process, encodeCodeInfo(ACTIVE, [nowhere])).status).toBe(0xc0000005);
    expect(setSystemInformation(process, encodeCodeInfo(ACTIVE, [])).status).toBe(0xc000000d);
  });

  it.each([MAP_ATOMIC_SWAP, RENAME_INFO])(
    'flag %i: handles lead to files, where there is a disk',
    async (flag) => {
      using one = await withProcess('x64', ['SeRestorePrivilege']);
      const { running, process } = one;
      const other = BigInt(process.handles.open(process));
      const status = (handle: bigint) =>
        setSystemInformation(process, encodeHandles(flag, [0n, handle, 0x888n])).status;
      expect(status(0x444n)).toBe(0xc00000bb);
      running.engine.serve({ disk: new FileSystem() });
      expect(status(0x444n)).toBe(0xc0000008);
      expect(status(other)).toBe(0xc0000024);
    },
  );

  it('KernelInfo patches a driver and takes it back', async () => {
    using running = await run({ processor: 'x64', kind: 'driver' });
    const process = running.lab.createProcess('update.exe');
    process.enablePrivileges('SeLoadDriverPrivilege');
    running.lab.kernel.files.add(
      'patch.sys',
      buildPatch(running.target, { processor: 'x64', kind: 'driver' }),
    );
    const names = (flags: number) => encodeNames(flags, { name: 'patch.sys' });
    expect(setSystemInformation(process, names(KERNEL + NAME_INFO + ACTIVE)).status).toBe(SUCCESS);
    expect(running.call()).toEqual([9]);
    running.lab.kernel.patchGuard.check();
    expect(setSystemInformation(process, names(KERNEL + NAME_INFO)).status).toBe(SUCCESS);
    expect(running.call()).toEqual([1]);
  });
});

describe('SystemHotpatchInformation, whoever asks', () => {
  const { KERNEL, NAME_INFO, INJECT_THREAD, ACTIVE } = FLG_HOTPATCH;
  const stores = ({ lab }: Running) => lab.events.filter(({ kind }) => kind === 'store').length;

  it.each([
    { length: 0xf, status: 0xc0000004 },
    { length: 0x10, status: 0xc000000d },
  ])('a buffer of $length bytes', async ({ length, status }) => {
    using one = await withProcess();
    const buffer = new Uint8Array(length);
    new DataView(buffer.buffer).setUint32(4, length, true);
    expect(setSystemInformation(one.process, buffer).status).toBe(status);
  });

  it('an unknown flag, although everything else is right', async () => {
    using one = await withProcess();
    const { running, process } = one;
    const [code, origCode] = [Uint8Array.of(7), Uint8Array.of(1)];
    const targetAddress = (running.loaded[0]?.symbol('f') ?? 0n) + 3n;
    const descriptor = { targetAddress, code, origCode, validation: origCode };
    expect(setSystemInformation(process, encodeCodeInfo(ACTIVE + 2, [descriptor])).status).toBe(0xc000000d);
    expect(running.call()).toEqual([1, 1]);
    expect(setSystemInformation(process, encodeCodeInfo(ACTIVE, [descriptor])).status).toBe(SUCCESS);
    expect(running.call()).toEqual([7, 1]);
  });

  it.each([
    ['no file has', (buffer: Uint8Array) => buffer],
    [
      'leads out of the buffer',
      (buffer: Uint8Array) => {
        new DataView(buffer.buffer).setUint16(8, buffer.length, true);
        return buffer;
      },
    ],
  ])('a driver’s hotpatch with a name that %s', async (_, change) => {
    using one = await withProcess('x64', ['SeLoadDriverPrivilege']);
    const buffer = change(one.names(KERNEL + NAME_INFO + ACTIVE, 'nothing.sys'));
    expect(setSystemInformation(one.process, buffer).status).toBe(0xc0000034);
  });

  it('a session driver is patched in every session, or in none', async () => {
    using running = await run({ processor: 'x64', kind: 'driver' });
    const { lab, target } = running;
    const drivers = [0, 1].map(() =>
      lab.kernel.loadImage(target.image, {
        domain: lab.kernel.createSession().domain,
        symbols: target.symbols,
        initialize: false,
      }),
    );
    const process = lab.createProcess('update.exe');
    process.enablePrivileges('SeLoadDriverPrivilege');
    const patch = buildPatch(target, { processor: 'x64', kind: 'driver' });
    lab.kernel.files.add('patch.sys', patch);
    const ask = (active: number) =>
      setSystemInformation(process, encodeNames(KERNEL + NAME_INFO + active, { name: 'patch.sys' })).status;
    const call = () =>
      drivers.map((driver) => Number(lab.kernel.call64(driver.symbol('f'), [], { domain: driver.domain })));
    const [, second] = drivers;
    const result = (second?.symbol('f') ?? 0n) + 3n;
    const change = (value: number) =>
      second?.domain.machine.writeCode(second.domain.addressSpace, result, Uint8Array.of(value), {
        writer: 'vtl1',
      });
    change(5);
    const before = call();
    expect(ask(ACTIVE)).toBe(0xc000003e);
    expect(call()).toEqual(before);
    change(1);
    expect(ask(ACTIVE)).toBe(SUCCESS);
    expect(call()).toEqual([9, 9]);
    expect(ask(0)).toBe(SUCCESS);
    expect(call()).toEqual([1, 1]);
  });

  it('a thread is not injected for the hotpatch of a driver', async () => {
    using running = await run({ processor: 'x64', kind: 'driver' });
    const process = running.lab.createProcess('update.exe');
    process.enablePrivileges('SeDebugPrivilege');
    const patch = buildPatch(running.target, { processor: 'x64', kind: 'driver' });
    running.lab.kernel.files.add('patch.sys', patch);
    const buffer = encodeNames(INJECT_THREAD + ACTIVE, { name: 'patch.sys' }, { targetProcess: 0n });
    expect(setSystemInformation(process, buffer).status).toBe(0xc0000225);
    expect(running.call()).toEqual([1]);
  });

  it.each([NAME_INFO, INJECT_THREAD])('flag %i: what is in force already is left as it is', async (flag) => {
    using one = await withProcess('x64', ['SeDebugPrivilege']);
    const { running, process, names } = one;
    const ask = (active: number) => setSystemInformation(process, names(flag + active, PATH, -1n)).status;
    const states = [ACTIVE, ACTIVE, 0, 0, ACTIVE].map((active) => {
      const before = stores(running);
      const status = ask(active);
      const [patch, ...others] = running.engine.patches;
      return [
        status,
        stores(running) > before,
        running.call()[0],
        patch?.state,
        patch?.status.value,
        ...others,
      ];
    });
    expect(states).toEqual([
      [SUCCESS, true, 9, 'applied', SUCCESS],
      [SUCCESS, false, 9, 'applied', SUCCESS],
      [SUCCESS, true, 1, 'inactive', SUCCESS],
      [SUCCESS, false, 1, 'inactive', SUCCESS],
      [SUCCESS, true, 9, 'applied', SUCCESS],
    ]);
  });

  describe('called by the laboratory itself', () => {
    async function direct() {
      const one = await withProcess();
      const { domain } = one.process;
      const caller = { process: one.process, domain, pointerSize: 8 } as const;
      const { engine } = one.running;
      const at = (buffer: bigint) =>
        engine.setSystemInformation(caller, SYSTEM_HOTPATCH_INFORMATION, buffer, 0x100).name;
      return { ...one, engine, at };
    }

    it('answers with a status where there is no buffer', async () => {
      using one = await direct();
      expect(one.at(0x10n)).toBe('STATUS_ACCESS_VIOLATION');
    });

    it('leaves mistakes of the laboratory what they are', async () => {
      using one = await direct();
      const mistake = Object.assign(new TypeError('a mistake of the laboratory'), { status: 'its own' });
      class BrokenDisk extends FileSystem {
        override readImage(): never {
          throw mistake;
        }
      }
      one.engine.serve({ disk: new BrokenDisk() });
      const buffer = one.names(NAME_INFO + ACTIVE);
      const address = one.process.domain.allocateMemory('pool', buffer.length);
      one.process.addressSpace.write(address, buffer);
      expect(() => one.at(address)).toThrow(mistake);
      one.process.enablePrivileges('SeDebugPrivilege');
      one.process.addressSpace.writeU32(address, INJECT_THREAD);
      expect(() => one.at(address)).toThrow(mistake);
    });
  });
});

describe('pointers in data', () => {
  it.each(['x86', 'x64'] as const)(
    '%s: VA32 and VA64 hooks store the routine’s address, and give the old value back',
    async (processor) => {
      using running = await run({ processor });
      const { engine, target, loaded } = running;
      const type = processor === 'x86' ? 1 : 16;
      const slot = target.rva('table');
      const pointer = () => loaded.map((image) => image.describe(image.readPointer(slot)));
      const image = buildPatch(target, {
        processor,
        section: ({ good, layout }) => ({
          ...good,
          hooks: [
            { type, hookRva: slot, hotpRva: layout.rva('g') },
            ...nearHooks(target.rva('h'), layout.rva('g')),
          ],
        }),
      });
      expect(pointer()).toEqual(['target!f', 'target!f']);
      const patch = engine.load(image);
      for (const [index, one] of loaded.entries())
        expect(patch.applications[index]?.loaded.contains(one.readPointer(slot))).toBe(true);
      engine.unload(patch);
      expect(pointer()).toEqual(['target!f', 'target!f']);
    },
  );
});

describe('files that the system knows by name', () => {
  const { NAME_INFO, ACTIVE } = FLG_HOTPATCH;
  const ask = (process: Process, flags: number) => {
    const { pointerSize } = process.domain.architecture;
    return setSystemInformation(
      process,
      encodeNames(NAME_INFO + flags, { name: 'patch.dll' }, { pointerSize }),
    ).status;
  };

  it('of one name are one for each processor: a WOW64 process gets its own', async () => {
    using running = await run({ processor: 'x86', wow64: true, processes: 1 });
    const { lab, engine } = running;
    const wide = buildTarget('x64');
    const process = processOf(running.loaded[0]?.domain);
    const other = lab.createProcess('wide.exe');
    const module = other.loadImage(wide.image, { symbols: wide.symbols, initialize: false });
    if (process === undefined) throw new Error('no process');
    const results = () => [...running.call(), Number(other.call64(module.symbol('f')) & 0xffff_ffffn)];
    lab.kernel.files.add('patch.dll', buildPatch(wide, { processor: 'x64', result: 64 }));
    lab.kernel.files.add('patch.dll', buildPatch(running.target, { processor: 'x86', result: 32 }));
    expect(ask(process, ACTIVE)).toBe(SUCCESS);
    expect(results()).toEqual([32, 1]);
    expect(ask(other, ACTIVE)).toBe(SUCCESS);
    expect(results()).toEqual([32, 64]);
    expect(ask(process, 0)).toBe(SUCCESS);
    expect(ask(other, 0)).toBe(SUCCESS);
    expect(results()).toEqual([1, 1]);
    expect(engine.patches.map(({ state }) => state)).toEqual(['inactive', 'inactive']);
  });

  it('that exist for one processor only are found for a caller of another: a 64-bit process has them injected', async () => {
    using running = await run({ processor: 'x86', wow64: true, processes: 1 });
    const { lab } = running;
    const wide = lab.createProcess('updater.exe');
    wide.enablePrivileges('SeDebugPrivilege');
    wide.enablePrivileges('SeLoadDriverPrivilege');
    lab.kernel.files.add('patch.dll', buildPatch(running.target, { processor: 'x86', result: 32 }));
    const { INJECT_THREAD } = FLG_HOTPATCH;
    const inject = (flags: number) =>
      setSystemInformation(
        wide,
        encodeNames(INJECT_THREAD + flags, { name: 'patch.dll' }, { targetProcess: 0n }),
      ).status;
    expect(inject(ACTIVE)).toBe(SUCCESS);
    expect(running.call()).toEqual([32]);
    expect(inject(0)).toBe(SUCCESS);
    expect(running.call()).toEqual([1]);
  });

  it('that are replaced are other hotpatches', async () => {
    using running = await run({ processor: 'x64', processes: 1 });
    const process = processOf(running.loaded[0]?.domain);
    if (process === undefined) throw new Error('no process');
    for (const result of [11, 22]) {
      running.lab.kernel.files.add('patch.dll', buildPatch(running.target, { processor: 'x64', result }));
      expect(ask(process, ACTIVE)).toBe(SUCCESS);
      expect(running.call()).toEqual([result]);
    }
  });
});
