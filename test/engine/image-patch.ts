import { Lab, ModernEngine, SectionObject } from 'hotpatch-lab';
import { layoutOf, MANAGE_HOT_PATCH, manageHotPatch } from 'hotpatch-lab/engine';
import { findSymbols, readImage } from 'hotpatch-lab/image';
import { expect } from 'vitest';
import { FaultInjector } from '../../proof/index.js';
import { fixture, fixtureBytes } from '../support.js';

const FIELD = {
  createPatchSection: layoutOf('createPatchSection', 8).offset,
  applyImagePatch: layoutOf('applyImagePatch', 8).offset,
};
const read = (path: string) => readImage(fixtureBytes(path), { file: fixture(path) });

/** A process with demo.dll, and a patch that its loader will apply by itself: what ntdll does. */
export async function boot(options: { instructionFetch?: 'coherent' | 'weak' } = {}) {
  const faults = new FaultInjector();
  const lab = await Lab.boot({ architecture: 'x64', seams: faults.seams, ...options });
  const { kernel } = lab;
  const engine = new ModernEngine(kernel, { patchUserImages: false });
  const process = kernel.createProcess({ name: 'program.exe' });
  const { domain, handles } = process;
  process.loadImage(read('x64/hpimport.dll'));
  const image = read('x64/base/demo.dll');
  const { table } = findSymbols({ image, path: fixture('x64/base/demo.dll') });
  const demo = process.loadImage(image, { symbols: table });
  const patchImage = read('x64/patch/demo_hp.dll');
  const patch = engine.load(patchImage);
  const caller = {
    addressSpace: process.addressSpace,
    domain,
    handles,
    canLoadDrivers: true,
    inHostSilo: true,
  };
  const host = { kernel, engine, openImage: () => undefined };
  const request = (infoClass: number, size: number, fill: (at: (offset: number) => bigint) => void) => {
    const buffer = domain.allocateMemory('pool', 0x68);
    const at = (offset: number) => buffer + BigInt(offset);
    fill(at);
    return { status: manageHotPatch(host, caller, infoClass, buffer, size).name, at };
  };
  const { addressSpace } = process;
  /** Opens the registered patch's section and maps it, as LdrpLoadPatchImage does. */
  const mapPatch = () => {
    const { createPatchSection } = FIELD;
    const { status, at } = request(MANAGE_HOT_PATCH.CreatePatchSection, 0x28, (field) => {
      addressSpace.writeU32(field(0), 1);
      addressSpace.writeU32(field(createPatchSection.desiredAccess), 0xd);
      addressSpace.writeU32(field(createPatchSection.pageProtection), 1);
      addressSpace.writeU32(field(createPatchSection.allocationAttributes), 0x1000000);
      addressSpace.writeU64(field(createPatchSection.baseImageAddress), demo.dllBase);
    });
    expect(status).toBe('STATUS_SUCCESS');
    const section = handles.get(addressSpace.readU64(at(createPatchSection.sectionHandle)), SectionObject);
    if (section === undefined) throw new Error('no section');
    return kernel.loader.load(domain, section.image, section.options);
  };
  const apply = (patchBase: bigint, flags: number, version = 2, base = demo.dllBase) =>
    request(MANAGE_HOT_PATCH.ApplyImagePatch, 0x20, (field) => {
      const { applyImagePatch } = FIELD;
      addressSpace.writeU32(field(0), version);
      addressSpace.writeU32(field(applyImagePatch.flags), flags);
      addressSpace.writeU64(field(applyImagePatch.processHandle), 0xffff_ffff_ffff_ffffn);
      addressSpace.writeU64(field(applyImagePatch.baseImageAddress), base);
      addressSpace.writeU64(field(applyImagePatch.patchImageAddress), patchBase);
    }).status;
  const leaf = () => Number(BigInt.asUintN(32, process.call64(demo.symbol('leaf_opaque'))));
  return {
    faults,
    lab,
    engine,
    process,
    demo,
    patch,
    mapPatch,
    apply,
    leaf,
    [Symbol.dispose]: () => lab[Symbol.dispose](),
  };
}
