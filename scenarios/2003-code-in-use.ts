import { defineScenario, Lab } from 'hotpatch-lab';

/** Built by scripts/build-2003-fixtures.ts from test/fixtures/src/2003/shell.c. */
const images = new URL('../test/fixtures/2003/', import.meta.url);

/** Bytes of the jump in the padding: direct on x86, through a pointer on x64. */
const paddingJump = { x86: 5n, x64: 6n };

/** The first problem of hotpatching a running server: patching code that is currently in use. */
export default defineScenario('Server 2003: code that is in use is patched', async ({ expect, say }) => {
  for (const architecture of ['x86', 'x64'] as const) {
    say(`\n${architecture}: a server of 2003, without a Secure Kernel and without any HPAT.`);
    const lab = Lab.boot({ architecture, processors: 2, engine: 'server-2003' });
    const { engine } = lab;
    const start = (name: string) => {
      const process = lab.createProcess(name);
      return { process, shell: lab.loadDll(process, new URL(`${architecture}/base/shell.dll`, images)) };
    };
    const { process: explorer, shell } = start('explorer.exe');
    const taskbar = start('taskbar.exe');

    // "edit" has four characters; a buffer of four has no room for its end mark. The old code is off by one.
    const buffer = lab.allocate(new Uint8Array(8).fill(0x2a), { domain: explorer });
    const setTitle = (size: number) => explorer.call(shell.symbol('SetTitle'), [buffer, 1, size]);
    expect(setTitle(4)).toBe(4);
    expect(explorer.addressSpace.readU8(buffer + 4n)).toBe(0); // one byte too far

    say('\nBefore: padding, then the function, which begins with an instruction of two bytes or more.');
    const CopyName = shell.symbol('CopyName');
    say(await lab.listing(CopyName, 3));

    say('\nA thread is in the middle of the old function when the hotpatch comes.');
    const long = lab.allocate(new Uint8Array(64), { domain: explorer });
    const text = lab.allocate('a title of some length', { domain: explorer });
    const inside = explorer.createThread(CopyName, [long, text, 64]);
    const middle = shell.symbol('Length');
    lab.run({ until: inside.reaches(middle) });
    const patch = lab.loadHotPatch(new URL(`${architecture}/patch1/shell_hp.dll`, images));
    expect(patch.state).toBe('applied');
    expect(engine.threadsInOldCode(patch).length).toBe(1);

    say('\nAfter: two bytes at the entry lead into the padding, and the jump there out of the image.');
    say(await lab.listing(CopyName, 1));
    say(await lab.listing(CopyName - paddingJump[architecture], 1));
    expect(setTitle(4)).toBe(-1);
    expect(setTitle(5)).toBe(4);
    lab.run({ until: inside.returns() });
    expect(inside.result).toBe(22); // it finished in the old code
    expect(engine.threadsInOldCode(patch)).toEqual([]);

    say('\nDisabled: the hook bytes are swapped back, in every process.');
    engine.unload(patch);
    expect(setTitle(4)).toBe(4);
    for (const image of [shell, taskbar.shell]) expect(image.codeBytes()).toEqual(image.codeBytesBeforePatch);
  }
});
