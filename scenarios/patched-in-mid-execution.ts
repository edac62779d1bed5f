import { defineScenario, Lab } from 'hotpatch-lab';

const images = new URL('../test/fixtures/x64/', import.meta.url);

export default defineScenario('A driver is patched while a processor is inside it', ({ expect, say }) => {
  const lab = Lab.boot({ architecture: 'x64', processors: 2 });
  const driver = lab.loadDriver(new URL('base/packets.sys', images));
  const HandleRequest = driver.symbol('HandleRequest');
  const shortPacket = lab.allocate(Uint8Array.of(1, 5, 10, 20, 30, 40, 50)); // says 5 bytes, 2 arrived

  // A thread is stopped deep inside: ReceivePacket has called Checksum, which is in its loop.
  const inside = lab.startThread(HandleRequest, [shortPacket, 2]);
  lab.run({ until: inside.reaches(driver.symbol('Checksum', 2)) });
  say(`\nThread ${inside.id} is stopped at ${lab.describe(inside.pc)}. Now the patch lands.`);

  lab.loadHotPatch(new URL('patch/packets_hp.sys', images));

  say(`\nThread ${inside.id} goes on: it returns into the old ReceivePacket and finishes there.`);
  lab.run({ until: inside.returns() });
  expect(inside.result).toBe(570);

  say('The next call, from the same code, runs the new function.');
  expect(lab.call(HandleRequest, [shortPacket, 2])).toBeStatus('STATUS_INVALID_PARAMETER');
  expect(lab.call(driver.symbol('PacketsSeen'))).toBe(2);
  expect(lab.call(driver.symbol('PacketsRefused'))).toBe(1);
});
