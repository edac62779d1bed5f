import {
  APPLY_IMAGE_PATCH,
  HotPatchEngine,
  Lab,
  layoutOf,
  MANAGE_HOT_PATCH,
  manageHotPatch,
  SectionObject,
} from 'hotpatch-lab';
import { findSymbols, readImage } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { fixture, fixtureBytes } from '../support.js';

const FIELD = {
  createPatchSection: layoutOf('createPatchSection', 8).offset,
  applyImagePatch: layoutOf('applyImagePatch', 8).offset,
};
const { REVERSE, FORWARD, UNDO } = APPLY_IMAGE_PATCH;
const read = (path: string) => readImage(fixtureBytes(path), { file: fixture(path) });

/** A process with demo.dll, and a patch that its loader will apply by itself: what ntdll does. */
async function boot() {
  const lab = await Lab.boot({ architecture: 'x64' });
  const { kernel } = lab;
  const engine = new HotPatchEngine(kernel, { patchUserImages: false });
  const process = kernel.createProcess({ name: 'program.exe' });
  const { domain, handles } = process;
  process.loadImage(read('x64/hpimport.dll'));
  const image = read('x64/base/demo.dll');
  const { table } = findSymbols({ image, path: fixture('x64/base/demo.dll') });
  const demo = process.loadImage(image, { symbols: table });
  const patchImage = read('x64/patch/demo_hp.dll');
  const patch = engine.loadPatch(patchImage);
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
  const leaf = () => Number(BigInt.asUintN(32, process.call(demo.symbol('leaf_opaque'))));
  return {
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

describe('NtManageHotPatch(ApplyImagePatch), asked by the loader of a process', () => {
  it('applies backward, then forward', async () => {
    using machine = await boot();
    const { demo, patch } = machine;
    expect(patch.status.name).toBe('STATUS_PATCH_DEFERRED');
    const loaded = machine.mapPatch();
    expect(machine.leaf()).toBe(42);
    expect(machine.apply(loaded.dllBase, REVERSE)).toBe('STATUS_SUCCESS');
    expect(loaded.hotPatchState).toBe('AppliedReverse');
    expect(machine.leaf()).toBe(42);
    expect(machine.apply(loaded.dllBase, FORWARD)).toBe('STATUS_SUCCESS');
    expect(machine.leaf()).toBe(43);
    expect(demo.hotPatchState).toBe('AppliedForward');
    expect(demo.activePatchImageBase).toBe(loaded.dllBase);
  });

  it('applies both in one call, and takes them back where builds still allow it', async () => {
    using machine = await boot();
    const loaded = machine.mapPatch();
    expect(machine.apply(loaded.dllBase, REVERSE | FORWARD)).toBe('STATUS_SUCCESS');
    expect(machine.leaf()).toBe(43);
    expect(machine.apply(loaded.dllBase, UNDO)).toBe('STATUS_INVALID_PARAMETER'); // version 2: removed in 24H2
    expect(machine.apply(loaded.dllBase, UNDO, 1)).toBe('STATUS_SUCCESS');
    expect(machine.leaf()).toBe(42);
    expect(machine.demo.codeBytes()).toEqual(machine.demo.codeBytesBeforePatch);
  });

  it('refuses what is out of order', async () => {
    using machine = await boot();
    const loaded = machine.mapPatch();
    expect(machine.apply(loaded.dllBase, FORWARD)).toBe('STATUS_INVALID_STATE_TRANSITION');
    expect(machine.apply(loaded.dllBase, REVERSE)).toBe('STATUS_SUCCESS');
    expect(machine.apply(loaded.dllBase, REVERSE)).toBe('STATUS_INVALID_STATE_TRANSITION');
    expect(machine.apply(loaded.dllBase, FORWARD)).toBe('STATUS_SUCCESS');
    expect(machine.apply(loaded.dllBase, REVERSE | FORWARD)).toBe('STATUS_REQUEST_OUT_OF_SEQUENCE');
  });

  it('refuses an image that is not the registered one, addresses without an image, and no phase', async () => {
    using machine = await boot();
    const { process, demo } = machine;
    const loaded = machine.mapPatch();
    const other = process.findImage('hpimport');
    expect(machine.apply(other?.dllBase ?? 0n, REVERSE)).toBe('STATUS_PATCH_NOT_REGISTERED');
    expect(machine.apply(0x1000n, REVERSE)).toBe('STATUS_NOT_MAPPED_VIEW');
    expect(machine.apply(loaded.dllBase, REVERSE, 2, 0x1000n)).toBe('STATUS_NOT_MAPPED_VIEW');
    expect(machine.apply(loaded.dllBase, 0)).toBe('STATUS_INVALID_PARAMETER');
    expect(machine.apply(loaded.dllBase, 8)).toBe('STATUS_INVALID_PARAMETER');
    expect(demo.codeBytes()).toEqual(demo.codeBytesBeforePatch);
  });
});
