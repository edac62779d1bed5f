import { describe, expect, it } from 'vitest';
import { bootForm, FORMS, type Form, loadDemoPatch } from './forms.js';

const form = FORMS[0] as Form;

/** A patch that was taken back while a thread is in it. */
async function taken() {
  const machine = await bootForm(form);
  const { lab, demo } = machine;
  const patch = loadDemoPatch(lab, form, 1);
  const { loaded } = patch;
  if (loaded === undefined) throw new Error('not loaded');
  const holders = () => lab.engine.holdersOf(patch).map(({ text }) => text);
  return { lab, demo, patch, loaded, holders, [Symbol.dispose]: () => machine[Symbol.dispose]() };
}

describe('what still needs the image of a patch', () => {
  it('a thread that stands in it is named once, whatever its program counter is called', async () => {
    using machine = await taken();
    const { lab, demo, loaded, holders } = machine;
    const inside = lab.startThread(demo.symbol('leaf_opaque'));
    lab.run({ until: inside.reaches(loaded.symbol('leaf_opaque')) });
    machine.lab.engine.unload(machine.patch);
    const where = loaded.describe(inside.pc);
    expect(holders().filter((text) => text.includes('stands at') || text.includes('rip'))).toEqual([
      `thread ${inside.id} stands at ${where}`,
    ]);
  });

  it('every word from the stack pointer on, up to the last of the stack', async () => {
    using machine = await taken();
    const { lab, demo, loaded, holders } = machine;
    const thread = lab.startThread(demo.symbol('leaf_opaque'));
    lab.run({ instructions: 1 });
    const { processor, stack } = thread;
    const address = loaded.symbol('leaf_opaque');
    const top = stack.base + BigInt(stack.size);
    for (const [sp, at] of [
      [top - 0x20n, top - 8n],
      [top - 0x20n, top - 0x20n],
      [top - 0x21n, top - 0x21n],
    ] as const) {
      demo.domain.addressSpace.write(top - 0x30n, new Uint8Array(0x30));
      processor?.set('rsp', sp);
      demo.domain.addressSpace.writeU64(at, address);
      expect(holders()).toEqual([
        `the stack of thread ${thread.id} has a return address to demo_hp1!leaf_opaque at sp+0x${(at - sp).toString(16)}`,
      ]);
    }
    for (const sp of [top, top + 8n]) {
      processor?.set('rsp', sp);
      expect(holders()).toEqual([]);
    }
  });

  it('every pointer of the base’s data, the last one too', async () => {
    using machine = await taken();
    const { demo, loaded, holders } = machine;
    const [section] = demo.writableSections;
    if (section === undefined) throw new Error('no section');
    const words = Math.floor(section.virtualSize / 8);
    for (const word of [0, words - 1]) {
      const at = demo.address(section.virtualAddress + 8 * word);
      const before = demo.domain.addressSpace.readU64(at);
      demo.domain.addressSpace.writeU64(at, loaded.dllBase);
      expect(holders()).toEqual([`${demo.describe(at)} points to ${loaded.describe(loaded.dllBase)}`]);
      demo.domain.addressSpace.writeU64(at, before);
    }
    expect(holders()).toEqual([]);
  });
});
