import { defineScenario, Lab } from 'hotpatch-lab';

const images = new URL('../test/fixtures/x64/', import.meta.url);

export default defineScenario('Rollback: the undo table brings every byte back', ({ expect, say }) => {
  const lab = Lab.boot({ architecture: 'x64' });
  const driver = lab.loadDriver(new URL('base/packets.sys', images));
  const ReceivePacket = driver.symbol('ReceivePacket');
  const shortPacket = lab.allocate(Uint8Array.of(1, 5, 10, 20, 30, 40, 50));

  const patch = lab.loadHotPatch(new URL('patch/packets_hp.sys', images));
  expect(lab.call(ReceivePacket, [shortPacket, 2])).toBeStatus('STATUS_INVALID_PARAMETER');

  // A thread is inside the new function when the patch is taken back.
  const inside = lab.startThread(ReceivePacket, [shortPacket, 2]);
  lab.run({ until: inside.reaches(lab.address('packets_hp!ReceivePacket')) });

  say('\nThe patch is taken back.');
  lab.unloadHotPatch(patch);
  expect(driver.codeBytes()).toEqual(driver.codeBytesBeforePatch); // byte for byte

  say('\nThe thread that was in the new function finishes there; the next call is an old one.');
  lab.run({ until: inside.returns() });
  expect(inside.result).toBeStatus('STATUS_INVALID_PARAMETER');
  expect(lab.call(ReceivePacket, [shortPacket, 2])).toBe(570);
});
