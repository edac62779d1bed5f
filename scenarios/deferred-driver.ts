import { defineScenario, Lab } from 'hotpatch-lab';

const images = new URL('../test/fixtures/x64/', import.meta.url);

export default defineScenario('Deferred: the patch is there before its driver', ({ expect, say }) => {
  const lab = Lab.boot({ architecture: 'x64' });

  say('\nNo loaded image has the checksum and timestamp that the patch names. It is kept for later.');
  const patch = lab.loadHotPatch(new URL('patch/packets_hp.sys', images));
  expect(patch.state).toBe('deferred');
  expect(patch.status.name).toBe('STATUS_PATCH_DEFERRED');

  say('\nA driver with the same name, but of another build, is left alone.');
  const other = lab.loadDriver(new URL('fixed/packets.sys', images));
  expect(patch.state).toBe('deferred');
  lab.kernel.unloadImage(other);

  say('\nThe right one comes: it is patched before its first instruction runs.');
  const driver = lab.loadDriver(new URL('base/packets.sys', images));
  expect(patch.state).toBe('applied');
  const shortPacket = lab.allocate(Uint8Array.of(1, 5, 10, 20, 30, 40, 50));
  expect(lab.call(driver.symbol('HandleRequest'), [shortPacket, 2])).toBeStatus('STATUS_INVALID_PARAMETER');
});
