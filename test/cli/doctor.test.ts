import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { type DoctorReport, doctorCommand, examine, isNodeNewEnough, OLDEST_NODE } from '../../cli/doctor.js';
import { findUnicorn } from '../../cpu/index.js';
import { collectOutput } from './collected.js';

const folder = mkdtempSync(join(tmpdir(), 'doctor-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => vi.unstubAllEnvs());

/** Runs the command alone and catches what it prints. */
async function doctor(...args: string[]): Promise<{ code: number; stdout: string }> {
  using output = collectOutput();
  const before = process.exitCode;
  process.exitCode = undefined;
  try {
    await doctorCommand().exitOverride().parseAsync(args, { from: 'user' });
    return { code: Number(process.exitCode ?? 0), stdout: output.stdout };
  } finally {
    process.exitCode = before;
  }
}

describe('hotpatch doctor', () => {
  const usable = findUnicorn();

  it.skipIf(usable === undefined)('shows the library that is used, and exits with 0', async () => {
    const { code, stdout } = await doctor();
    expect(code).toBe(0);
    expect(stdout).toContain(process.versions.node);
    expect(stdout).toContain(`${usable?.version} at ${usable?.path} (${usable?.origin})`);
    expect(stdout).not.toContain('To get Unicorn');
  });

  it.skipIf(usable === undefined)('prints one JSON document with --json', async () => {
    const { code, stdout } = await doctor('--json');
    const report: DoctorReport = JSON.parse(stdout);
    expect(code).toBe(0);
    expect(report).toMatchObject({
      ready: true,
      node: { ok: true, version: process.versions.node },
      unicorn: usable,
      howToGetUnicorn: [],
      packages: [
        { name: 'koffi', ok: true, version: expect.stringMatching(/^\d+\.\d+/) },
        { name: 'iced-x86', ok: true, version: expect.stringMatching(/^\d+\.\d+/) },
        { name: '@alexaltea/capstone-js', ok: true, version: expect.stringMatching(/^\d+\.\d+/) },
        { name: '@alexaltea/keystone-js', ok: true, version: expect.stringMatching(/^\d+\.\d+/) },
      ],
    });
  });

  it('exits with 3 and says what to do when UNICORN_LIBRARY cannot be used', async () => {
    vi.stubEnv('UNICORN_LIBRARY', join(folder, 'absent.so'));
    const { code, stdout } = await doctor();
    expect(code).toBe(3);
    expect(stdout).toContain(`refused ${join(folder, 'absent.so')} (UNICORN_LIBRARY): there is no such file`);
    expect(stdout).toContain('To get Unicorn');
    expect(stdout).toContain('hotpatch doctor --fix');
    const json = await doctor('--json');
    expect(json.code).toBe(3);
    expect(JSON.parse(json.stdout)).toMatchObject({
      ready: false,
      unicorn: null,
      refused: [{ origin: 'UNICORN_LIBRARY' }],
    });
  });

  it('names every candidate and every absent tool with the way to get it', async () => {
    const report = await examine({
      environment: { PATH: folder },
      packageRoot: folder,
      systemNames: ['no-such-library'],
    });
    expect(report.refused.map(({ origin }) => origin)).toEqual(['vendor', 'system']);
    expect(report.tools.map(({ name }) => name)).toEqual([
      'clang-22',
      'lld-link-22',
      'llvm-readobj-22',
      'llvm-dlltool-22',
      'llvm-objcopy-22',
      'gdb-multiarch',
      'chromium',
      'mingw-w64-common',
    ]);
    // Headers are looked for where Debian puts them, whatever PATH says.
    for (const tool of report.tools.filter(({ name }) => name !== 'mingw-w64-common')) {
      expect(tool).toMatchObject({ path: null, version: null, howToGet: expect.stringMatching(/ install /) });
    }
  });
});

describe('the oldest Node', () => {
  it('is the one that the package asks for', () => {
    const { engines } = JSON.parse(readFileSync('package.json', 'utf8')) as { engines: { node: string } };
    expect(engines.node).toBe(`>=${OLDEST_NODE}`);
  });

  it.each([
    ['18.20.0', false],
    ['20.0.0', false],
    ['20.8.1', false],
    ['20.9.0', true],
    ['20.20.2', true],
    ['22.0.0', true],
    ['26.10.0', true],
  ])('%s: %s', (version, ok) => {
    expect(isNodeNewEnough(version)).toBe(ok);
  });
});
