import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixture } from '../support.js';
import { hotpatch } from './hotpatch.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ioctl-'));
  const note = (length: number, sent: number) =>
    Uint8Array.of(length & 0xff, length >> 8, 0, 0, ...new Uint8Array(sent).fill(0x41));
  writeFileSync(join(folder, 'good.bin'), note(3, 3));
  writeFileSync(join(folder, 'bad.bin'), note(0x1000, 0x1000));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe.each(['x64', 'arm64', 'x86'])('hotpatch call --ioctl on %s', (architecture) => {
  const send = (file: string, ...flags: string[]) =>
    hotpatch(
      'call',
      fixture(`${architecture}/base/notes.sys`),
      ...['--ioctl', '0x222000', '--in', `@${join(folder, file)}`, ...flags],
    );

  it('answers a good request, before and after the hotpatch', async () => {
    for (const flags of [[], ['--patch', fixture(`${architecture}/patch/notes_hp.sys`)]]) {
      const { code, json } = await send('good.bin', '--json', ...flags);
      expect(json).toMatchObject({
        device: '\\\\.\\Notes',
        answers: [{ status: '0x00000000', information: 0 }],
      });
      expect(code).toBe(0);
    }
  });

  it('crashes at the attack, which the hotpatch refuses', async () => {
    const crashed = await send('bad.bin');
    expect(crashed.code).toBe(1);
    expect(crashed.stderr).toMatch(/access violation: write of .* by notes!StoreNote/);
    const { code, json } = await send(
      'bad.bin',
      '--json',
      '--patch',
      fixture(`${architecture}/patch/notes_hp.sys`),
    );
    expect(json).toMatchObject({ answers: [{ status: '0xc000000d' }], patches: [{ state: 'applied' }] });
    expect(code).toBe(0);
  });
});

describe('hotpatch call --ioctl with unusable input', () => {
  it.each([
    ['a driver without a link', [fixture('x64/base/packets.sys')], /no symbolic link/],
    ['a function, too', [fixture('x64/base/notes.sys'), 'StoreNote'], /one argument too many/],
    ['a pause', [fixture('x64/base/notes.sys'), '--pause-at', 'StoreNote'], /cannot be combined/],
    ['a number as input', [fixture('x64/base/notes.sys'), '--in', '5'], /write @FILE/],
  ])('%s', async (_name, args, message) => {
    const { code, stderr } = await hotpatch('call', ...args, '--ioctl', '0x222000');
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });
});
