import { describe, expect, it } from 'vitest';
import { changeHotPatchState, type LoadedImage, type Process } from '../../loader/index.js';
import { ARCHITECTURES, boot, built, described, KERNEL_ARCHITECTURES } from './support.js';

/** Offsets in PEB, PEB_LDR_DATA and LDR_DATA_TABLE_ENTRY, 64-bit and 32-bit. */
const OFFSETS = {
  8: {
    ldr: 0x18n,
    load: 0x10n,
    base: 0x30n,
    name: 0x58n,
    reason: 0x10cn,
    references: 0x114n,
    checkSum: 0x120n,
  },
  4: { ldr: 0x0cn, load: 0x0cn, base: 0x18n, name: 0x2cn, reason: 0x94n, references: 0x9cn, checkSum: 0xa8n },
} as const;
const PATCH = {
  8: { activePatch: 0x128n, hotPatchState: 0x130n },
  4: { activePatch: 0xacn, hotPatchState: 0xb0n },
} as const;

/** Walks PEB.Ldr.InLoadOrderModuleList as code of the process would. */
function modules(process: Process) {
  const space = process.addressSpace;
  const { pointerSize } = process.domain.architecture;
  const at = OFFSETS[pointerSize];
  const patch = PATCH[pointerSize];
  const pointer = (address: bigint) =>
    pointerSize === 8 ? space.readU64(address) : BigInt(space.readU32(address));
  const head = pointer((process.environment?.peb ?? 0n) + at.ldr) + at.load;
  const found = [];
  for (let entry = pointer(head); entry !== head; entry = pointer(entry)) {
    const name = space.read(pointer(entry + at.name + BigInt(pointerSize)), space.readU16(entry + at.name));
    found.push({
      name: Buffer.from(name).toString('utf16le'),
      dllBase: pointer(entry + at.base),
      loadReason: space.readU32(entry + at.reason),
      references: space.readU32(entry + at.references),
      checkSum: space.readU32(entry + at.checkSum),
      activePatch: pointer(entry + patch.activePatch),
      hotPatchState: space.readU32(entry + patch.hotPatchState),
    });
  }
  return found;
}

describe.each(ARCHITECTURES)('the loader data of a process on %s', (architecture) => {
  it('lists its images with their hotpatch state, where its own code finds them', () => {
    using kernel = boot(architecture);
    const process = kernel.createProcess({ name: 'a.exe' });
    const demo = process.loadImage(...described(`${architecture}/base/demo.dll`));
    const [patch, options] = described(`${architecture}/patch/demo_hp.dll`);
    const loaded = process.loadImage(patch, { ...options, loadReason: 'PatchImage' });
    changeHotPatchState(loaded, { hotPatchState: 'AppliedReverse' });
    changeHotPatchState(demo, {
      hotPatchState: 'AppliedForward',
      activePatchImageBase: loaded.dllBase,
    });
    expect(
      modules(process).map(({ name, loadReason, hotPatchState }) => [name, loadReason, hotPatchState]),
    ).toEqual([
      ['demo.dll', 4, 3],
      ['hpimport.dll', 0, 0],
      ['demo_hp.dll', 9, 2],
    ]);
    expect(modules(process)[0]).toMatchObject({
      dllBase: demo.dllBase,
      checkSum: demo.checkSum,
      activePatch: loaded.dllBase,
    });
    process.unloadImage(loaded);
    expect(modules(process).map(({ name, references }) => [name, references])).toEqual([
      ['demo.dll', 1],
      ['hpimport.dll', 1],
    ]);
    process.unloadImage(demo);
    expect(modules(process)).toEqual([]);
  });

  it('says in the PEB whether any image is patched', () => {
    using kernel = boot(architecture);
    const { environment } = kernel.createProcess({ name: 'a.exe' });
    if (environment === undefined) throw new Error('no PEB');
    expect(environment.imagesHotPatched).toBe(false);
    environment.noteHotPatch();
    expect(environment.imagesHotPatched).toBe(true);
  });
});

describe.each(ARCHITECTURES)('code of a process on %s', (architecture) => {
  it('finds the modules of its process by the lists of its PEB', () => {
    using kernel = boot(architecture);
    const process = kernel.createProcess({ name: 'a.exe' });
    const walker = process.loadImage(...built(`${architecture}/modules.dll`));
    const demo = process.loadImage(...described(`${architecture}/base/demo.dll`));
    const text = process.heap.allocate(64, 0, { fill: 0, quota: false });
    const ask = (question: string, name: string) => {
      process.addressSpace.write(text, Buffer.from(`${name}\0`, 'latin1'));
      return BigInt.asUintN(
        8 * process.domain.architecture.pointerSize,
        process.call64(walker.symbol(question), [text]),
      );
    };
    expect(ask('base_of', 'DEMO.dll')).toBe(demo.dllBase);
    expect(ask('size_of', 'demo.dll')).toBe(BigInt(demo.sizeOfImage));
    expect(ask('base_of', 'modules.dll')).toBe(walker.dllBase);
    expect(ask('base_of', 'hpimport.dll')).toBe(process.findImage('hpimport')?.dllBase);
    expect(ask('base_of', 'absent.dll')).toBe(0n);
    expect(process.call64(walker.symbol('count')) & 0xffffffffn).toBe(3n);
    // demo.dll imports from hpimport.dll, which is initialised before it.
    process.call64(walker.symbol('initialization_order'), [text]);
    expect(process.addressSpace.readCString(text, 3)).toBe('mhd');
    process.unloadImage(demo);
    expect(ask('base_of', 'demo.dll')).toBe(0n);
    expect(process.call64(walker.symbol('count')) & 0xffffffffn).toBe(1n);
  });

  it('leaves the lists as they were when a DLL has come and gone', () => {
    using kernel = boot(architecture);
    const process = kernel.createProcess({ name: 'a.exe' });
    process.loadImage(...built(`${architecture}/modules.dll`));
    const { ldr } = process.environment ?? {};
    const page = (ldr?.entry(process.images[0] as LoadedImage) ?? 0n) & ~0xfffn;
    const before = process.addressSpace.read(page, 0x1000);
    for (let i = 0; i < 3; i++)
      process.unloadImage(process.loadImage(...described(`${architecture}/hpimport.dll`)));
    expect(process.addressSpace.read(page, 0x1000)).toEqual(before);
  });
});

/** Fields of a KLDR_DATA_TABLE_ENTRY. */
function kernelEntry(image: LoadedImage, kernel: ReturnType<typeof boot>) {
  const entry = kernel.loadedModules.entry(image) ?? 0n;
  const space = kernel.system.addressSpace;
  return {
    exceptionTable: space.readU64(entry + 0x10n),
    exceptionTableSize: space.readU32(entry + 0x18n),
    dllBase: space.readU64(entry + 0x30n),
    entryPoint: space.readU64(entry + 0x38n),
    sizeOfImage: space.readU32(entry + 0x40n),
    loadCount: space.readU16(entry + 0x6cn),
    hotPatch: (space.readU16(entry + 0x6en) >> 9) & 1,
    checkSum: space.readU32(entry + 0x78n),
    timeDateStamp: space.readU32(entry + 0x9cn),
  };
}

describe.each(KERNEL_ARCHITECTURES)('PsLoadedModuleList on %s', (architecture) => {
  it('is a list in kernel memory that drivers import and walk', () => {
    using kernel = boot(architecture);
    const walker = kernel.loadImage(...built(`${architecture}/modulesdrv.sys`));
    const packets = kernel.loadImage(...described(`${architecture}/base/packets.sys`));
    kernel.secureKernel?.loadImage(...described(`${architecture}/base/demo.dll`));
    const text = kernel.pool.allocate(64, 0, { fill: 0, quota: false });
    const ask = (question: string, name: string) => {
      kernel.system.addressSpace.write(text, Buffer.from(`${name}\0`, 'latin1'));
      return kernel.call64(walker.symbol(question), [text]);
    };
    expect(walker.imports.map(({ name, origin }) => [name, origin])).toContainEqual([
      'PsLoadedModuleList',
      'simulated',
    ]);
    expect(ask('base_of', 'packets.sys')).toBe(packets.dllBase);
    expect(ask('base_of', 'modulesdrv.sys')).toBe(walker.dllBase);
    // VTL1's images are not in it.
    expect(ask('base_of', 'demo.dll')).toBe(0n);
    expect(kernel.call64(walker.symbol('count')) & 0xffffffffn).toBe(2n);
    kernel.unloadImage(packets);
    expect(ask('base_of', 'packets.sys')).toBe(0n);
  });

  it('has the documented fields, and the driver object leads to its entry', () => {
    using kernel = boot(architecture);
    const packets = kernel.loadImage(...described(`${architecture}/base/packets.sys`));
    const { virtualAddress = 0 } = packets.image.directory('exception') ?? {};
    expect(kernelEntry(packets, kernel)).toEqual({
      exceptionTable: packets.address(virtualAddress),
      exceptionTableSize: packets.image.functionTable.length * (architecture === 'x64' ? 12 : 8),
      dllBase: packets.dllBase,
      entryPoint: packets.entryPoint,
      sizeOfImage: Math.ceil(packets.sizeOfImage / 0x1000) * 0x1000,
      loadCount: 1,
      hotPatch: 0,
      checkSum: packets.checkSum,
      timeDateStamp: packets.timeDateStamp,
    });
    expect(kernel.system.addressSpace.readU64((packets.driverObject ?? 0n) + 0x28n)).toBe(
      kernel.loadedModules.entry(packets),
    );
    const [patch, options] = described(`${architecture}/patch/packets_hp.sys`);
    const loaded = kernel.loadImage(patch, { ...options, loadReason: 'PatchImage' });
    expect(kernelEntry(loaded, kernel).hotPatch).toBe(1);
  });

  it('has a session driver once, however many sessions hold it', () => {
    using kernel = boot(architecture);
    const walker = kernel.loadImage(...built(`${architecture}/modulesdrv.sys`));
    const count = () => Number(kernel.call64(walker.symbol('count')) & 0xffffffffn);
    const drivers = [kernel.createSession(), kernel.createSession()].map((session) =>
      session.loadDriver(...described(`${architecture}/base/packets.sys`)),
    );
    const [first, second] = drivers;
    if (first === undefined || second === undefined) throw new Error('no sessions');
    expect(count()).toBe(2);
    expect(kernelEntry(first, kernel).loadCount).toBe(2);
    kernel.unloadImage(first);
    expect(count()).toBe(2);
    kernel.unloadImage(second);
    expect(count()).toBe(1);
  });
});
