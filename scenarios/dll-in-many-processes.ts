import { defineScenario, Lab } from 'hotpatch-lab';

const images = new URL('../test/fixtures/x64/', import.meta.url);

export default defineScenario('A DLL is patched in every process that has it', ({ expect, say }) => {
  const lab = Lab.boot({ architecture: 'x64', processors: 2 });
  lab.addFile(new URL('hpimport.dll', images));

  const start = (name: string) => {
    const process = lab.createProcess(name);
    return { process, demo: lab.loadDll(process, new URL('base/demo.dll', images)) };
  };
  const [mail, web, print] = [start('mail.exe'), start('web.exe'), start('print.exe')];

  // One thread is in the middle of the old function when the patch lands.
  const inside = mail.process.createThread(mail.demo.symbol('leaf_opaque'));
  lab.run({ until: inside.reaches(mail.demo.symbol('leaf_opaque', 5)) });

  say('\nNT stores through an alias of each page; copy-on-write gives every process its own copy first.');
  const patch = lab.loadHotPatch(new URL('patch/demo_hp.dll', images));
  expect(patch.applications.length).toBe(3);
  lab.run({ until: inside.returns() });
  expect(inside.result).toBe(42);
  for (const { process, demo } of [mail, web, print])
    expect(process.call(demo.symbol('leaf_opaque'))).toBe(43);

  say('\nA process that starts now gets the patch before its first instruction.');
  const late = start('late.exe');
  expect(late.process.call(late.demo.symbol('leaf_opaque'))).toBe(43);

  say('\nRollback, everywhere.');
  lab.unloadHotPatch(patch);
  for (const { process, demo } of [mail, web, print, late]) {
    expect(process.call(demo.symbol('leaf_opaque'))).toBe(42);
    expect(demo.codeBytes()).toEqual(demo.codeBytesBeforePatch);
  }
});
