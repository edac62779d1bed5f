import { defineScenario, Lab } from 'hotpatch-lab';

const images = new URL('../test/fixtures/x64/', import.meta.url);

export default defineScenario(
  'A driver is patched while a processor is inside it',
  async ({ expect, say }) => {
    const lab = await Lab.boot({ architecture: 'x64', processors: 2 });
    const driver = await lab.loadDriver(new URL('base/packets.sys', images));
    const HandleRequest = driver.symbol('HandleRequest');
    const shortPacket = lab.allocate(Uint8Array.of(1, 5, 10, 20, 30, 40, 50)); // says 5 bytes, 2 arrived

    // A thread is stopped deep inside: ReceivePacket has called Checksum, which is in its loop.
    const inside = lab.startThread(HandleRequest, [shortPacket, 2]);
    lab.run({ until: inside.reaches(driver.symbol('Checksum', 2)) });
    say(`\nThread ${inside.id} is stopped at ${lab.describe(inside.pc)}. Now the patch lands.`);

    await lab.loadHotPatch(new URL('patch/packets_hp.sys', images));

    say(`\nThread ${inside.id} goes on: it returns into the old ReceivePacket and finishes there.`);
    lab.run({ until: inside.returns() });
    expect(inside.result).toBe(570);

    say('The next call, from the same code, runs the new function.');
    expect(lab.call(HandleRequest, [shortPacket, 2]) >>> 0).toBe(0xc000000d);
    expect(lab.call(driver.symbol('PacketsSeen'))).toBe(2);
    expect(lab.call(driver.symbol('PacketsRefused'))).toBe(1);
  },
);
