import { readFileSync } from 'node:fs';
import {
  defineScenario,
  FileSystem,
  type Hotfix,
  installHotfix,
  Lab,
  readImage,
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

/** The third problem of hotpatching a running server: processes that run now, and processes that are yet to be started. */
export default defineScenario('Server 2003: running processes and new ones', ({ expect, say }) => {
  const disk = new FileSystem();
  disk.write(SHELL, read('x64/base/shell.dll'));
  disk.write(SHELL32, read('x86/base/shell.dll'));
  disk.write(NTDLL, read('x64/base/ntdll.dll'));
  const boot = () => {
    const lab = Lab.boot({ architecture: 'x64', engine: 'server-2003' });
    return { lab, server: new Server2003(lab, { disk }) };
  };
  const system = boot();
  const { lab, server } = system;
  const start = (on: ReturnType<typeof boot>, name: string, wow64 = false) => {
    const process = on.server.startProcess(name, { wow64 });
    const shell = on.server.loadDll(process, wow64 ? SHELL32 : SHELL);
    const title = on.lab.allocate(new Uint8Array(8), { domain: process });
    return {
      process,
      shell,
      /** What RtlpHashBytes of ntdll makes of three bytes. */
      hash: () => {
        const bytes = on.lab.allocate(Uint8Array.of(1, 2, 3, 4), { domain: process });
        return process.call(on.lab.address('ntdll!RtlpHashBytes', { domain: process }), [bytes, 3]);
      },
      /** What SetTitle says of a buffer without room for the end mark. */
      overflows: () => process.call(shell.symbol('SetTitle'), [title, 1, 4]) === 4,
    };
  };
  const explorer = start(system, 'explorer.exe');
  const old32 = start(system, 'old32.exe', true);
  expect(explorer.overflows()).toBe(true);
  expect(old32.overflows()).toBe(true);

  say(
    '\nA hotpatch alone changes the running processes; a process that starts later maps the file, and the old code.',
  );
  const alone = lab.engine.load(readImage(read('x64/patch1/shell_hp.dll')), { name: 'alone_hp.dll' });
  expect(explorer.overflows()).toBe(false);
  expect(start(system, 'later.exe').overflows()).toBe(true);
  lab.unloadHotPatch(alone);

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
  const later = start(system, 'new.exe');
  expect(later.overflows()).toBe(false);
  expect(server.engine.patchList(later.shell).length).toBe(0); // it runs the new file, unpatched

  say(
    '\nntdll itself: every process has it, from a section that the kernel keeps and that the hotfix has made anew.',
  );
  const [wrong, right] = [explorer.hash(), 17 * 31 ** 3 + 31 ** 2 + 2 * 31 + 3];
  expect(wrong === right).toBe(false);
  const ntdllFix: Hotfix = { name: 'KB900002', files: [hotfixFor(NTDLL, 'x64', 'ntdll.dll')] };
  expect(installHotfix(server, ntdllFix, '/hotpatch:enable').rebootRequired).toBe(false);
  expect(explorer.hash()).toBe(right);
  expect(start(system, 'later-still.exe').hash()).toBe(right);

  say('\nThe restart finds the new files.');
  server[Symbol.dispose]();
  const again = boot();
  const fresh = start(again, 'explorer.exe');
  expect(fresh.overflows()).toBe(false);
  expect(fresh.hash()).toBe(right);
  expect(again.server.engine.patches.length).toBe(0);
  expect(lab.kernel.threads.length).toBe(0); // no injected thread was left behind
});
