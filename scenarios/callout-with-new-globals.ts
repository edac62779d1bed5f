import { defineScenario, Lab } from 'hotpatch-lab';

const images = new URL('../test/fixtures/x64/', import.meta.url);

export default defineScenario('The callout: a patch that brings data of its own', ({ expect, say }) => {
  const lab = Lab.boot({ architecture: 'x64' });
  const driver = lab.loadDriver(new URL('base/callout.sys', images));
  const HandleRequest = driver.symbol('HandleRequest');
  const packet = (type: number) => lab.allocate(Uint8Array.of(type, 2, 10, 20));

  say('\nThe fixed driver counts packet types in a table that the old one did not have.');
  say('__PatchMainCallout__ allocates it in phase 0, before any new code can run.');
  const patch = lab.loadHotPatch(new URL('patch/callout_hp.sys', images));
  expect(lab.call(driver.symbol('CalloutPhasesSeen'))).toBe(0b011); // phases 0 and 1

  for (const type of [3, 3, 5]) lab.call(HandleRequest, [packet(type), 4]);

  const { addressSpace } = driver.domain;
  const table = addressSpace.readU64(lab.address('callout_hp!g_TypesSeen'));
  const counts = [3, 4, 5].map((type) => addressSpace.readU32(table + BigInt(4 * type)));
  say(
    `\nThe new table, in memory that the callout allocated: type 3: ${counts[0]}, type 4: ${counts[1]}, type 5: ${counts[2]}`,
  );
  expect(counts).toEqual([2, 0, 1]);

  say('\nA callout that fails in phase 0 stops the patch before it begins.');
  lab.unloadHotPatch(patch);
  lab.call(driver.symbol('FailCalloutInPhase'), [0]);
  let refusal = '';
  try {
    lab.loadHotPatch(new URL('patch/callout_hp.sys', images));
  } catch (error) {
    refusal = String(error);
  }
  say(refusal);
  expect(refusal).toContain('callout.failed');
  expect(driver.codeBytes()).toEqual(driver.codeBytesBeforePatch);
});
