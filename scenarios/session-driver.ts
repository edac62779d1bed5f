import { defineScenario, Lab } from 'hotpatch-lab';

const images = new URL('../test/fixtures/x64/', import.meta.url);

export default defineScenario(
  'A session driver is patched in the sessions that have it',
  async ({ expect, say }) => {
    const lab = await Lab.boot({ architecture: 'x64' });
    const sessions = [lab.createSession(), lab.createSession(), lab.createSession()];

    say('\nTwo of three sessions have the driver, at the same address: each has its own data.');
    const loaded = [];
    for (const session of sessions.slice(0, 2))
      loaded.push({
        session,
        driver: await lab.loadSessionDriver(session, new URL('base/packets.sys', images)),
      });
    expect(loaded[0]?.driver.dllBase).toBe(loaded[1]?.driver.dllBase ?? 0n);

    say('\nThe engine reaches both through the HotPatch process, which belongs to no session.');
    const patch = await lab.loadHotPatch(new URL('patch/packets_hp.sys', images));
    expect(patch.applications.length).toBe(2);

    const shortPacket = lab.allocate(Uint8Array.of(1, 5, 10, 20, 30, 40, 50));
    for (const { session, driver } of loaded) {
      const status = session.call64(driver.symbol('HandleRequest'), [shortPacket, 2]);
      expect(BigInt.asUintN(32, status)).toBe(0xc000000dn);
    }
    const [first, second] = loaded;
    if (first === undefined || second === undefined) return;
    first.session.call64(first.driver.symbol('HandleRequest'), [shortPacket, 2]);
    expect(BigInt.asUintN(32, first.session.call64(first.driver.symbol('PacketsRefused')))).toBe(2n);
    expect(BigInt.asUintN(32, second.session.call64(second.driver.symbol('PacketsRefused')))).toBe(1n);

    say('\nThe third session loads the driver later, and gets the patch with it.');
    const [, , third] = sessions;
    if (third === undefined) return;
    const late = await lab.loadSessionDriver(third, new URL('base/packets.sys', images));
    expect(late.hotPatchState).toBe('AppliedForward');
    expect(patch.applications.length).toBe(3);

    lab.unloadHotPatch(patch);
    for (const driver of [first.driver, second.driver, late])
      expect(driver.codeBytes()).toEqual(driver.codeBytesBeforePatch);
  },
);
