import {
  CodeInformation,
  encodeCodeInfo,
  encodeHandles,
  encodeNames,
  FLG_HOTPATCH,
  LDR_HOT_PATCH_ROUTINE,
} from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { buildPatch, nearHooks, run, setSystemInformation } from './support.js';

const PATH = 'C:\\WINDOWS\\hotpatch\\patch.dll';

const SUCCESS = 0;

async function withProcess(processor: 'x86' | 'x64' = 'x64', privileges: readonly string[] = []) {
  const running = await run({ processor });
  const process = running.loaded[0]?.domain.process;
  if (process === undefined) throw new Error('no process');
  for (const privilege of privileges) process.privileges.add(privilege);
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
      const other = running.loaded[1]?.domain.process;
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
    expect(running.lab.kernel.call(routine, [address], { domain: process.domain })).toBe(0n);
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

  it('handles that lead to no file are refused', async () => {
    using one = await withProcess('x64', ['SeRestorePrivilege']);
    const { process } = one;
    for (const flag of [MAP_ATOMIC_SWAP, RENAME_INFO])
      expect(setSystemInformation(process, encodeHandles(flag, [0n, 4n, 8n])).status).toBe(0xc0000008);
  });

  it('KernelInfo patches a driver and takes it back', async () => {
    using running = await run({ processor: 'x64', kind: 'driver' });
    const process = running.lab.createProcess('update.exe');
    process.privileges.add('SeLoadDriverPrivilege');
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
      const patch = engine.loadPatch(image);
      for (const [index, one] of loaded.entries())
        expect(patch.applications[index]?.loaded.contains(one.readPointer(slot))).toBe(true);
      engine.disable(patch);
      expect(pointer()).toEqual(['target!f', 'target!f']);
    },
  );
});
