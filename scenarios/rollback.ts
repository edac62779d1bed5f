import { defineScenario, Lab } from 'hotpatch-lab';

const images = new URL('../test/fixtures/x64/', import.meta.url);

export default defineScenario('Rollback: the undo table brings every byte back', async ({ expect, say }) => {
  const lab = await Lab.boot({ architecture: 'x64' });
  const driver = await lab.loadDriver(new URL('base/packets.sys', images));
  const ReceivePacket = driver.symbol('ReceivePacket');
  const shortPacket = lab.allocate(Uint8Array.of(1, 5, 10, 20, 30, 40, 50));

  const patch = await lab.loadHotPatch(new URL('patch/packets_hp.sys', images));
  expect(lab.call(ReceivePacket, [shortPacket, 2]) >>> 0).toBe(0xc000000d);

  // A thread is inside the new function when the patch is taken back.
  const patched = patch.loaded?.symbol('ReceivePacket') ?? 0n;
  const inside = lab.startThread(ReceivePacket, [shortPacket, 2]);
  lab.run({ until: inside.reaches(patched) });

  say('\nThe patch is taken back.');
  lab.unloadHotPatch(patch);
  expect(driver.codeBytes()).toEqual(driver.codeBytesBeforePatch); // byte for byte

  say('\nThe thread that was in the new function finishes there; the next call is an old one.');
  lab.run({ until: inside.returns() });
  expect(inside.returnValue).toBe(0xc000000dn);
  expect(lab.call(ReceivePacket, [shortPacket, 2])).toBe(570);
});
