import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readImage } from 'hotpatch-lab/image';
import { afterAll, describe, expect, it } from 'vitest';
import { fixture } from '../support.js';
import { hotpatch } from './hotpatch.js';

const work = mkdtempSync(join(tmpdir(), 'hotpatch-dump-cli-'));
afterAll(() => rmSync(work, { recursive: true }));
const scenario = (name: string) => fileURLToPath(new URL(`../../scenarios/${name}.ts`, import.meta.url));
const DLL = scenario('dll-in-many-processes');

interface Scanned {
  readonly kind: string;
  readonly modules: readonly { name: string; findings: readonly { verdict: string; into?: string }[] }[];
}

describe('hotpatch dump and hotpatch scan', () => {
  it('a process at an event: patched after it, not before', async () => {
    const at = async (event: string) => {
      const out = join(work, `${event.replace(/\W/g, '')}.dmp`);
      const dumped = await hotpatch('dump', DLL, '--at', event, '--out', out, '--json');
      expect(dumped).toMatchObject({
        code: 0,
        json: { out, description: `${out}.json`, kind: 'minidump', of: expect.stringMatching(/^mail\.exe/) },
      });
      const { code, json } = await hotpatch('scan', out, '--json');
      expect(code).toBe(0);
      const demo = (json as Scanned).modules.find(({ name }) => name.endsWith('demo.dll'));
      return demo?.findings.length;
    };
    expect(await at('applyBegun')).toBe(0);
    expect(await at('applied')).toBe(6);
    expect(await at('applied#1')).toBe(6);
    expect(JSON.parse(readFileSync(join(work, 'applied.dmp.json'), 'utf8'))).toMatchObject({
      at: { kind: 'applied' },
      architecture: 'x64',
      patches: [{ name: 'demo_hp.dll' }],
    });
  });

  it.each([
    { event: 'applied#2', processor: 'x86', shape: 'jmp short; jmp in the padding' },
    { event: 'applied#4', processor: 'x64', shape: 'jmp short; jmp [slot] in the padding' },
  ])('a hotpatch of 2003 is none of other hooks: $processor', async ({ event, processor, shape }) => {
    const out = join(work, `2003-${processor}.dmp`);
    const second = scenario('2003-second-hotfix');
    const dumped = await hotpatch('dump', second, '--at', event, '--out', out);
    expect(dumped).toMatchObject({ code: 0 });
    expect(JSON.parse(readFileSync(`${out}.json`, 'utf8'))).toMatchObject({
      architecture: processor,
      engine: 'server-2003',
    });
    const { code, json } = await hotpatch('scan', out, '--json');
    // CopyName and ItemWeight, of which the second hotfix has both (test/fixtures/src/2003/shell.c).
    const [shell] = (json as Scanned).modules;
    expect(shell?.findings).toEqual([
      expect.objectContaining({
        verdict: 'hotpatch',
        shape,
        into: expect.stringMatching(/^shell_hp2\.dll/),
      }),
      expect.objectContaining({
        verdict: 'hotpatch',
        shape,
        into: expect.stringMatching(/^shell_hp2\.dll/),
      }),
    ]);
    expect(code).toBe(0);
  });

  it('the kernel, as text', async () => {
    const out = join(work, 'kernel.raw');
    const words = [scenario('first-trampoline'), '--of', 'kernel', '--at', 'applied', '--out', out];
    const { code, stdout } = await hotpatch('dump', ...words);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('raw memory of system') });
    const scanned = await hotpatch('scan', out);
    expect(scanned.code).toBe(0);
    expect(scanned.stdout).toMatch(
      /packets\.sys at 0xf.*1 redirected\n {2}hotpatch .* slot → packets_hp\.sys/,
    );
    rmSync(`${out}.json`);
    const alone = await hotpatch('scan', out);
    expect(alone).toMatchObject({ code: 2, stdout: '' });
    expect(alone.stderr).toContain('there is no kernel.raw.json');
    writeFileSync(`${out}.json`, '{');
    expect((await hotpatch('scan', out)).stderr).toContain('is no JSON');
  });

  it.each([
    [['--at', 'nothing'], 2, /this does not happen in .*; what does: .*applied/],
    [['--at', 'applied#99'], 2, /this does not happen/],
    [['--of', 'nobody.exe'], 2, /no such process at that moment; there are kernel, mail\.exe/],
  ])('dump %j is refused', async (words, expected, message) => {
    const out = join(work, 'refused.dmp');
    const { code, stdout, stderr } = await hotpatch('dump', DLL, '--out', out, ...words);
    expect({ code, stdout }).toEqual({ code: expected, stdout: '' });
    expect(stderr).toMatch(message);
    expect(existsSync(out)).toBe(false);
  });

  it('an image: nothing in a clean one; a hook ends with 1', async () => {
    const clean = fixture('x64/base/demo.dll');
    expect(await hotpatch('scan', clean)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('nothing redirected'),
    });
    const bytes = Uint8Array.from(readFileSync(clean));
    const image = readImage(bytes);
    const rva = image.exports?.functions.find(({ name }) => name === 'hp_entry')?.rva ?? 0;
    // jmp far out of the image
    bytes.set([0xe9, 0, 0, 0x40, 0], image.rvaToOffset(rva));
    const hooked = join(work, 'hooked.dll');
    writeFileSync(hooked, bytes);
    const { code, json } = await hotpatch('scan', hooked, '--json');
    expect(code).toBe(1);
    expect((json as Scanned).modules[0]?.findings).toMatchObject([
      { verdict: 'hook', shape: 'jmp rel32', name: 'hp_entry', rva },
    ]);
  });

  it('an image as it lay in memory, with its HPAT behind it', async () => {
    const out = join(work, 'mapped.raw');
    await hotpatch('dump', scenario('first-trampoline'), '--of', 'kernel', '--at', 'applied', '--out', out);
    const { regions, modules } = JSON.parse(readFileSync(`${out}.json`, 'utf8')) as {
      regions: { address: string; size: number; offset: number }[];
      modules: { name: string; base: string; hpat: { base: string; size: number } }[];
    };
    const module = modules.find(({ name }) => name === 'packets.sys');
    if (module === undefined) throw new Error('no packets.sys');
    const [start, end] = [BigInt(module.base), BigInt(module.hpat.base) + BigInt(module.hpat.size)];
    const mapped = new Uint8Array(Number(end - start));
    const raw = readFileSync(out);
    for (const { address, size, offset } of regions)
      if (BigInt(address) >= start && BigInt(address) < end)
        mapped.set(raw.subarray(offset, offset + size), Number(BigInt(address) - start));
    const file = join(work, 'packets.mapped');
    writeFileSync(file, mapped);
    const { code, json } = await hotpatch('scan', file, '--mapped', '--base', module.base, '--json');
    expect(code).toBe(0);
    expect((json as Scanned).modules[0]?.findings).toMatchObject([{ verdict: 'hotpatch', shape: 'slot' }]);
  });

  it.each([
    [['--base', 'here'], /'here' is no address/],
    [['--mapped'], /is no image/],
  ])('scan of a dump with %j', async (words, message) => {
    const out = join(work, 'options.dmp');
    await hotpatch('dump', DLL, '--out', out);
    const { code, stderr } = await hotpatch('scan', out, ...words);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });
});
