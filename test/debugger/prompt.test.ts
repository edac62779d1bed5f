import { describe, expect, it } from 'vitest';
import { type Architecture, demoScenario, transcriptOf } from './debug.js';

const ARCHITECTURES: readonly Architecture[] = ['x64', 'arm64', 'x86'];

/** What each command has shown, in order: from behind its prompt to the next one. */
async function answers(
  architecture: Architecture,
  lines: readonly string[],
  options: { readonly patch?: boolean } = {},
): Promise<string[]> {
  const text = await transcriptOf(demoScenario(architecture, options), ...lines);
  const [, ...parts] = text.split(/^(?:[\d-]+:\d+|ended)> /m);
  return parts.map((part) => part.slice(part.indexOf('\n') + 1));
}

const ask = async (architecture: Architecture, ...lines: readonly string[]): Promise<string> =>
  (await answers(architecture, [...lines, 'q'])).at(-2) ?? '';

/** Steps of the ways to the replacement, by the processor manuals: what stands in the HPAT is the engine's tests' business. */
const WAY: Readonly<Record<Architecture, readonly string[]>> = {
  x64: ['1 [ 0] demo!call_op', '1 [ 0] demo!call_op-0x5', '1 [ 0] demo!HPAT[2].code', '[ 0] demo_hp!call_op'],
  x86: ['1 [ 0] demo!call_op', '1 [ 0] demo!call_op-0x5', '1 [ 0] demo!HPAT[2].code', '[ 0] demo_hp!call_op'],
  arm64: ['1 [ 0] demo!call_op', '2 [ 0] demo!HPAT[2].code', '[ 0] demo_hp!call_op'],
};

describe.each(ARCHITECTURES)('walks on %s', (architecture) => {
  it('wt goes through a trampoline, stretch by stretch, and counts as the thread does', async () => {
    const shown = await answers(architecture, [
      'bu demo_hp!fib',
      'bc *',
      'bu demo!call_op',
      'g',
      '!thread',
      'wt',
      '!thread',
      'q',
    ]);
    const [before, walk = '', after] = shown.slice(-4);
    const executed = (text = '') => Number(/(\d+) instruction\(s\) executed/.exec(text)?.[1]);
    const lines = walk.split('\n').map((line) => line.trim());
    expect(lines[0]).toMatch(/^Tracing demo!call_op to return address demo!hp_entry\+0x[0-9a-f]+$/);
    for (const [index, part] of WAY[architecture].entries()) expect(lines[index + 1]).toContain(part);
    const counted = lines.flatMap((line) => /^(\d+) \[ ?\d+\]/.exec(line)?.[1] ?? []).map(Number);
    const total = counted.reduce((sum, count) => sum + count, 0);
    expect(total).toBe(executed(after) - executed(before));
    expect(walk).toContain(`${total} instructions were executed`);
    expect(walk).toMatch(/\d \[ ?\d\] +demo!op_add\n/);
  });

  it.each([
    { command: 'pc', kind: /\s(?:call|bl|blr)\s/ },
    { command: 'tc', kind: /\s(?:call|bl|blr)\s/ },
    { command: 'pt', kind: /\sret\b/ },
    { command: 'tt', kind: /\sret\b/ },
  ])('$command stops at such an instruction', async ({ command, kind }) => {
    const text = await ask(architecture, 'bu demo!hp_entry', 'g', command);
    expect(text).toMatch(kind);
    expect(text.includes('demo!hp_entry+') || command.startsWith('t')).toBe(true);
  });
});

describe('breakpoints', () => {
  it('count only where their condition holds, forwards and backwards', async () => {
    const shown = await answers('x64', [
      'bu /w "@ecx == 4" demo!fib',
      'g',
      'r ecx',
      'bl',
      'g',
      'g-',
      'r ecx',
      'q',
    ]);
    expect(shown[2]).toBe('ecx=0000000000000004\n');
    expect(shown[3]).toMatch(/1 hit\(s\) {2}demo!fib {2}\/w "@ecx == 4"\n/);
    expect(shown[6]).toBe('ecx=0000000000000004\n');
  });

  it('perform their commands at each hit, and go on where these say so', async () => {
    const shown = await answers('x64', ['bu demo!fib "r rcx; g"', 'g', 'bl', 'q']);
    // The second of its two calls is a loop in the compiled code: entries(n) = entries(n-1) + entries(n-2).
    const entries = (n: number): number => (n < 2 ? 1 : entries(n - 1) + entries(n - 2));
    const hits = shown[1]?.match(/^rcx=[0-9a-f]{16}$/gm) ?? [];
    expect(hits).toHaveLength(entries(7));
    expect(hits[0]).toBe('rcx=0000000000000007');
    expect(shown[2]).toContain(`${entries(7)} hit(s)`);
  });

  it('go away with /1, and come by pattern with bm', async () => {
    const shown = await answers('x64', ['bu /1 demo!fib', 'g', 'bl', 'bm demo!leaf*', 'bl', 'q']);
    expect(shown[2]).toBe('');
    expect(shown[3]?.match(/demo!leaf_\w+/g)).toEqual([
      'demo!leaf_opaque',
      'demo!leaf_empty',
      'demo!leaf_self',
    ]);
    expect(shown[4]?.match(/^\d+ e/gm)).toHaveLength(3);
  });

  it.each(ARCHITECTURES)(
    'on a slot that is not there yet: the store of the engine is seen, and from the end too, %s',
    async (architecture) => {
      const shown = await answers(architecture, [
        'ba w8 demo!HPAT[1].data',
        'bl',
        'g',
        'bd 0',
        'g',
        'be 0',
        'g-',
        'q',
      ]);
      expect(shown[1]).toMatch(/\(not loaded yet\) demo!HPAT\[1\]\.data/);
      const stores =
        /Breakpoint 0: demo!HPAT\[1\]\.data was changed by the engine: NT stores .* \(HPAT data slot of demo!dispatch; was /;
      expect(shown[2]).toMatch(stores);
      expect(shown[6]).toMatch(stores);
    },
  );

  it.each([
    { line: 'bp', text: 'bp needs an address' },
    { line: 'bp /w "1" ', text: 'bp needs an address' },
    { line: 'bp demo!fib "k" "r"', text: 'one pair of quotes' },
    { line: 'bm nosuch!x*', text: "no function fits 'nosuch!x*'" },
  ])("'$line' is a mistake", async ({ line, text }) => {
    expect(await ask('x64', line)).toContain(`error: `);
    expect(await ask('x64', line)).toContain(text);
  });
});

describe('looking', () => {
  it.each([
    ['? 3 == 3', '1'],
    ['? 3 = 4', '0'],
    ['? 3 != 4', '1'],
    ['? 2 < 0n10', '1'],
    ['? -1 < 1', '0'],
    ['? 5 >= 5', '1'],
    ['? 5 <= 4', '0'],
    ['? 6 > 5 and 1 == 1', '1'],
    ['? 4 or 3', '7'],
    ['? 6 xor 3', '5'],
    ['? 1 + 1 == 2 & 3 < 4', '1'],
  ])('%s', async (line, value) => {
    expect(await ask('x64', line)).toMatch(new RegExp(`^Evaluate expression: ${value} = `));
  });

  it.each(ARCHITECTURES)('names of slots that are printed can be typed, %s', async (architecture) => {
    const shown = await answers(architecture, [
      'bu demo_hp!dispatch',
      'g',
      '? demo!HPAT[1].data',
      '? demo!HPAT[999999].data',
      'q',
    ]);
    expect(shown[2]).toContain('demo!HPAT[1].data\n');
    expect(shown[3]).toContain("error: cannot resolve 'demo!HPAT[999999].data'");
  });

  it('tells the stack of every thread, the IRQL, and the region of an address', async () => {
    const shown = await answers('x64', [
      'bu demo!dispatch',
      'g',
      '~*k',
      '!irql',
      '!address',
      '!address demo!g_counter',
      '!address @rsp',
      '!address 10',
      'q',
    ]);
    expect(shown[2]).toMatch(/on processor 0 .*\n {4}.* demo!dispatch\n {4}.* demo!hp_entry\+/);
    expect(shown[3]).toContain('-- 0 (PASSIVE_LEVEL)');
    expect(shown[4]).toMatch(
      /Image demo\.dll, \.text\nBase Address: .*1000\nEnd Address: .*2000\n.*\nState: +MEM_COMMIT\nProtect: +PAGE_EXECUTE_READ\n/,
    );
    expect(shown[5]).toMatch(/Image demo\.dll, \.data\n[\s\S]*PAGE_READWRITE\n/);
    expect(shown[6]).toMatch(/Stack of thread \d+\n[\s\S]*Region Size: +00000000`00008000\n/);
    expect(shown[7]).toContain('is free');
  });

  it.each([
    { size: 'b', values: '11 22', dump: 'db demo!g_sess L2', text: '11 22' },
    { size: 'w', values: '1122 3344', dump: 'db demo!g_sess L4', text: '22 11 44 33' },
    { size: 'd', values: '11223344', dump: 'db demo!g_sess L4', text: '44 33 22 11' },
    { size: 'q', values: '1122334455667788', dump: 'db demo!g_sess L8', text: '88 77 66 55 44 33 22 11' },
  ])('e$size enters little-endian, and s -$size finds it', async ({ size, values, dump, text }) => {
    const shown = await answers('x64', [
      'bu demo!dispatch',
      'g',
      `e${size} demo!g_sess ${values}`,
      dump,
      `s -${size} demo!g_counter L200 ${values}`,
      'q',
    ]);
    expect(shown[3]).toContain(`  ${text}`);
    expect(shown[4]?.split('\n')[0]).toContain(`  ${text}`);
    expect(shown[4]?.split(' ')[0]).toBe(shown[3]?.split(' ')[0]);
  });

  it('s -a finds a string', async () => {
    // demo.c's own literal.
    expect(await ask('x64', 'bu demo!dispatch', 'g', 's -a demo L6000 "delta"')).toMatch(/64 65 6c 74 61 00/);
  });

  it('.context shows what has changed at each stop', async () => {
    const shown = await answers('x64', [
      'bu demo!fib',
      'g',
      '.context on',
      't',
      't',
      '.context off',
      't',
      'q',
    ]);
    expect(shown[2]).toContain('Context is shown at each stop');
    expect(shown[4]).toMatch(/── registers\n(?:.*\n)*?.* rsp .* was .*\n[\s\S]*── code\n[\s\S]*── stack\n/);
    expect(shown[6]).not.toContain('──');
  });
});

describe('lines', () => {
  it('hold several commands, but not between quotes', async () => {
    const shown = await answers('x64', ['bu demo!fib "k; r rcx"; g; bl', 'q']);
    expect(shown[1]).toMatch(/Call Site\n[\s\S]*rcx=0000000000000007\n/);
    expect(shown[2]).toContain('"k; r rcx"');
  });

  it.each([
    ['bpp', 'bp'],
    ['!hotpach', '!hotpatch'],
    ['.hlep', '.help'],
  ])("'%s': a name that is near is named", async (line, name) => {
    expect(await ask('x64', line)).toContain(
      `'${line}' is no command; did you mean '${name}'? .help lists them`,
    );
  });

  it('behind the end look at the last moment; nothing goes on from there', async () => {
    const shown = await answers('x64', ['g', '.help', 'wt', 'frob', 'lm', '.restart', 'q']);
    expect(shown[1]).toContain('go on, to the next breakpoint');
    expect(shown[2]).toContain('nothing goes on from here');
    expect(shown[3]).toContain("'frob' is no command");
    expect(shown[4]).toMatch(
      /back at the last instruction[\s\S]*Time Travel Position: [\s\S]*demo_hp\.dll, /,
    );
    expect(shown[5]).toContain('is about to run');
  });
});

it('wt of a function that nobody called ends at its return, and comes back from exports that are simulated', async () => {
  const { default: scenario } = await import('../../scenarios/first-trampoline.js');
  const text = await transcriptOf(scenario, 'bu packets_hp!ReceivePacket', 'g', 't- 3', 'wt', 'q');
  const visits = text.split('\n').flatMap((line) => /^ +\d+ (\[ ?\d+\] .*)$/.exec(line)?.[1] ?? []);
  expect(visits).toEqual([
    '[ 0] packets!ReceivePacket',
    '[ 0] packets!ReceivePacket-0x5',
    '[ 0] packets!HPAT[0].code',
    '[ 0] packets_hp!ReceivePacket',
    '[ 1]   ntoskrnl!DbgPrint',
    '[ 0] packets_hp!ReceivePacket',
  ]);
  expect(text).toMatch(/ ret\n0:\d+> q\n/);
});
