import {
  FileSystem,
  type HotfixFile,
  installHotfix,
  Lab,
  Server2003,
  SYSTEM32,
  SYSWOW64,
} from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { fixtureBytes } from '../../support.js';

const ON = '/hotpatch:enable';
const SYSTEMS = [
  { system: 'x64', images: 'x64', folder: SYSTEM32, wow64: false },
  { system: 'x64', images: 'x86', folder: SYSWOW64, wow64: true },
  { system: 'x86', images: 'x86', folder: SYSTEM32, wow64: true },
] as const;

describe.each(SYSTEMS)(
  'names in a hotfix on $system, for $images images',
  ({ system, images, folder, wow64 }) => {
    const bytes = (file: string) => fixtureBytes(`2003/${images}/${file}`);
    const shell = `${folder}shell.dll`;
    const other = `${folder}other.dll`;
    const hotfix = (number: 1 | 2, hotpatch: string, path = shell): HotfixFile => ({
      path,
      replacement: bytes(`fixed${number}/shell.dll`),
      hotpatch: { path: hotpatch, bytes: bytes(`patch${number}/shell_hp.dll`) },
    });

    async function start() {
      const disk = new FileSystem();
      for (const file of ['shell.dll', 'ntdll.dll']) disk.write(`${folder}${file}`, bytes(`base/${file}`));
      disk.write(other, bytes('base/ntdll.dll'));
      const lab = await Lab.boot({ architecture: system, memorySize: 16 << 20, engine: 'server-2003' });
      const server = new Server2003(lab, { disk });
      const process = server.startProcess('explorer.exe', { wow64 });
      const module = server.loadDll(process, shell);
      const install = (mode: string, ...files: readonly HotfixFile[]) =>
        installHotfix(server, { name: 'KB900000', files }, mode);
      return {
        disk,
        install,
        hotpatch: () => server.engine.patchOf(module)?.image.bytes,
        images: () => process.images.map(({ baseDllName }) => baseDllName).filter((name) => /hp/i.test(name)),
        [Symbol.dispose]: () => lab[Symbol.dispose](),
      };
    }

    it.each([
      { mode: ON, second: shell },
      { mode: '', second: shell },
      { mode: ON, second: shell.toUpperCase() },
    ])(
      'a file that is brought twice, "$mode": nothing is changed, and that is said',
      async ({ mode, second }) => {
        using machine = await start();
        const before = machine.disk.operations.length;
        const files = [hotfix(1, `${folder}hp1.dll`), hotfix(2, `${folder}hp2.dll`, second)];
        expect(machine.install(mode, ...files)).toEqual({
          installed: false,
          rebootRequired: false,
          hotpatched: [],
          coldpatched: [],
          pending: [],
          superseded: [],
          reasons: [`${second}: the hotfix brings it twice`],
        });
        expect(machine.disk.operations).toHaveLength(before);
        expect(machine.hotpatch()).toBeUndefined();
      },
    );

    it.each([
      { what: 'the file itself', taken: shell },
      { what: 'another file', taken: other },
      { what: 'another file of the hotfix', taken: other, more: true },
    ])('a hotpatch by the name of $what gets another name', async ({ taken, more }) => {
      using machine = await start();
      const files = [hotfix(1, taken)];
      if (more) files.push({ path: other, replacement: bytes('fixed1/ntdll.dll') });
      const report = machine.install(ON, ...files);
      expect(report).toMatchObject({ installed: true, coldpatched: files.map(({ path }) => path) });
      expect(report.hotpatched).toContain(shell);
      expect(machine.hotpatch()).toEqual(bytes('patch1/shell_hp.dll'));
      expect(machine.disk.read(shell)).toEqual(bytes('fixed1/shell.dll'));
      expect(machine.disk.read(other)).toEqual(bytes(more ? 'fixed1/ntdll.dll' : 'base/ntdll.dll'));
    });

    it('the same hotfix again and again, its hotpatch by the path of an earlier one', async () => {
      using machine = await start();
      const path = `${folder}hp.dll`;
      machine.install(ON, hotfix(1, path));
      machine.install(ON, hotfix(2, path));
      const known = { paths: machine.disk.paths, images: machine.images() };
      expect(known.images).toHaveLength(2);
      for (let again = 0; again < 3; again++) {
        const report = machine.install(ON, hotfix(2, path));
        expect(report).toMatchObject({ rebootRequired: false, hotpatched: [shell], reasons: [] });
        expect({ paths: machine.disk.paths, images: machine.images() }).toEqual(known);
      }
      expect(machine.disk.read(`${folder}hp.hp.dll`)).toEqual(bytes('patch2/shell_hp.dll'));
    });

    it('a file by another case of its name is the same file', async () => {
      using machine = await start();
      expect(machine.install(ON, hotfix(1, `${folder}hp1.dll`, shell.toUpperCase())).rebootRequired).toBe(
        false,
      );
      expect(machine.install(ON, hotfix(2, `${folder}HP1.DLL`)).rebootRequired).toBe(false);
      expect(machine.hotpatch()).toEqual(bytes('patch2/shell_hp.dll'));
      expect(machine.disk.read(shell)).toEqual(bytes('fixed2/shell.dll'));
      expect(machine.install(ON, hotfix(1, `${folder}hp1.dll`)).superseded).toEqual([shell]);
    });
  },
);
