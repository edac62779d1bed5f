import { fileURLToPath } from 'node:url';
import { defineScenario, Lab } from 'hotpatch-lab';
import { runDebugScript } from 'hotpatch-lab/debugger';
import { describe, expect, it } from 'vitest';
import { hotpatch } from '../cli/hotpatch.js';

const scenario = fileURLToPath(new URL('../../scenarios/2003-second-hotfix.ts', import.meta.url));

/** Only what the debugger prints of the stop: what the scenario tells is tested elsewhere. */
async function step(...commands: readonly string[]) {
  const { stdout, stderr } = await hotpatch('step', scenario, '--command', [...commands, 'q'].join('; '));
  expect(stderr).toBe('');
  return stdout;
}

describe('the way of a call through hooks of 2003, in the debugger', () => {
  /** The bytes by hand: E9 from …3b to …10000 further; EB F9 from …40 back to …3b. */
  it('is named on x86, hop by hop: patched entry, jump in the padding, new function', async () => {
    const output = await step('bu shell_hp1!CopyName', 'g', 't-', 't-');
    expect(output).toContain(`shell!CopyName-0x5:    pad jump → shell_hp1!CopyName
1019103b e900000100       jmp     shell_hp1!CopyName (101a1040)`);
    expect(output).toContain(`shell!CopyName:    patched entry → pad jump
10191040 ebf9             jmp     shell!CopyName-0x5 (1019103b)`);
  });

  it('is named on x64 through the pointer that the jump reads', async () => {
    const images = new URL('../fixtures/2003/x64/', import.meta.url);
    const title = defineScenario('x64', () => {
      const lab = Lab.boot({ architecture: 'x64', engine: 'server-2003' });
      const process = lab.createProcess('explorer.exe');
      const shell = lab.loadDll(process, new URL('base/shell.dll', images));
      lab.loadHotPatch(new URL('patch1/shell_hp.dll', images));
      const buffer = lab.allocate(new Uint8Array(8), { domain: process });
      process.call(shell.symbol('SetTitle'), [buffer, 1, 4]);
    });
    let output = '';
    const write = (text: string) => {
      output += text;
    };
    const commands = ['bu shell_hp!CopyName', 'g', 't-', 't-', 'u shell!CopyName-6 L1', 'q'];
    await runDebugScript(title, commands.join('; '), { write });
    // FF 25 rel32, and EB F8 from the entry to six bytes before it.
    expect(output).toMatch(
      /shell!CopyName-0x6: {4}pad jump → pointer → shell_hp!CopyName\n[0-9a-f`]+ ff25f8010000 /,
    );
    expect(output).toMatch(/shell!CopyName: {4}patched entry → pad jump\n[0-9a-f`]+ ebf8 /);
  });

  it('!hotpatch lists types, places and the checksum; lm says what is in force', async () => {
    const output = await step('bu shell_hp1!CopyName', 'g', '!hotpatch', 'lm');
    // The checksum in the header of the base: 0x68de.
    expect(output).toContain('for shell.dll, identified by PeChecksum 0x68de');
    expect(output).toContain(
      'hook 0: X86_JMP, jump in the padding of shell!CopyName at 1019103b, e9 00 00 01 00, originally cc cc cc cc cc',
    );
    expect(output).toContain(
      'hook 1: X86_JMP2B, entry of shell!CopyName at 10191040, eb f9, originally 8b ff',
    );
    expect(output).toMatch(/shell_hp1 +shell_hp1.dll, .*, patch image, active\n/);
  });

  it('a hotpatch that was taken back has no hops any more', async () => {
    const output = await step('bu shell_hp1!CopyName', 'g', 'gu', '.unpatch', 'u shell!CopyName L1', 'lm');
    expect(output).toMatch(/shell!CopyName:\n10191040 8bff/);
    expect(output).toMatch(/patch image, inactive\n/);
  });
});
