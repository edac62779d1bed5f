import { describe, expect, test } from 'vitest';
import { hotpatch } from './hotpatch.js';

describe('hotpatch check', () => {
  test.each(['x64', 'arm64', 'x86'])('%s: a driver that was built for it is ready', async (machine) => {
    const { code, stdout, stderr } = await hotpatch('check', `test/fixtures/${machine}/base/packets.sys`);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout).toContain('ready: every function can be patched');
  });

  test('--json: what the contract promises', async () => {
    const { json } = await hotpatch('check', 'test/fixtures/x64/base/demo.dll', '--json');
    expect(json).toMatchObject({ ready: true, architecture: 'x64', symbols: { kind: 'map' }, findings: [] });
    const { functions } = json as { functions: { name: string }[] };
    expect(functions.find(({ name }) => name === 'hp_entry')).toEqual({
      name: 'hp_entry',
      aliases: [],
      rva: expect.any(Number),
      module: 'demo.obj',
      padding: expect.any(Number),
      firstInstruction: { bytes: '4156', text: 'push    r14', length: 2 },
      patchable: true,
      reasons: [],
    });
  });

  test('a DLL of MSVC that was not built for it: exit code 1, each function and why, what to change', async () => {
    const { code, stdout } = await hotpatch('check', 'node_modules/node-pty/prebuilds/win32-x64/winpty.dll');
    expect(code).toBe(1);
    expect(stdout).toMatch(/not ready: 7\d\d of 9\d\d functions cannot be patched, 2 errors about the image/);
    expect(stdout).toContain('error: too few bytes of padding before the function: 0 of 6');
    expect(stdout).toContain('checkSum.absent: link with /RELEASE');
    expect(stdout).toContain('function.padding: link with /FUNCTIONPADMIN:6');
  });

  test('on ARM64 no padding is needed, but the symbols are', async () => {
    const path = 'node_modules/node-pty/prebuilds/win32-arm64/conpty/conpty.dll';
    const { code, json } = await hotpatch('check', path, '--json');
    expect(code).toBe(1);
    const { findings, functions } = json as {
      findings: { rule: string }[];
      functions: { patchable: boolean }[];
    };
    expect(findings.map(({ rule }) => rule)).toContain('symbols.absent');
    expect(functions.every(({ patchable }) => patchable)).toBe(true);
  });

  test('a map of another build is passed over, and refused when it is asked for', async () => {
    const wrong = 'test/fixtures/x64/fixed/demo.map';
    expect(await hotpatch('check', 'test/fixtures/arm64/base/demo.dll', '--symbols', wrong)).toMatchObject({
      code: 2,
    });
  });

  test('unreadable input', async () => {
    expect(await hotpatch('check', 'package.json')).toMatchObject({ code: 2, stdout: '' });
    expect(await hotpatch('check', 'missing.sys')).toMatchObject({ code: 2, stdout: '' });
  });
});
