import { fileURLToPath } from 'node:url';
import { defineScenario, Lab } from 'hotpatch-lab';
import { runDebugScript } from 'hotpatch-lab/debugger';
import { describe, expect, it } from 'vitest';
import { HOOK_TYPE, ImageBuilder } from '../../image/index.js';
import { hotpatch } from '../cli/hotpatch.js';
import { buildPatch, indirectHooks } from '../engine/server-2003/support.js';

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

/** `f` begins with an instruction of seven bytes, `h` with one of two; both are to return 9. */
function hookedOnX64() {
  const target = new ImageBuilder('x64', {
    subsystem: 'WINDOWS_CUI',
    dll: true,
    name: 'target.dll',
    functionPadding: 6,
  })
    .code('f', [0x48, 0x8d, 0x80, 1, 0, 0, 0, 0xb8, 1, 0, 0, 0, 0xc3]) // lea rax,[rax+1]; mov eax,1; ret
    .code('h', [0x8b, 0xff, 0xb8, 2, 0, 0, 0, 0xc3])
    .code('cells', new Uint8Array(16))
    .export('f')
    .build();
  const patch = buildPatch(target, {
    processor: 'x64',
    section: ({ good, layout }) => {
      const { AMD64_CNT, AMD64_IND } = HOOK_TYPE;
      const [cell, g] = [target.rva('cells'), layout.rva('g')];
      return {
        ...good,
        validations: [],
        hooks: [
          { type: AMD64_CNT, hookRva: cell, hotpRva: g },
          { type: AMD64_IND, options: 7, hookRva: target.rva('f'), hotpRva: g },
          ...indirectHooks(target.rva('h'), g, cell).slice(1),
        ],
      };
    },
  });
  return { target, patch };
}

describe('hooks that no hotpatch of the fixtures has, in the debugger', () => {
  const { target, patch } = hookedOnX64();
  const show = async (functionName: string, steps: number | undefined, ...commands: readonly string[]) => {
    const title = defineScenario('hooks', () => {
      const lab = Lab.boot({
        architecture: 'x64',
        engine: 'server-2003',
        engineOptions: { gatherProcessors: steps === undefined },
      });
      const process = lab.createProcess('explorer.exe');
      const module = process.loadImage(target.image, { symbols: target.symbols, initialize: false });
      const operation = lab.engine.loadSteps(patch, { name: 'patch.dll' });
      for (let count = 0; count !== steps && operation.next().done !== true; count++);
      process.call(module.symbol(functionName));
    });
    let output = '';
    await runDebugScript(title, [...commands, 'q'].join('; '), {
      write: (text) => {
        output += text;
      },
    });
    return output;
  };

  it('an indirect jump over the entry itself leads through its pointer', async () => {
    const output = await show('f', undefined, 'bp target!f', 'g', 't');
    expect(output).toContain('target!f:    patched entry → pointer → patch+0x1010\n');
    expect(output).toContain('patch+0x1010:\n');
  });

  it('in the midst of an operation it is the bytes that count: not what will be stored, but what was', async () => {
    const indirect = /target!h-0x6: {4}pad jump → pointer → patch\+0x1010\n/;
    const entry = /target!h: {4}patched entry → pad jump\n/;
    const padding = (target.rva('h') - target.rva('f') - 6).toString(16);
    const isNamed = await Promise.all(
      [2, 3, 4].map(async (steps) => {
        const output = await show('h', steps, `u target!f+${padding} L1`, 'u target!h L1');
        return [indirect, entry].map((way) => way.test(output));
      }),
    );
    expect(isNamed).toEqual([
      [false, false],
      [true, false],
      [true, true],
    ]);
  });
});
