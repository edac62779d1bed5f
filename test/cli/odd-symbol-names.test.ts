import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findSymbols } from 'hotpatch-lab';
import { computeCheckSum, ImageBuilder } from 'hotpatch-lab/image';
import { afterAll, describe, expect, it, test } from 'vitest';
import { fixture } from '../support.js';
import { hotpatch } from './hotpatch.js';

/** The name of an image's PDB is text of the image: it may be empty, no file's, or a folder's. */
const work = mkdtempSync(join(tmpdir(), 'hotpatch-names-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

const ARCHITECTURES = ['x64', 'arm64', 'x86'] as const;
const OLD = Buffer.from('demo.pdb\0');

/**
 * A copy of a fixture that names another PDB, of at most eight characters.
 * @param isSound with the checksum of what it holds now; otherwise with that by which its patch knows it
 */
function renamed(from: string, to: string, pdb: string, isSound: boolean): void {
  const bytes = readFileSync(from);
  const at = bytes.indexOf(OLD);
  if (at < 0) throw new Error(`${from} names no demo.pdb`);
  Buffer.from(pdb.padEnd(OLD.length, '\0'), 'latin1').copy(bytes, at);
  const checkSum = bytes.readUInt32LE(0x3c) + 24 + 64;
  if (isSound) bytes.writeUInt32LE(computeCheckSum(bytes, checkSum), checkSum);
  writeFileSync(to, bytes);
}

let folders = 0;

/** Base and fixed build with this PDB name, and whatever else `furnish` puts beside them. */
function prepared(architecture: string, pdb: string, furnish: (folder: string) => void = () => undefined) {
  const folder = join(work, `${folders++}`);
  for (const build of ['base', 'fixed', 'sound']) {
    mkdirSync(join(folder, build), { recursive: true });
    const from = build === 'sound' ? 'base' : build;
    renamed(
      fixture(`${architecture}/${from}/demo.dll`),
      join(folder, build, 'demo.dll'),
      pdb,
      build !== 'base',
    );
    cpSync(fixture(`${architecture}/${from}/demo.map`), join(folder, build, 'demo.map'));
    furnish(join(folder, build));
  }
  const scenario = join(folder, 'scenario.mjs');
  const at = (path: string) => JSON.stringify(path);
  const text = `
    import { defineScenario, Lab } from 'hotpatch-lab';
    export default defineScenario('odd names', async ({ expect }) => {
      const lab = Lab.boot({ architecture: '${architecture}' });
      lab.addFile(${at(fixture(`${architecture}/hpimport.dll`))});
      const demo = lab.loadImage(${at(join(folder, 'base', 'demo.dll'))});
      expect(lab.call(demo.symbol('leaf_opaque'))).toBe(42);
    });`;
  writeFileSync(scenario, text);
  const dll = (build: string) => join(folder, build, 'demo.dll');
  return { folder, base: dll('base'), fixed: dll('fixed'), sound: dll('sound'), scenario };
}

const asFolder = (name: string) => (folder: string) => {
  rmSync(join(folder, name), { force: true });
  mkdirSync(join(folder, name));
};

const NAMES: readonly { what: string; pdb: string; furnish?: (folder: string) => void }[] = [
  { what: 'is empty', pdb: '' },
  { what: 'is .', pdb: '.' },
  { what: 'is ..', pdb: '..' },
  { what: 'is a path without a name', pdb: 'C:\\' },
  { what: 'is the image itself', pdb: 'demo.dll' },
  { what: 'is that of a folder', pdb: 'demo.pdb', furnish: asFolder('demo.pdb') },
  {
    what: 'is that of a link in a circle',
    pdb: 'demo.pdb',
    furnish: (folder) => symlinkSync('demo.pdb', join(folder, 'demo.pdb')),
  },
  { what: 'holds an escape sequence', pdb: '\u001b[2J.pdb' },
];

describe.each(ARCHITECTURES)('an image is fine whose PDB’s name is odd, %s', (architecture) => {
  // The names are read the same way everywhere; the commands are not.
  it.each(architecture === 'x64' ? NAMES : NAMES.filter(({ pdb }) => pdb.length < 2))(
    '$what: every command works',
    async ({ pdb, furnish }) => {
      const { base, fixed, sound, folder, scenario } = prepared(architecture, pdb, furnish);
      const patch = fixture(`${architecture}/patch/demo_hp.dll`);
      const library = fixture(`${architecture}/hpimport.dll`);
      for (const [command, ...words] of [
        ['inspect', base],
        ['check', sound],
        ['call', base, 'leaf_opaque', '--with', library],
        ['call', base, 'leaf_opaque', '--with', library, '--patch', patch],
        ['verify', patch, '--base', base],
        ['build', '--base', sound, '--fixed', fixed, '--out', join(folder, 'demo_hp.dll')],
        ['explore', '--image', base, '--patch', patch, '--with', library, '--call', 'leaf_opaque'],
        ['run', scenario],
        ['step', scenario, '--command', 'g; q'],
      ] as const) {
        const { code, stdout, stderr } = await hotpatch(command, ...words);
        expect([command, code, code === 0 ? '' : stderr]).toEqual([command, 0, '']);
        expect(stdout + stderr).not.toContain('\u001b[2J');
      }
    },
  );

  it('a folder that is named like the map is no map', async () => {
    const { base } = prepared(architecture, '', asFolder('demo.map'));
    const library = fixture(`${architecture}/hpimport.dll`);
    const { code, stdout } = await hotpatch('call', base, 'hp_entry', '0', '3', '4', '--with', library);
    expect([code, stdout]).toEqual([0, expect.stringContaining('hp_entry(0, 3, 4) = 119')]);
    expect(await hotpatch('inspect', base)).toMatchObject({ code: 0, stderr: '' });
    const { json } = await hotpatch('check', base, '--json');
    expect(json).toMatchObject({ symbols: { kind: 'exports' } });
  });
});

test.each(['x'.repeat(300), 'a/'.repeat(3000), '\u0001', '/dev/null', '\\\\?\\pipe', '日本語.pdb'])(
  'a PDB’s name that no file has is passed over: %j',
  (name) => {
    const built = new ImageBuilder('x64', { subsystem: 'WINDOWS_CUI', dll: true })
      .code('f', Uint8Array.of(0xc3))
      .export('f')
      .codeView(name, new Uint8Array(16))
      .build();
    const path = join(work, `long${folders++}.dll`);
    writeFileSync(path, built.bytes);
    const { table, origin } = findSymbols(path);
    expect(table.byName('f')).toBeDefined();
    expect(origin).toMatchObject({ kind: 'exports', passedOver: [] });
  },
);
