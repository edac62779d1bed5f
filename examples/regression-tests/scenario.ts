import { defineScenario } from 'hotpatch-lab';
import { bootPackets } from './test/packets.js';

export default defineScenario('packets.sys is patched while a thread is inside', async ({ expect }) => {
  using system = await bootPackets();
  const inside = system.receive();
  system.lab.run({ until: inside.reaches(system.driver.symbol('Checksum')) });

  const patch = await system.patch();
  system.lab.run({ until: inside.returns() });
  expect(inside.result).toBe(570); // it finished in old code, and read beyond the packet

  system.lab.unloadHotPatch(patch);
  expect(system.driver.codeBytes()).toEqual(system.driver.codeBytesBeforePatch);
});
