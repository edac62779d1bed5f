import { describe, expect, it } from 'vitest';
import type { Process } from '../../src/loader/index.js';
import { boot, described } from './support.js';

/** Walks PEB.Ldr.InLoadOrderModuleList as code of the process would. */
function modules(process: Process) {
  const space = process.addressSpace;
  const peb = process.environment?.peb ?? 0n;
  const head = space.readU64(peb + 0x18n) + 0x10n;
  const found = [];
  for (let entry = space.readU64(head); entry !== head; entry = space.readU64(entry)) {
    const name = space.read(space.readU64(entry + 0x60n), space.readU16(entry + 0x58n));
    found.push({
      name: Buffer.from(name).toString('utf16le'),
      dllBase: space.readU64(entry + 0x30n),
      loadReason: space.readU32(entry + 0x10cn),
      references: space.readU32(entry + 0x114n),
      checkSum: space.readU32(entry + 0x120n),
      activePatch: space.readU64(entry + 0x128n),
      hotPatchState: space.readU32(entry + 0x130n),
    });
  }
  return found;
}

describe.each(['x64', 'arm64'] as const)('the loader data of a process on %s', (architecture) => {
  it('lists its images with their hotpatch state, where its own code finds them', () => {
    using kernel = boot(architecture);
    const process = kernel.createProcess({ name: 'a.exe' });
    const demo = process.loadImage(...described(`${architecture}/base/demo.dll`));
    const [patch, options] = described(`${architecture}/patch/demo_hp.dll`);
    const loaded = process.loadImage(patch, { ...options, loadReason: 'PatchImage' });
    loaded.hotPatchState = 'AppliedReverse';
    demo.hotPatchState = 'AppliedForward';
    demo.activePatchImageBase = loaded.dllBase;
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
    environment.imagesHotPatched = true;
    expect(environment.imagesHotPatched).toBe(true);
  });
});
