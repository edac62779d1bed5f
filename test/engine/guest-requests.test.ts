import { Lab } from 'hotpatch-lab';
import { layoutOf, ModernEngine } from 'hotpatch-lab/engine';
import { readImage } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { fixture, fixtureBytes } from '../support.js';
import { readFixture } from './kinds.js';

const PATH = '\\??\\C:\\Windows\\Hotpatch\\demo_hp.dll';

const WORLDS = [
  { name: 'an x64 process', architecture: 'x64', images: 'x64', wow64: false },
  { name: 'an ARM64 process', architecture: 'arm64', images: 'arm64', wow64: false },
  { name: 'a WOW64 process', architecture: 'x64', images: 'x86', wow64: true },
] as const;

interface Options {
  /** The engine patches the images of every process itself, or leaves that to their loaders. */
  readonly patchUserImages?: boolean;
  readonly hotPatchTableSize?: number;
  readonly awaitBootPatches?: boolean;
  readonly silo?: boolean;
}

describe.each(WORLDS)('NtManageHotPatch, called by code of $name', ({ architecture, images, wow64 }) => {
  async function boot({
    patchUserImages = true,
    hotPatchTableSize = 0x1000,
    awaitBootPatches = false,
    silo = false,
  }: Options = {}) {
    const lab = await Lab.boot({ architecture, hotPatchTableSize });
    const { kernel } = lab;
    const engine = new ModernEngine(kernel, { patchUserImages, awaitBootPatches });
    const process = kernel.createProcess({ name: 'tool.exe', wow64, silo });
    process.enablePrivileges('SeLoadDriverPrivilege');
    for (const name of ['hpimport.dll', 'base/demo.dll', 'manage.dll'])
      await lab.loadDll(process, fixture(`${images}/${name}`));
    const [demo, manage] = [process.findImage('demo'), process.findImage('manage')];
    if (demo === undefined || manage === undefined) throw new Error('not loaded');
    await lab.addFile(fixture(`${images}/patch/demo_hp.dll`));
    const { addressSpace, domain } = process;
    const allocate = (bytes: Uint8Array) => lab.allocate(bytes, { domain });
    const call = (name: string, ...parameters: (bigint | number)[]) =>
      Number(process.call64(manage.symbol(name), parameters) & 0xffff_ffffn);
    const identity = readFixture(`${images}/patch/demo_hp.dll`).image.hotPatch?.bases[0];
    if (identity === undefined) throw new Error('no hotpatch table');
    return {
      lab,
      engine,
      process,
      demo,
      allocate,
      call,
      identity: [identity.originalCheckSum, identity.originalTimeDateStamp] as const,
      path: () => allocate(Buffer.from(`${PATH}\0`, 'utf16le')),
      text: (at: bigint, bytes: number) => Buffer.from(addressSpace.read(at, bytes)).toString('utf16le'),
      leaf: () => Number(process.call64(demo.symbol('leaf_opaque'))),
      [Symbol.dispose]: () => lab[Symbol.dispose](),
    };
  }

  it('loads a patch, tells about it, and takes it back', async () => {
    using machine = await boot();
    const { call, demo, identity } = machine;
    expect(call('CountPatches')).toBe(0);
    expect(call('LoadPatch', machine.path(), 0, 0)).toBe(0);
    expect(machine.leaf()).toBe(43);
    expect(demo.hotPatchState).toBe('AppliedForward');
    expect(call('CountPatches')).toBe(1);

    const [text, facts] = [machine.allocate(new Uint8Array(0x100)), machine.allocate(new Uint8Array(16))];
    for (const whole of [0, 1]) {
      expect(call('ActivePatches', whole, text, 0x100, facts)).toBe(1);
      const values = [0, 1, 2, 3].map((index) =>
        machine.process.addressSpace.readU32(facts + BigInt(4 * index)),
      );
      expect(values).toEqual([...identity, 1, 2 * PATH.length]);
      expect(machine.text(text, 2 * PATH.length)).toBe(PATH);
    }
    expect(call('QuerySingle', ...identity, text, 4)).toBe(0xc0000023);
    expect(call('QuerySingle', ...identity, text, 0x100)).toBe(0);
    expect(call('QuerySingle', 1, 2, text, 0x100)).toBe(0xc0000225);

    expect(call('UnloadPatch', ...identity)).toBe(0);
    expect(machine.leaf()).toBe(42);
    expect(demo.codeBytes()).toEqual(demo.codeBytesBeforePatch);
    expect(call('UnloadPatch', ...identity)).toBe(0xc0000225);
  });

  it('is how the loader of the process applies a patch: section, view, backward, forward', async () => {
    using machine = await boot({ patchUserImages: false });
    const { call, demo } = machine;
    expect(call('NotifyHotPatch', demo.dllBase)).toBe(0xc0000225);
    expect(call('LoadPatch', machine.path(), 0, 0)).toBe(0x40000037);
    expect(machine.leaf()).toBe(42);
    expect(call('NotifyHotPatch', 0x1230000n)).toBe(0xc0000019);
    expect(call('NotifyHotPatch', demo.dllBase)).toBe(0);
    expect(machine.leaf()).toBe(43);
    expect(demo.hotPatchState).toBe('AppliedForward');
    expect(call('NotifyHotPatch', demo.dllBase)).toBe(0xc000042a);
  });

  it('says which identity the caller meant, when it is another', async () => {
    using machine = await boot();
    const [checkSum, timeDateStamp] = machine.identity;
    expect(machine.call('LoadPatch', machine.path(), checkSum, timeDateStamp + 1)).toBe(0xc0000059);
    expect(machine.call('LoadPatch', machine.path(), checkSum, timeDateStamp)).toBe(0);
  });

  it('needs the privilege, and a process of the host', async () => {
    using machine = await boot();
    machine.process.disablePrivileges('SeLoadDriverPrivilege');
    expect(machine.call('LoadPatch', machine.path(), 0, 0)).toBe(0xc0000061);
    expect(machine.call('CheckEnabled', 1, 0)).toBe(0);
    machine.process.enablePrivileges('SeLoadDriverPrivilege');
    using contained = await boot({ silo: true });
    expect(contained.call('LoadPatch', contained.path(), 0, 0)).toBe(0xc0000022);
    expect(machine.leaf()).toBe(42);
  });

  it('answers what is not a request', async () => {
    using machine = await boot();
    const { call, lab } = machine;
    expect(call('CheckEnabled', 2, 0)).toBe(0xc000000d);
    expect(call('CheckEnabled', 1, 12)).toBe(0xc0000004);
    expect(call('AnyClass', 11)).toBe(0xc0000003);
    expect(call('AnyClass', 0)).toBe(0xc0000004);
    expect(call('CheckEnabledAt', 0x10)).toBe(0xc0000005);
    const kernelMemory = lab.allocate(new Uint8Array(64));
    expect(call('CheckEnabledAt', BigInt.asUintN(wow64 ? 32 : 64, kernelMemory))).toBe(0xc0000005);
  });

  it('is refused where hotpatching is off, or not ready yet', async () => {
    using off = await boot({ hotPatchTableSize: 0 });
    expect(off.call('AnyClass', 11)).toBe(0xc00000bb);
    using early = await boot({ awaitBootPatches: true });
    expect(early.call('CheckEnabled', 1, 0)).toBe(0xc00000a3);
    expect(() => early.engine.load(readFixture(`${images}/patch/demo_hp.dll`).image)).toThrow(
      /hotPatching\.notReady, STATUS_DEVICE_NOT_READY/,
    );
    const image = readImage(fixtureBytes(`${images}/patch/demo_hp.dll`), { file: 'demo_hp.dll' });
    const [patch] = early.engine.registerBootPatches([{ image }]);
    expect([patch?.state, early.leaf(), early.call('CheckEnabled', 1, 0)]).toEqual(['applied', 43, 0]);
  });
});

describe('the structures of NtManageHotPatch', () => {
  /** docs/fidelity.md#ntmanagehotpatch. */
  it.each([
    ['loadPatch', 0x68, { patchPath: 0x08, sid: 0x18, checkSum: 0x5c, timeDateStamp: 0x60 }],
    ['unloadPatch', 0x50, { checkSum: 0x04, timeDateStamp: 0x08, sid: 0x0c }],
    ['queryPatches', 0x60, { sid: 0x04, patchCount: 0x48, patchPaths: 0x50, baseInfos: 0x58 }],
    ['queryActivePatches2', 0x28, { processHandle: 8, patchCount: 0x10, patchPaths: 0x18, baseInfos: 0x20 }],
    ['queryActivePatches', 0x30, { processHandle: 8, baseInfos: 0x20, sequenceNumbers: 0x28 }],
    [
      'applyImagePatch',
      0x20,
      { flags: 4, processHandle: 8, baseImageAddress: 0x10, patchImageAddress: 0x18 },
    ],
    ['querySinglePatch', 0x30, { processHandle: 8, base: 0x10, flags: 0x18, patchPath: 0x20 }],
    ['checkEnabled', 8, { flags: 4 }],
    ['createPatchSection', 0x28, { flags: 4, desiredAccess: 8, baseImageAddress: 0x18, sectionHandle: 0x20 }],
  ] as const)('%s is 0x%x bytes long in 64-bit code', (name, size, offsets) => {
    const layout = layoutOf(name, 8);
    expect(layout.size).toBe(size);
    expect(layout.offset).toMatchObject(offsets);
  });
});
