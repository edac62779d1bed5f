import type { LoadedImage, StoreStep } from 'hotpatch-lab';
import { readImage } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { bootDemo, fixture, fixtureBytes } from '../support.js';

const HP_ENTRY = [0, 3, 4] as const;
const OLD = 119;
const NEW = 147;
/** Functions that the fix changes and the base has: leaf_const is folded away, new_helper is new. */
const CHANGED = ['call_op', 'copy_name', 'dispatch', 'hp_entry', 'leaf_opaque', 'set_hook'];

const hpatOf = (image: LoadedImage) => {
  if (image.hpat === undefined) throw new Error('no HPAT');
  return image.hpat;
};
/** Slots are given out in the order of the table's forward records. */
const byTableOrder = (demo: LoadedImage) => {
  const order = patchImage()
    .hotPatch?.bases.flatMap((base) => base.chunks)
    .flatMap((chunk) => (chunk.direction === 'forward' ? chunk.records.map((record) => record.rva) : []));
  const place = (name: string) => order?.indexOf(demo.rva(demo.symbol(name))) ?? -1;
  return (a: string, b: string) => place(a) - place(b);
};
const patchImage = () => readImage(fixtureBytes('x64/patch/demo_hp.dll'), { file: 'demo_hp.dll' });

describe('applying a hotpatch to demo.dll on x64', () => {
  it('redirects calls from the old functions to the new ones', async () => {
    using machine = await bootDemo();
    const { lab, demo } = machine;
    expect(lab.call(demo.symbol('hp_entry'), HP_ENTRY)).toBe(OLD);

    using patched = await bootDemo();
    const patch = await patched.lab.loadHotPatch(fixture('x64/patch/demo_hp.dll'));
    expect(patch).toMatchObject({
      state: 'applied',
      functions: 6,
      sequenceNumber: 1,
      status: { name: 'STATUS_SUCCESS' },
    });
    expect(patched.lab.call(patched.demo.symbol('hp_entry'), HP_ENTRY)).toBe(NEW);
    expect(patched.demo.hotPatchState).toBe('AppliedForward');
    expect(patch.loaded?.hotPatchState).toBe('AppliedReverse');
    expect(patched.demo.activePatchImageBase).toBe(patch.loaded?.dllBase);
  });

  it('removes the planted bug: a call through a table past its end', async () => {
    using base = await bootDemo();
    expect(() => base.lab.call(base.demo.symbol('hp_entry'), [3, 9, 4])).toThrow(
      /access violation: execute of/,
    );

    using patched = await bootDemo();
    await patched.lab.loadHotPatch(fixture('x64/patch/demo_hp.dll'));
    expect(patched.lab.call(patched.demo.symbol('hp_entry'), [3, 9, 4])).toBe(171);
  });

  it('changes the documented bytes of the base and no others', async () => {
    using machine = await bootDemo();
    const { lab, demo } = machine;
    const before = demo.codeBytes();
    await lab.loadHotPatch(fixture('x64/patch/demo_hp.dll'));
    const text = demo.executableSections[0]?.virtualAddress ?? 0;
    const hpat = hpatOf(demo);
    const expected = before.slice();
    [...CHANGED].sort(byTableOrder(demo)).forEach((name, slot) => {
      const entry = demo.symbol(name);
      const at = demo.rva(entry) - text;
      expected.set([0xeb, 0xf9], at);
      expected[at - 5] = 0xe9;
      new DataView(expected.buffer).setInt32(at - 4, Number((hpat.codeSlot(slot) ?? 0n) - entry), true);
    });
    expect(demo.codeBytes()).toEqual(expected);
    expect(demo.codeBytes()).not.toEqual(before);

    for (const name of CHANGED) {
      const entry = demo.symbol(name);
      const read = (address: bigint, length: number) => [...demo.domain.addressSpace.read(address, length)];
      expect(read(entry, 2)).toEqual([0xeb, 0xf9]);
      const pad = read(entry - 5n, 5);
      expect(pad[0]).toBe(0xe9);
      const code = entry + BigInt(new DataView(Uint8Array.from(pad).buffer).getInt32(1, true));
      const index = hpat.indexOf(code);
      expect(index).toBeDefined();
      expect(read(code, 8)).toEqual([0xff, 0x25, 0xfa, 0x0f, 0x00, 0x00, 0xcc, 0xcc]);
      expect(lab.describe(demo.domain.addressSpace.readU64(hpat.dataSlot(index ?? -1)))).toBe(
        `demo_hp!${name}`,
      );
    }
  });

  it('leaves every other section of the base as it was', async () => {
    using machine = await bootDemo();
    const { lab, demo } = machine;
    const sections = demo.image.sections.filter((section) => section.name !== '.text');
    const read = () =>
      sections.map((section) =>
        demo.domain.addressSpace.read(demo.address(section.virtualAddress), section.virtualSize),
      );
    const before = read();
    await lab.loadHotPatch(fixture('x64/patch/demo_hp.dll'));
    expect(read()).toEqual(before);
  });

  it('gives the HPAT memory at the first patch only, never writable for the guest', async () => {
    using machine = await bootDemo();
    const { lab, demo } = machine;
    const { base, reserveSize } = hpatOf(demo);
    expect(reserveSize).toBe(0x2000);
    expect(base).toBe(demo.dllBase + BigInt(Math.ceil(demo.sizeOfImage / 0x1000) * 0x1000));
    const pages = () => [base, base + 0x1000n].map((page) => demo.domain.table.query(page));
    expect(pages()).toMatchObject([{ state: 'reserved' }, { state: 'reserved' }]);

    const patch = await lab.loadHotPatch(fixture('x64/patch/demo_hp.dll'));
    const committed = [
      { state: 'committed', protection: 'PAGE_EXECUTE_READ' },
      { state: 'committed', protection: 'PAGE_READONLY' },
    ];
    expect(pages()).toMatchObject(committed);
    const own = patch.loaded?.hpat?.base ?? 0n;
    expect([own, own + 0x1000n].map((page) => demo.domain.table.query(page))).toMatchObject(committed);
    expect([...demo.domain.addressSpace.read(base + 0xff8n, 8)]).toEqual(new Array(8).fill(0xcc));
  });

  it('stores backward first, and each forward function in the documented order', async () => {
    using machine = await bootDemo();
    const { lab, demo } = machine;
    const steps = [...lab.engine.loadSteps(patchImage())];
    const shape = steps.map((step) =>
      step.kind === 'store' ? `${step.symbol.split('!')[0]} ${step.target}` : step.kind,
    );
    const firstForward = shape.indexOf('demo dataSlot');
    expect(shape.slice(firstForward).some((step) => step.startsWith('demo_hp '))).toBe(false);
    const kinds = steps.slice(firstForward).map((step) => (step.kind === 'store' ? step.target : step.kind));
    expect(kinds).toEqual([
      ...CHANGED.flatMap(() => ['dataSlot', 'codeSlot', 'undoEntrySaved', 'padding']),
      'serialised',
      ...CHANGED.map(() => 'entry'),
      'serialised',
    ]);
    const stores = steps.filter((step): step is StoreStep => step.kind === 'store');
    for (const store of stores)
      expect(store.writer).toBe(
        store.target === 'dataSlot' || store.target === 'pointer' ? 'NT' : 'SecureKernel',
      );
    expect(
      stores.filter((store) => store.target === 'entry').every((store) => store.bytes.length === 2),
    ).toBe(true);
    expect(demo.hpat?.committed).toBe(true);
  });

  it('remembers which function each slot was given to, in base and patch image', async () => {
    using machine = await bootDemo();
    const { lab, demo } = machine;
    const patch = await lab.loadHotPatch(fixture('x64/patch/demo_hp.dll'));
    const owners = (image: LoadedImage) => {
      const record = lab.engine.record(image);
      return Array.from({ length: record.usedSlots }, (_, slot) =>
        image.describe(image.address(record.slotOwner(slot) ?? 0)),
      );
    };
    expect(owners(demo).sort()).toEqual(CHANGED.map((name) => `demo!${name}`).sort());
    const { loaded } = patch;
    if (loaded === undefined) throw new Error('not loaded');
    expect(owners(loaded).length).toBeGreaterThan(0);
    for (const owner of owners(loaded)) expect(owner).toMatch(/^demo_hp!\w+$/);
    lab.unloadHotPatch(patch);
    expect(owners(demo).length).toBe(CHANGED.length);
  });

  it('is undone byte for byte', async () => {
    using machine = await bootDemo();
    const { lab, demo } = machine;
    const patch = await lab.loadHotPatch(fixture('x64/patch/demo_hp.dll'));
    expect(demo.codeBytes()).not.toEqual(demo.codeBytesBeforePatch);
    lab.unloadHotPatch(patch);
    expect(demo.codeBytes()).toEqual(demo.codeBytesBeforePatch);
    expect(patch.state).toBe('reverted');
    expect(demo.hotPatchState).toBe('BaseImage');
    expect(lab.call(demo.symbol('hp_entry'), HP_ENTRY)).toBe(OLD);
  });

  it('can be applied again after it was taken back, through new slots', async () => {
    using machine = await bootDemo();
    const { lab, demo } = machine;
    lab.unloadHotPatch(await lab.loadHotPatch(fixture('x64/patch/demo_hp.dll')));
    await lab.loadHotPatch(fixture('x64/patch/demo_hp.dll'));
    expect(lab.engine.record(demo).usedSlots).toBe(2 * CHANGED.length);
    expect(lab.call(demo.symbol('hp_entry'), HP_ENTRY)).toBe(NEW);
  });

  it('needs hotpatching to be enabled', async () => {
    using noTable = await bootDemo('x64', { hotPatchTableSize: 0 });
    expect(noTable.demo.hpat).toBeUndefined();
    await expect(async () =>
      noTable.lab.loadHotPatch(fixture('x64/patch/demo_hp.dll')),
    ).rejects.toMatchObject({
      rule: 'hotPatching.disabled',
      status: { name: 'STATUS_NOT_SUPPORTED', value: 0xc00000bb },
    });
    using noVbs = await bootDemo('x64', { vbs: false });
    await expect(async () => noVbs.lab.loadHotPatch(fixture('x64/patch/demo_hp.dll'))).rejects.toMatchObject({
      rule: 'hotPatching.disabled',
    });
  });

  it('ignores a patch whose sequence number is registered already', async () => {
    using machine = await bootDemo();
    const { lab, demo } = machine;
    const patch = await lab.loadHotPatch(fixture('x64/patch/demo_hp.dll'));
    const bytes = demo.codeBytes();
    const again = await lab.loadHotPatch(fixture('x64/patch/demo_hp.dll'));
    expect(again === patch).toBe(true);
    expect(lab.engine.patches.length).toBe(1);
    expect(demo.codeBytes()).toEqual(bytes);
  });
});
