import { defineScenario, Lab } from 'hotpatch-lab';

const images = new URL('../test/fixtures/x64/', import.meta.url);

export default defineScenario(
  'Retpoline: the trampoline without an indirect branch',
  async ({ expect, say }) => {
    const lab = await Lab.boot({ architecture: 'x64', retpoline: true });
    const driver = await lab.loadDriver(new URL('base/packets.sys', images));
    const shortPacket = lab.allocate(Uint8Array.of(1, 5, 10, 20, 30, 40, 50));
    await lab.loadHotPatch(new URL('patch/packets_hp.sys', images));

    say("\nThe code slot calls __guard_retpoline_jump_hpat in the image's retpoline page, behind the HPAT:");
    const slot = driver.hpat?.codeSlot(0) ?? 0n;
    say(await lab.listing(slot, 1));
    say('\nThat finds the data slot by its return address and leaves by a `ret` that nothing can mistrain:');
    say(await lab.listing(driver.jumpHpat ?? 0n, 9));
    expect([...driver.domain.addressSpace.read(slot, 8)][0]).toBe(0xe8);

    expect(lab.call(driver.symbol('HandleRequest'), [shortPacket, 2]) >>> 0).toBe(0xc000000d);
  },
);
