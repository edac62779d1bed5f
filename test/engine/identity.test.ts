import { describe, expect, it } from 'vitest';
import { bootDemo, damaged, fixture } from '../support.js';

const PATCH = 'x64/patch/demo_hp.dll';
/** File offset of the first IMAGE_HOT_PATCH_BASE in the patch image. */
function baseDescriptor(view: DataView): number {
  const pe = view.getUint32(0x3c, true);
  const sections = pe + 24 + view.getUint16(pe + 20, true);
  const count = view.getUint16(pe + 6, true);
  const hpat = sections + 40 * (count - 1);
  const table = view.getUint32(hpat + 20, true);
  return table + view.getUint32(table + view.getUint32(table + 0x0c, true), true);
}

describe('which base a patch is for', () => {
  const cases = [
    ['the checksum is one more', 0x0c, 1],
    ['the checksum is one less', 0x0c, -1],
    ['the timestamp is one more', 0x08, 1],
    ['the timestamp is one less', 0x08, -1],
  ] as const;

  it.each(cases)('is deferred, and changes nothing, when %s', async (_name, field, difference) => {
    using machine = await bootDemo();
    const { lab, demo } = machine;
    const code = demo.codeBytes();
    const other = damaged(PATCH, (view) => {
      const at = baseDescriptor(view) + field;
      view.setUint32(at, view.getUint32(at, true) + difference, true);
      return undefined;
    });
    const patch = lab.engine.load(other);
    expect(patch).toMatchObject({
      state: 'deferred',
      status: { name: 'STATUS_PATCH_DEFERRED', value: 0x40000037 },
    });
    expect(demo.codeBytes()).toEqual(code);
    expect(demo.hpat?.committed).toBe(false);
    expect(lab.kernel.domain.images.map((image) => image.baseDllName)).toEqual(['hpimport.dll', 'demo.dll']);
    expect(lab.call(demo.symbol('hp_entry'), [0, 3, 4])).toBe(119);
  });

  it('is applied when its base is loaded later, before the first instruction runs there', async () => {
    using machine = await bootDemo();
    const { lab } = machine;
    const patch = await lab.loadHotPatch(fixture('x64/patch/packets_hp.sys'));
    expect(patch.state).toBe('deferred');
    const driver = await lab.loadDriver(fixture('x64/base/packets.sys'));
    expect(patch.state).toBe('applied');
    const packet = lab.allocate(Uint8Array.of(1, 5, 10, 20, 30, 40, 50));
    expect(lab.call(driver.symbol('HandleRequest'), [packet, 2]) >>> 0).toBe(0xc000000d);
    const transcript = lab.events.map((event) => event.kind);
    expect(transcript.lastIndexOf('applied')).toBeLessThan(transcript.lastIndexOf('debugPrint'));
  });
});
