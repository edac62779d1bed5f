import { findSymbols, readImage } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { editRecord } from '../../engine/modern/image-record.js';
import { fixture, fixtureBytes } from '../support.js';
import { bootForm, DEMO_FUNCTIONS, demoPatch, FORMS, instructionsOf } from './forms.js';

describe.each(FORMS)('hotpatching in the form of $name', (form) => {
  const demoHotPatch = fixture(`${form.boot.architecture}/patch/demo_hp.dll`);
  const HP_ENTRY = [0, 3, 4] as const;

  it('redirects each changed function, and changes only the documented bytes', async () => {
    using machine = await bootForm(form);
    const { lab, demo } = machine;
    expect(lab.call(demo.symbol('leaf_opaque'))).toBe(42);
    const before = demo.codeBytes();
    const patch = await lab.loadHotPatch(demoHotPatch);
    expect(patch.functions).toBe(DEMO_FUNCTIONS.length);
    expect(lab.call(demo.symbol('leaf_opaque'))).toBe(43);
    expect(lab.call(demo.symbol('hp_entry'), [3, 9, 4])).toBe(171);

    const after = demo.codeBytes();
    const start = demo.executableSections[0]?.virtualAddress ?? 0;
    const allowed = new Set<number>();
    for (const name of DEMO_FUNCTIONS) {
      const at = demo.rva(demo.symbol(name)) - start;
      form.entry.forEach((byte, i) => {
        if (byte !== undefined) expect(after[at + i]).toBe(byte);
      });
      for (let i = -form.paddingUsed; i < form.entry.length; i++) allowed.add(at + i);
    }
    const changed = [...before.keys()].filter((i) => before[i] !== after[i]);
    expect(changed.filter((i) => !allowed.has(i))).toEqual([]);
  });

  it('answers as the fixed build does', async () => {
    using machine = await bootForm(form);
    const { lab, demo } = machine;
    expect(lab.call(demo.symbol('hp_entry'), HP_ENTRY)).toBe(119);
    using patched = await bootForm(form);
    await patched.lab.loadHotPatch(demoHotPatch);
    expect(patched.lab.call(patched.demo.symbol('hp_entry'), HP_ENTRY)).toBe(147);
  });

  it('costs the documented number of instructions, however often the function is patched', async () => {
    using machine = await bootForm(form);
    const { lab, demo } = machine;
    const call = () => instructionsOf(lab, demo.symbol('leaf_opaque'), []);
    const base = call();
    for (let sequence = 1; sequence <= 3; sequence++) {
      lab.engine.load(demoPatch(form, sequence));
      expect(call() - base).toBe(form.hops);
    }
  });

  it('shares state between old and new code', async () => {
    using machine = await bootForm(form);
    const { lab, demo } = machine;
    const counter = demo.symbol('g_counter');
    const { addressSpace } = demo.domain;
    lab.call(demo.symbol('dispatch'), [6, 1000, 1]);
    expect(addressSpace.readU32(counter)).toBe(1000);
    await lab.loadHotPatch(demoHotPatch);
    lab.call(demo.symbol('dispatch'), [6, 2000, 1]);
    expect(addressSpace.readU32(counter)).toBe(2000);
  });

  it('binds an import that is new in the patch', async () => {
    using machine = await bootForm(form);
    const { lab, demo } = machine;
    expect(lab.call(demo.symbol('dispatch'), [8, 0x1234, 0])).toBe(-1);
    await lab.loadHotPatch(demoHotPatch);
    expect(lab.call(demo.symbol('dispatch'), [8, 0x1234, 0])).toBe(0x1234 ^ 0x5a5a);
  });

  it('brings every byte back', async () => {
    using machine = await bootForm(form);
    const { lab, demo } = machine;
    const patch = await lab.loadHotPatch(demoHotPatch);
    expect(demo.codeBytes()).not.toEqual(demo.codeBytesBeforePatch);
    lab.unloadHotPatch(patch);
    expect(demo.codeBytes()).toEqual(demo.codeBytesBeforePatch);
    expect(lab.call(demo.symbol('leaf_opaque'))).toBe(42);
    expect([...lab.engine.record(demo).undo]).toEqual([]);
  });

  it('takes a newer patch: data slots only for what is patched, original bytes for what it drops', async () => {
    using machine = await bootForm(form);
    const { lab, demo } = machine;
    const first = lab.engine.load(demoPatch(form, 1));
    const entryOf = (name: string) => demo.domain.addressSpace.read(demo.symbol(name), form.entry.length);
    const patchedEntry = entryOf('leaf_opaque');

    const newer = [...lab.engine.loadSteps(demoPatch(form, 2, ['leaf_opaque', 'dispatch']))];
    const forward = newer.filter((step) => step.kind === 'store' && step.symbol.startsWith('demo!'));
    expect(forward.map((step) => step.kind === 'store' && `${step.target} ${step.symbol}`).sort()).toEqual(
      [
        'dataSlot demo!dispatch',
        'dataSlot demo!leaf_opaque',
        ...['call_op', 'copy_name', 'hp_entry', 'set_hook'].map((name) => `entry demo!${name}`),
      ].sort(),
    );
    expect(entryOf('leaf_opaque')).toEqual(patchedEntry);
    expect(lab.call(demo.symbol('leaf_opaque'))).toBe(43);
    expect(first.state).toBe('superseded');
    expect(lab.engine.record(demo).sequenceNumber).toBe(2);
    expect(() => lab.engine.load(demoPatch(form, 1))).toThrow(/sequence\.(notNewer|lowerThanRegistered)/);
  });

  it('goes back to the patch before, and then to the original code', async () => {
    using machine = await bootForm(form);
    const { lab, demo } = machine;
    const first = lab.engine.load(demoPatch(form, 1, ['leaf_opaque', 'call_op']));
    const second = lab.engine.load(demoPatch(form, 2, ['leaf_opaque', 'dispatch']));
    expect(() => lab.engine.unload(first)).toThrow(/unload\.notActive/);
    lab.engine.unload(second);
    expect(first.state).toBe('applied');
    expect(demo.activePatchImageBase).toBe(first.loaded?.dllBase);
    expect(lab.call(demo.symbol('leaf_opaque'))).toBe(43);
    expect(lab.call(demo.symbol('call_op'), [7, 1, 1])).toBe(0); // the fixed one checks its index
    expect(lab.call(demo.symbol('dispatch'), [8, 1, 1])).toBe(-1); // the old one knows no case 8
    lab.engine.unload(first);
    expect(demo.codeBytes()).toEqual(demo.codeBytesBeforePatch);
  });

  it('is applied to a base that comes later', async () => {
    using machine = await bootForm(form);
    const { lab, demo } = machine;
    const path = fixture(`${form.boot.architecture}/base/demo.dll`);
    lab.kernel.unloadImage(demo);
    const patch = lab.engine.load(demoPatch(form, 1));
    expect(patch.state).toBe('deferred');
    const image = readImage(fixtureBytes(`${form.boot.architecture}/base/demo.dll`), { file: path });
    const later = lab.kernel.loadImage(image, {
      name: 'demo.dll',
      symbols: findSymbols({ image, path }).table,
    });
    expect(patch.state).toBe('applied');
    expect(lab.call(later.symbol('leaf_opaque'))).toBe(43);
  });

  it('refuses a patch for which the HPAT has too few slots, before the first store', async () => {
    using machine = await bootForm(form);
    const { lab, demo } = machine;
    const capacity = demo.hpat?.capacity ?? 0;
    const before = demo.codeBytes();
    const images = lab.kernel.domain.images.length;
    editRecord(lab.engine.record(demo)).useSlot(capacity - DEMO_FUNCTIONS.length, 0);
    expect(() => lab.engine.load(demoPatch(form, 1))).toThrow(/hpat\.full, STATUS_PATCH_CONFLICT/);
    expect(demo.codeBytes()).toEqual(before);
    expect(demo.hpat?.committed).toBe(false);
    expect(lab.kernel.domain.images.length).toBe(images);
    editRecord(lab.engine.record(demo)).useSlot(capacity - DEMO_FUNCTIONS.length - 1, 0);
    lab.engine.load(demoPatch(form, 1));
    expect(lab.call(demo.symbol('leaf_opaque'))).toBe(43);
  });

  it('takes everything back when a store fails', async () => {
    using probe = await bootForm(form);
    const stores = [...probe.lab.engine.loadSteps(demoPatch(form, 1))].filter(
      (step) => step.kind === 'store',
    ).length;
    for (const failing of [0, 1, Math.floor(stores / 2), stores - 2, stores - 1]) {
      using machine = await bootForm(form);
      const { lab, demo } = machine;
      const before = demo.codeBytes();
      let count = 0;
      demo.domain.writer.beforeStore(() => {
        if (count++ === failing) throw new Error('the store failed');
      });
      expect(() => lab.engine.load(demoPatch(form, 1))).toThrow('the store failed');
      expect(demo.codeBytes()).toEqual(before);
      expect(demo.hpat?.committed).toBe(false);
      expect(lab.engine.record(demo)).toMatchObject({ usedSlots: 0, sequenceNumber: 0, vadState: 0 });
      expect(lab.call(demo.symbol('leaf_opaque'))).toBe(42);
    }
  });
});

describe.each(FORMS)('in mid-execution, in the form of $name', (form) => {
  const cases = [
    { name: 'leaf_opaque', parameters: [], old: 42, fixed: 43 },
    { name: 'call_op', parameters: [2, 6, 7], old: 42, fixed: 42 },
    { name: 'dispatch', parameters: [8, 5, 5], old: -1, fixed: 5 ^ 0x5a5a },
    { name: 'dispatch', parameters: [1, 9, 5], old: 4, fixed: 4 },
  ];
  it.each(cases)(
    '$name($parameters) may be stopped at any instruction',
    async ({ name, parameters, old, fixed }) => {
      using machine = await bootForm(form);
      const { lab, demo } = machine;
      const entry = demo.symbol(name);
      const length = instructionsOf(lab, entry, parameters);
      expect(length).toBeGreaterThan(1);
      for (let stop = 0; stop <= length; stop++) {
        const inside = lab.startThread(entry, parameters);
        if (stop > 0) lab.run({ instructions: stop });
        const atEntry = stop === 0;
        const patch = lab.engine.load(demoPatch(form, 1, [name]));
        if (!inside.finished) lab.run({ until: inside.returns() });
        expect([stop, inside.result]).toEqual([stop, atEntry ? fixed : old]);
        expect(lab.call(entry, parameters)).toBe(fixed);

        const reverting = lab.startThread(entry, parameters);
        if (stop > 0) lab.run({ instructions: stop + form.hops });
        lab.engine.unload(patch);
        if (!reverting.finished) lab.run({ until: reverting.returns() });
        expect([stop, reverting.result]).toEqual([stop, atEntry ? old : fixed]);
        expect(lab.call(entry, parameters)).toBe(old);
        expect(demo.codeBytes()).toEqual(demo.codeBytesBeforePatch);
      }
    },
  );
});
