import { defineScenario, Lab } from 'hotpatch-lab';

const images = new URL('../test/fixtures/x64/', import.meta.url);

export default defineScenario('A DLL is patched in every process that has it', async ({ expect, say }) => {
  const lab = await Lab.boot({ architecture: 'x64', processors: 2 });
  await lab.addFile(new URL('hpimport.dll', images));

  const start = async (name: string) => {
    const process = lab.createProcess(name);
    return { process, demo: await lab.loadDll(process, new URL('base/demo.dll', images)) };
  };
  const programs = [await start('mail.exe'), await start('web.exe'), await start('print.exe')];

  // One thread is in the middle of the old function when the patch lands.
  const [mail] = programs;
  if (mail === undefined) return;
  const inside = mail.process.createThread(mail.demo.symbol('leaf_opaque'));
  lab.run({ until: inside.reaches(mail.demo.symbol('leaf_opaque', 5)) });

  say('\nNT stores through an alias of each page; copy-on-write gives every process its own copy first.');
  const patch = await lab.loadHotPatch(new URL('patch/demo_hp.dll', images));
  expect(patch.applications.length).toBe(3);
  lab.run({ until: inside.returns() });
  expect(inside.result).toBe(42);
  for (const { process, demo } of programs) expect(process.call64(demo.symbol('leaf_opaque'))).toBe(43n);

  say('\nA process that starts now gets the patch before its first instruction.');
  const late = await start('late.exe');
  expect(late.process.call64(late.demo.symbol('leaf_opaque'))).toBe(43n);

  say('\nRollback, everywhere.');
  lab.unloadHotPatch(patch);
  for (const { process, demo } of [...programs, late]) {
    expect(process.call64(demo.symbol('leaf_opaque'))).toBe(42n);
    expect(demo.codeBytes()).toEqual(demo.codeBytesBeforePatch);
  }
});
