import { defineScenario, Lab } from 'hotpatch-lab';

const images = new URL('../test/fixtures/x64/', import.meta.url);

export default defineScenario(
  'Backward application: a patch image is tied to its base before anybody runs it',
  async ({ expect, say }) => {
    const lab = await Lab.boot({ architecture: 'x64' });
    const driver = await lab.loadDriver(new URL('base/packets.sys', images));
    const HandleRequest = driver.symbol('HandleRequest');
    const packet = lab.allocate(Uint8Array.of(1, 2, 10, 20));
    lab.call(HandleRequest, [packet, 4]);

    const patch = await lab.loadHotPatch(new URL('patch/packets_hp.sys', images));
    const image = patch.loaded;
    if (image === undefined) return;
    const pointer = (name: string) => image.readPointer(image.rva(image.symbol(name)));

    say('\nCallees: Checksum is the same in both builds, so its copy in the patch image leads to the base.');
    say(await lab.listing(image.symbol('Checksum'), 1));
    const inside = lab.startThread(HandleRequest, [packet, 4]);
    lab.run({ until: inside.reaches(driver.symbol('Checksum')) });
    const frames = inside.stackWalk().map(({ pc }) => lab.describe(pc));
    say(`The call stack at its first instruction: ${frames.join(' ← ')}`);
    expect(frames[0]).toBe('packets!Checksum');
    expect(frames[1]).toContain('packets_hp!ReceivePacket');
    lab.run({ until: inside.returns() });

    say('\nVariables: the patch image counts where the base counts.');
    say(`packets_hp!__ref_g_PacketsSeen → ${lab.describe(pointer('__ref_g_PacketsSeen'))}`);
    expect(pointer('__ref_g_PacketsSeen')).toBe(driver.symbol('g_PacketsSeen'));
    expect(lab.call(driver.symbol('PacketsSeen'))).toBe(2); // one packet in old code, one in new code

    say('\nImports: the address that the base has bound is used, so both call the very same function.');
    expect(pointer('__imp_DbgPrint')).toBe(driver.readPointer(driver.rva(driver.symbol('__imp_DbgPrint'))));
  },
);
