import { Lab } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { fixture } from '../support.js';
import { bootForm, demoPatch, FORMS, type Form, loadDemoPatch } from './forms.js';

describe.each(FORMS)('the patch image in memory, in the form of $name', (form) => {
  it('cannot be unmapped while its patch is in force', async () => {
    using machine = await bootForm(form);
    const { lab } = machine;
    const patch = loadDemoPatch(lab, form, 1);
    expect(() => lab.engine.unmapPatch(patch)).toThrow(/unmap\.inForce/);
  });

  it('stays while a thread stands in it, and says which and where', async () => {
    using machine = await bootForm(form);
    const { lab, demo } = machine;
    const patch = loadDemoPatch(lab, form, 1);
    const inside = lab.startThread(demo.symbol('leaf_opaque'));
    lab.run({ until: inside.reaches(patch.loaded?.symbol('leaf_opaque') ?? 0n) });
    lab.engine.unload(patch);
    expect(() => lab.engine.unmapPatch(patch)).toThrow(
      new RegExp(`thread ${inside.id} stands at demo_hp1!leaf_opaque.*unmap\\.inUse`),
    );
    lab.run({ until: inside.returns() });
    expect(inside.result).toBe(43);
    lab.engine.unmapPatch(patch);
    expect(lab.kernel.domain.images.map((image) => image.baseDllName)).toEqual(['hpimport.dll', 'demo.dll']);
  });

  it('stays while a frame on a stack returns into it', async () => {
    using machine = await bootForm(form);
    const { lab, demo } = machine;
    const patch = loadDemoPatch(lab, form, 1);
    // The new hp_entry has called dispatch, which runs in the patch image and calls fib in the base.
    const inside = lab.startThread(demo.symbol('hp_entry'), [3, 9, 4]);
    lab.run({ until: inside.reaches(demo.symbol('fib')) });
    lab.engine.unload(patch);
    expect(() => lab.engine.unmapPatch(patch)).toThrow(
      /(has a return address to|holds) demo_hp1!\w+\+0x.*unmap\.inUse/,
    );
    lab.run({ until: inside.returns() });
    expect(inside.result).toBeDefined();
  });

  it('stays while a variable of the base points into it', async () => {
    using machine = await bootForm(form);
    const { lab, demo } = machine;
    const patch = loadDemoPatch(lab, form, 1);
    lab.call(demo.symbol('set_hook'), [1]); // g_hook = op_mul, which the fixed code takes from its own image
    lab.engine.unload(patch);
    expect(() => lab.engine.unmapPatch(patch)).toThrow(/demo!g_hook points to demo_hp1!op_mul/);
    lab.call(demo.symbol('set_hook'), [0]); // the old code stores a function of the base
    lab.engine.unmapPatch(patch);
    expect(lab.kernel.domain.findImage('demo_hp1')).toBeUndefined();
  });
});

describe('a hotpatch image that is loaded as base after a reboot', () => {
  it.each(['x64', 'arm64', 'x86'] as const)('runs by itself on %s', async (architecture) => {
    using lab = await Lab.boot({ architecture });
    await lab.loadImage(fixture(`${architecture}/hpimport.dll`));
    const image = await lab.loadImage(fixture(`${architecture}/patch/demo_hp.dll`));
    expect(lab.call(image.symbol('hp_entry'), [0, 3, 4])).toBe(147);
    lab.call(image.symbol('dispatch'), [6, 77, 1]);
    expect(image.domain.addressSpace.readU32(image.symbol('g_counter'))).toBe(77); // __ref_g_counter leads to its own
    expect(image.hotPatchState).toBe('BaseImage');
    expect(image.hpat?.committed).toBe(false);
  });
});

describe('synchronisation', () => {
  const weak = FORMS.map(
    (form): Form => ({ ...form, boot: { ...form.boot, processors: 2, instructionFetch: 'weak' } }),
  );

  it.each(weak)('no processor executes a stale instruction after commit: $name', async (form) => {
    using machine = await bootForm(form);
    const { lab, demo } = machine;
    const callOn = (processor: number) => {
      const thread = lab.kernel.createThread(demo.symbol('leaf_opaque'), [], { affinity: processor });
      lab.run({ until: thread.returns() });
      return thread.result;
    };
    expect([callOn(0), callOn(1)]).toEqual([42, 42]); // both have fetched the old code
    const patch = lab.engine.load(demoPatch(form, 1));
    expect([callOn(0), callOn(1)]).toEqual([43, 43]);
    lab.engine.unload(patch);
    expect([callOn(0), callOn(1)]).toEqual([42, 42]);
  });

  it('gathers all processors on ARM64, and on x64 only for an entry at the end of eight bytes', async () => {
    const gathered = async (form: Form) => {
      using machine = await bootForm(form);
      machine.lab.engine.load(demoPatch(form, 1));
      return machine.lab.events.some((event) => event.kind === 'rendezvous');
    };
    for (const form of FORMS)
      expect([form.name, await gathered(form)]).toEqual([form.name, form.name === 'ARM64']);
  });

  it('refuses cleanly when a processor does not come to the rendezvous', async () => {
    const form = FORMS.find(({ name }) => name === 'ARM64') as Form;
    using machine = await bootForm({ ...form, boot: { ...form.boot, processors: 2 } });
    const { lab, demo } = machine;
    const { kernel } = lab;
    const spin = lab.allocateCode(Uint8Array.of(0x00, 0x00, 0x00, 0x14)); // b .
    kernel.createThread(spin, [], { irql: 15, affinity: 1 });
    lab.run({ instructions: 1000 });
    expect(() => lab.engine.load(demoPatch(form, 1))).toThrow(/rendezvous\.timeout/);
    expect(demo.codeBytes()).toEqual(demo.codeBytesBeforePatch);
    expect(demo.hpat?.committed).toBe(false);
  });
});
