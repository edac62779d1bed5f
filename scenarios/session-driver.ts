import { defineScenario, Lab } from 'hotpatch-lab';

const images = new URL('../test/fixtures/x64/', import.meta.url);

export default defineScenario(
  'A session driver is patched in the sessions that have it',
  ({ expect, say }) => {
    const lab = Lab.boot({ architecture: 'x64' });
    const [first, second, third] = [lab.createSession(), lab.createSession(), lab.createSession()];

    say('\nTwo of three sessions have the driver, at the same address: each has its own data.');
    const packets = new URL('base/packets.sys', images);
    const driver = lab.loadSessionDriver(first, packets);
    const other = lab.loadSessionDriver(second, packets);
    expect(driver.dllBase).toBe(other.dllBase);

    say('\nThe engine reaches both through the HotPatch process, which belongs to no session.');
    const patch = lab.loadHotPatch(new URL('patch/packets_hp.sys', images));
    expect(patch.applications.length).toBe(2);

    const shortPacket = lab.allocate(Uint8Array.of(1, 5, 10, 20, 30, 40, 50));
    const HandleRequest = driver.symbol('HandleRequest');
    for (const session of [first, second])
      expect(session.call(HandleRequest, [shortPacket, 2])).toBeStatus('STATUS_INVALID_PARAMETER');
    first.call(HandleRequest, [shortPacket, 2]);
    expect(first.call(driver.symbol('PacketsRefused'))).toBe(2);
    expect(second.call(driver.symbol('PacketsRefused'))).toBe(1);

    say('\nThe third session loads the driver later, and gets the patch with it.');
    const late = lab.loadSessionDriver(third, packets);
    expect(late.hotPatchState).toBe('AppliedForward');
    expect(patch.applications.length).toBe(3);

    lab.unloadHotPatch(patch);
    for (const image of [driver, other, late]) expect(image.codeBytes()).toEqual(image.codeBytesBeforePatch);
  },
);
