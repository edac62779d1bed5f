import { describe, expect, it } from 'vitest';
import { type Architecture, demoScenario, transcriptFrom } from './debug.js';

const architectures: readonly Architecture[] = ['x64', 'arm64', 'x86'];

/** Sessions whose whole output, from the first command on, is compared. */
const sessions: Readonly<Record<string, { readonly patch: boolean; readonly commands: readonly string[] }>> =
  {
    'each hop of a trampoline': {
      patch: true,
      commands: ['bu demo_hp!dispatch', 'g', 'k', 't-', 't-', 't-', 'ub . L2', 't', 't', 'p', 'gu', 'k', 'q'],
    },
    'a patch that lands at the prompt': {
      patch: false,
      commands: [
        'bp demo!dispatch',
        'g',
        't',
        '.patch test/fixtures/ARCH/patch/demo_hp.dll',
        'uf demo!leaf_opaque',
        '!hpat demo',
        '!hpat demo_hp',
        '!hotpatch',
        'lm',
        'gu',
        '.unpatch',
        'u demo!leaf_opaque L1',
        'q',
      ],
    },
    'looking around': {
      patch: false,
      commands: [
        'bp demo!dispatch',
        'bl',
        'g',
        'r',
        '~',
        '!thread',
        '!process',
        '!pte demo!g_counter',
        'x demo!leaf*',
        'ln demo!leaf_self+1',
        '? demo!dispatch+0n16-(demo+3)',
        'db demo!g_sess L10',
        'dd demo!g_counter L1',
        'dw demo!g_counter L1',
        'dq demo!g_sess L2',
        'dps demo!g_hook L1',
        'eb demo!g_counter 2a 0 0 0',
        'dd demo!g_counter L1',
        'bc *',
        'bl',
        'q',
      ],
    },
  };

describe.each(architectures)('the prompt on %s', (architecture) => {
  it.each(Object.entries(sessions))('shows %s', async (name, { patch, commands }) => {
    const text = await transcriptFrom(
      `> ${commands[0]}\n`,
      demoScenario(architecture, { patch }),
      ...commands.map((command) => command.replace('ARCH', architecture)),
    );
    await expect(text).toMatchFileSnapshot(`transcripts/${architecture} ${name}.txt`);
  });
});

describe('mistakes at the prompt', () => {
  it.each([
    ['frobnicate', "'frobnicate' is no command; .help lists them"],
    ['u nosuch!thing', "error: cannot resolve 'nosuch!thing'"],
    ['db 10', 'error: there is no memory at 00000000`00000010'],
    ['? 1 +', 'error: an expression ends too early'],
    ['? (1', "error: a ')' is missing"],
    ['? 1/0', 'error: division by zero'],
    ['bc 7', 'error: there is no breakpoint 7; bl lists them'],
    ['bp hpimport!nosuch', "error: cannot resolve 'hpimport!nosuch'"],
    [
      'bp hpimport!imp_add+4',
      'warning: hpimport!imp_add+0x4 lies inside the instruction at hpimport!imp_add+0x3',
    ],
    ['ba w4', 'error: ba needs an access, a size and an address'],
    ['r nosuch', "error: there is no register 'nosuch'"],
    ['.unpatch', 'error: there is no patch in force'],
    ['.patch nosuch.dll', 'error: nosuch.dll: there is no such file'],
    ['~99s', "error: '~99s': there is no such thread"],
    ['!tt x', "error: 'x' is not a position such as 1F:A"],
    ['t-', 'error: this is where the thread began'],
    ['!hpat nosuch', "error: there is no module 'nosuch'"],
  ])('%s: %s', async (command, message) => {
    const scenario = demoScenario('x64', { patch: false });
    const text = await transcriptFrom(`> bu demo!fib\n`, scenario, 'bu demo!fib', 'bc *', command, 'q');
    expect(text).toContain(`\n${message}`);
  });
});
