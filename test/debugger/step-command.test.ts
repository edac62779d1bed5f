import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** `hotpatch step` from the sources, in a process of its own, with `input` on its standard input. */
async function step(
  input: string,
  ...args: readonly string[]
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const run = `import { stepCommand } from ${JSON.stringify(`${root}cli/step.ts`)};
    await stepCommand().parseAsync(${JSON.stringify(args)}, { from: 'user' });`;
  const process = spawn('node', ['--import', 'tsx', '--input-type=module', '-e', run], { cwd: root });
  const read = { stdout: '', stderr: '' };
  process.stdout.on('data', (part) => {
    read.stdout += String(part);
  });
  process.stderr.on('data', (part) => {
    read.stderr += String(part);
  });
  process.stdin.end(input);
  const code = await new Promise<number | null>((resolve) => process.on('close', resolve));
  return { code, ...read };
}

const story = 'scenarios/first-trampoline.ts';
const commands = ['bu packets_hp!ReceivePacket', 'g', 't-', 't-', 't-', 'q'];

describe('hotpatch step', () => {
  it('shows the same from a pipe, through its worker thread, as by --command', async () => {
    const [piped, scripted] = await Promise.all([
      step(`${commands.join('\n')}\n`, story),
      step('', story, '--command', commands.join('; ')),
    ]);
    expect(piped.stderr).toBe('');
    expect(piped.stdout).toBe(scripted.stdout);
    expect(piped.stdout).toMatch(/packets!ReceivePacket: {4}patched entry → pad jump\n.* jmp .*\n0:20> q\n$/);
    expect([piped.code, scripted.code]).toEqual([0, 0]);
  });

  it('goes on to the end and says how it ended', async () => {
    const { stdout, code } = await step('', story, '--command', 'g');
    expect(stdout).toMatch(/The scenario has ended: held 6 expectation\(s\)\.\n$/);
    expect(code).toBe(0);
  });

  it('fails when an expectation does not hold, because the user changed the run', async () => {
    const { stdout, code } = await step(
      '',
      story,
      '--command',
      'bp packets!ReceivePacket; g; eb @rcx+1 2; g; g',
    );
    expect(stdout).toContain('The scenario has ended: expected ');
    expect(code).toBe(1);
  });

  it('says which file is missing', async () => {
    const { stderr, code } = await step('', 'nosuch.ts');
    expect(stderr).toContain('nosuch.ts');
    expect(code).toBe(2);
  });
});
