import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const repository = fileURLToPath(new URL('../../', import.meta.url));

const asModule = (source: string): string => `data:text/javascript,${encodeURIComponent(source)}`;

/** Preloaded: makes the package behave, for `import` and `require`, as where npm left its platform's binary out. */
const BREAK_KOFFI = asModule(`
  import Module from 'node:module';
  const resolve = Module._resolveFilename;
  Module._resolveFilename = function (name, ...rest) {
    if (name === 'koffi') throw new Error('Cannot find the native Koffi module');
    return resolve.call(this, name, ...rest);
  };
  Module.register(${JSON.stringify(
    asModule(`export async function resolve(name, context, next) {
      if (name === 'koffi') throw new Error('Cannot find the native Koffi module');
      return next(name, context);
    }`),
  )});`);

function node(source: string) {
  return spawnSync(
    process.execPath,
    ['--import', 'tsx', '--import', BREAK_KOFFI, '--input-type=module', '--eval', source],
    { cwd: repository, encoding: 'utf8' },
  );
}

describe('Where koffi does not work', () => {
  it('whoever needs a processor hears what is missing and what to do', () => {
    const { stdout, stderr } = node(`
      const { Machine, UnicornMissing, instructionLength } = await import('./cpu/index.ts');
      console.log(instructionLength('x64', Uint8Array.of(0x90), 0n));
      try { Machine.create({ architecture: 'x64' }); } catch (error) {
        console.log(error instanceof UnicornMissing, error.rule);
        console.log(error.message);
      }`);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^1\ntrue unicornMissing\n/);
    expect(stdout).toContain(
      'koffi, which loads it, does not work here: Cannot find the native Koffi module',
    );
    expect(stdout).toContain('npm install koffi');
  });

  it('hotpatch doctor reports it and exits with 3', () => {
    const { status, stdout, stderr } = node(`
      const { main } = await import('./cli/main.ts');
      process.exitCode = await main(['doctor', '--json']);`);
    expect(stderr).toBe('');
    expect(status).toBe(3);
    const report = JSON.parse(stdout) as { unicorn: null; refused: { reason: string }[]; packages: object[] };
    expect(report.unicorn).toBeNull();
    expect(report.refused.map(({ reason }) => reason).join('\n')).toContain('koffi');
  });
});
