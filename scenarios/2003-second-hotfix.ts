import { defineScenario, Lab } from 'hotpatch-lab';

const images = new URL('../test/fixtures/2003/', import.meta.url);

/** The fourth problem of hotpatching a running server: a further hotfix on a system that has not been rebooted since the last one. */
export default defineScenario('Server 2003: a second hotfix after the first', ({ expect, say }) => {
  for (const architecture of ['x86', 'x64'] as const) {
    say(`\n${architecture}`);
    const lab = Lab.boot({ architecture, engine: 'server-2003' });
    const { engine } = lab;
    const file = (path: string) => new URL(`${architecture}/${path}`, images);
    const process = lab.createProcess('explorer.exe');
    const shell = lab.loadDll(process, file('base/shell.dll'));
    const call = (name: string, ...parameters: (number | bigint)[]) =>
      process.call(shell.symbol(name), parameters);
    const title = lab.allocate(new Uint8Array(8), { domain: process });
    const state = () => [call('SetTitle', title, 1, 4), call('Weigh', 4)];
    expect(state()).toEqual([4, 0x7fff]); // both functions are off by one

    say('\nThe first hotfix mends CopyName.');
    const one = lab.loadHotPatch(file('patch1/shell_hp.dll'), { name: 'shell_hp1.dll' });
    expect(state()).toEqual([-1, 0x7fff]);
    const afterFirst = shell.codeBytes();

    say(
      '\nThe second one mends ItemWeight as well. Its validations see the module without the first hotfix’s jumps.',
    );
    const two = lab.loadHotPatch(file('patch2/shell_hp.dll'), { name: 'shell_hp2.dll' });
    expect(state()).toEqual([-1, 0]);
    expect(engine.patchList(shell).map(({ patch }) => patch.name)).toEqual([
      'shell_hp1.dll',
      'shell_hp2.dll',
    ]);

    say('\nBoth count in the variable of the one running module.');
    const copies = call('Copies') & 0xff;
    call('SetTitle', title, 1, 8);
    expect((call('Copies') & 0xff) - copies).toBe(1);

    say('\nThe second lies over the first, so it goes first.');
    expect(() => engine.unload(one)).toThrow('chain.covered');
    engine.unload(two);
    expect(state()).toEqual([-1, 0x7fff]);
    expect(shell.codeBytes()).toEqual(afterFirst);
    engine.unload(one);
    expect(state()).toEqual([4, 0x7fff]);
    expect(shell.codeBytes()).toEqual(shell.codeBytesBeforePatch);
  }
});
