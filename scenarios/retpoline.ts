import { defineScenario, Lab } from 'hotpatch-lab';

const images = new URL('../test/fixtures/x64/', import.meta.url);

export default defineScenario(
  'Retpoline: the trampoline without an indirect branch',
  async ({ expect, say }) => {
    const lab = Lab.boot({ architecture: 'x64', retpoline: true });
    const driver = lab.loadDriver(new URL('base/packets.sys', images));
    const shortPacket = lab.allocate(Uint8Array.of(1, 5, 10, 20, 30, 40, 50));
    lab.loadHotPatch(new URL('patch/packets_hp.sys', images));

    say("\nThe code slot calls __guard_retpoline_jump_hpat in the image's retpoline page, behind the HPAT:");
    const slot = lab.address('packets!HPAT[0].code');
    say(await lab.listing(slot, 1));
    say('\nThat finds the data slot by its return address and leaves by a `ret` that nothing can mistrain:');
    say(await lab.listing(lab.address('packets!__guard_retpoline_jump_hpat'), 9));
    expect(driver.domain.addressSpace.readU8(slot)).toBe(0xe8);

    expect(lab.call(driver.symbol('HandleRequest'), [shortPacket, 2])).toBeStatus('STATUS_INVALID_PARAMETER');
  },
);
