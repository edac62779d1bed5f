import { defineScenario, Lab } from 'hotpatch-lab';

const images = new URL('../test/fixtures/arm64/', import.meta.url);

/** The case of msquic.dll for ARM64: no padding between functions, only a map of where they are. */
export default defineScenario('ARM64: a DLL is patched without any padding', async ({ expect, say }) => {
  const lab = Lab.boot({ architecture: 'arm64', processors: 2 });
  lab.addFile(new URL('hpimport.dll', images));
  const process = lab.createProcess('quic.exe');
  const demo = lab.loadDll(process, new URL('base/demo.dll', images));
  const leaf = demo.symbol('leaf_opaque');

  say('\nBefore: the function as the compiler made it.');
  say(await lab.listing(leaf, 2));
  const before = demo.codeBytes();
  const patch = lab.loadHotPatch(new URL('patch/demo_hp.dll', images));

  say(
    '\nAfter: its first instruction is a branch to the HPAT, where two more lead on (modelled: nothing is public).',
  );
  say(await lab.listing(leaf, 2));
  const record = lab.engine.record(demo);
  const [slot] = [...record.undo].find(([, { rva }]) => rva === demo.rva(leaf)) ?? [];
  say(await lab.listing(lab.address(`demo!HPAT[${slot}].code`), 2));
  expect(process.call(leaf)).toBe(43);

  const after = demo.codeBytes();
  const changed = [...before.keys()].filter((i) => before[i] !== after[i]);
  expect(changed.length > 0 && changed.length <= 4 * patch.functions).toBe(true); // one instruction each, no padding

  lab.unloadHotPatch(patch);
  expect(demo.codeBytes()).toEqual(demo.codeBytesBeforePatch);
});
