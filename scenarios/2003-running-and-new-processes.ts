import { readFileSync } from 'node:fs';
import {
  defineScenario,
  FileSystem,
  type Hotfix,
  installHotfix,
  Lab,
  Server2003,
  SYSTEM32,
} from 'hotpatch-lab';

const images = new URL('../test/fixtures/2003/', import.meta.url);
const read = (file: string) => new Uint8Array(readFileSync(new URL(file, images)));

const SHELL = `${SYSTEM32}shell.dll`;
const NTDLL = `${SYSTEM32}ntdll.dll`;
/** 32-bit DLLs of a 64-bit system. */
const SHELL32 = 'C:\\WINDOWS\\SysWOW64\\shell.dll';

function hotfixFor(path: string, architecture: 'x86' | 'x64', file: string): Hotfix['files'][number] {
  const hotpatch = file.replace('.', '_hp.');
  return {
    path,
    replacement: read(`${architecture}/fixed1/${file}`),
    hotpatch: { path: path.replace(file, hotpatch), bytes: read(`${architecture}/patch1/${hotpatch}`) },
  };
}

/** Seed 002's third problem: processes that run now, and processes that are yet to be started. */
export default defineScenario('Server 2003: running processes and new ones', async ({ expect, say }) => {
  const disk = new FileSystem();
  disk.write(SHELL, read('x64/base/shell.dll'));
  disk.write(SHELL32, read('x86/base/shell.dll'));
  disk.write(NTDLL, read('x64/base/ntdll.dll'));
  const boot = async () => {
    const lab = await Lab.boot({ architecture: 'x64', engine: 'server-2003' });
    return { lab, server: new Server2003(lab, { disk }) };
  };
  const { lab, server } = await boot();
  const start = (on: Server2003, name: string, wow64 = false) => {
    const process = on.startProcess(name, { wow64 });
    const shell = on.loadDll(process, wow64 ? SHELL32 : SHELL);
    const title = process.domain.allocateMemory('pool', 8);
    return {
      process,
      shell,
      /** What SetTitle says of a buffer without room for the end mark. */
      overflows: () => BigInt.asIntN(32, process.call64(shell.symbol('SetTitle'), [title, 1, 4])) === 4n,
    };
  };
  const explorer = start(server, 'explorer.exe');
  const old32 = start(server, 'old32.exe', true);
  expect(explorer.overflows()).toBe(true);
  expect(old32.overflows()).toBe(true);

  say(
    '\nA hotpatch alone changes the running processes; a process that starts later maps the file, and the old code.',
  );
  const hotpatch = disk.readImage(SHELL) === undefined ? undefined : read('x64/patch1/shell_hp.dll');
  disk.write(`${SYSTEM32}shell_hp.dll`, hotpatch ?? new Uint8Array());
  const opened = server.engine.openPatch(`${SYSTEM32}shell_hp.dll`);
  const alone = opened && server.engine.load(opened.image, { name: 'alone_hp.dll' });
  expect(explorer.overflows()).toBe(false);
  expect(start(server, 'later.exe').overflows()).toBe(true);
  if (alone !== undefined) server.engine.unload(alone);

  say(
    '\nThe hotfix does both: the files on the disk are swapped, and threads injected into the running processes.',
  );
  const hotfix: Hotfix = {
    name: 'KB900001',
    files: [hotfixFor(SHELL, 'x64', 'shell.dll'), hotfixFor(SHELL32, 'x86', 'shell.dll')],
  };
  const report = installHotfix(server, hotfix, '/hotpatch:enable');
  expect(report.rebootRequired).toBe(false);
  expect(explorer.overflows()).toBe(false);
  expect(old32.overflows()).toBe(false);
  const later = start(server, 'new.exe');
  expect(later.overflows()).toBe(false);
  expect(server.engine.patchList(later.shell).length).toBe(0); // it runs the new file, unpatched

  say('\nntdll itself: every process has it, from a section that the kernel keeps.');
  const hash = (process: typeof explorer.process) => {
    const ntdll = process.findImage('ntdll.dll');
    const bytes = process.domain.allocateMemory('pool', 8);
    process.addressSpace.write(bytes, Uint8Array.of(1, 2, 3, 4));
    return ntdll === undefined
      ? 0n
      : process.call64(ntdll.symbol('RtlpHashBytes'), [bytes, 3]) & 0xffff_ffffn;
  };
  const [wrong, right] = [hash(explorer.process), 17n * 31n ** 3n + 31n ** 2n + 2n * 31n + 3n];
  expect(wrong === right).toBe(false);
  const ntdllFix: Hotfix = { name: 'KB900002', files: [hotfixFor(NTDLL, 'x64', 'ntdll.dll')] };
  expect(installHotfix(server, ntdllFix, '/hotpatch:enable').rebootRequired).toBe(false);
  expect(hash(explorer.process)).toBe(right);
  expect(hash(start(server, 'before-reload.exe').process)).toBe(wrong); // the kernel's section is the old file
  server.reloadNtdll();
  expect(hash(start(server, 'after-reload.exe').process)).toBe(right);

  say('\nThe restart finds the new files.');
  server[Symbol.dispose]();
  const again = await boot();
  const fresh = start(again.server, 'explorer.exe');
  expect(fresh.overflows()).toBe(false);
  expect(hash(fresh.process)).toBe(right);
  expect(again.server.engine.patches.length).toBe(0);
  expect(lab.kernel.threads.length).toBe(0); // no injected thread was left behind
});
