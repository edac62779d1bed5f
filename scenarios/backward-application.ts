import { defineScenario, Lab } from 'hotpatch-lab';

const images = new URL('../test/fixtures/x64/', import.meta.url);

export default defineScenario(
  'Backward application: a patch image is tied to its base before anybody runs it',
  async ({ expect, say }) => {
    const lab = Lab.boot({ architecture: 'x64' });
    const driver = lab.loadDriver(new URL('base/packets.sys', images));
    const HandleRequest = driver.symbol('HandleRequest');
    const packet = lab.allocate(Uint8Array.of(1, 2, 10, 20));
    lab.call(HandleRequest, [packet, 4]);

    lab.loadHotPatch(new URL('patch/packets_hp.sys', images));
    const pointer = (location: string) => driver.domain.addressSpace.readU64(lab.address(location));

    say('\nCallees: Checksum is the same in both builds, so its copy in the patch image leads to the base.');
    say(await lab.listing(lab.address('packets_hp!Checksum'), 1));
    const inside = lab.startThread(HandleRequest, [packet, 4]);
    lab.run({ until: inside.reaches(driver.symbol('Checksum')) });
    const frames = inside.stackWalk().map(({ pc }) => lab.describe(pc));
    say(`The call stack at its first instruction: ${frames.join(' ← ')}`);
    expect(frames[0]).toBe('packets!Checksum');
    expect(frames[1]).toContain('packets_hp!ReceivePacket');
    lab.run({ until: inside.returns() });

    say('\nVariables: the patch image counts where the base counts.');
    say(`packets_hp!__ref_g_PacketsSeen → ${lab.describe(pointer('packets_hp!__ref_g_PacketsSeen'))}`);
    expect(pointer('packets_hp!__ref_g_PacketsSeen')).toBe(driver.symbol('g_PacketsSeen'));
    expect(lab.call(driver.symbol('PacketsSeen'))).toBe(2); // one packet in old code, one in new code

    say('\nImports: the address that the base has bound is used, so both call the very same function.');
    expect(pointer('packets_hp!__imp_DbgPrint')).toBe(pointer('packets!__imp_DbgPrint'));
  },
);
