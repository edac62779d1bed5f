import { APPLY_IMAGE_PATCH } from 'hotpatch-lab/engine';
import { describe, expect, it } from 'vitest';
import { boot } from './image-patch.js';

const { REVERSE, FORWARD, UNDO } = APPLY_IMAGE_PATCH;

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
    expect([patch.state, patch.status.name]).toEqual(['applied', 'STATUS_SUCCESS']);
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
