import { FileSystem, installHotfix, Lab, Server2003, SYSTEM32 } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { KernelError } from '../../../loader/index.js';
import { fixtureBytes } from '../../support.js';

const bytes = (file: string) => fixtureBytes(`2003/x64/${file}`);
const [ONE, TWO] = [`${SYSTEM32}shell.dll`, 'C:\\other\\shell.dll'] as const;
const FILES = [ONE, TWO];
const BUILDS = ['base', 'fixed1', 'fixed2'].map((folder) => bytes(`${folder}/shell.dll`));

const versions = (disk: FileSystem): number[] =>
  FILES.map((path) =>
    BUILDS.findIndex((build) => Buffer.compare(build, disk.read(path) ?? new Uint8Array()) === 0),
  );

const hotfix = (number: 1 | 2) => ({
  name: `KB90000${number}`,
  files: FILES.map((path) => ({
    path,
    replacement: bytes(`fixed${number}/shell.dll`),
    hotpatch: {
      path: path.replace('shell', `shell_hp${number}`),
      bytes: bytes(`patch${number}/shell_hp.dll`),
    },
  })),
});

/** `once`: a single operation fails. `from then on`: every write does, as on a disk that is full. */
const FAILURES = ['once', 'from then on'] as const;
const cells = ['', '/hotpatch:enable'].flatMap((first) =>
  ['', '/hotpatch:enable'].flatMap((second) => FAILURES.map((failure) => ({ first, second, failure }))),
);

function refuse(
  disk: FileSystem,
  at: number,
  failure: (typeof FAILURES)[number],
): { fired: boolean; readonly listener: Disposable } {
  let count = 0;
  const state = {
    fired: false,
    listener: disk.onOperation(({ kind }) => {
      const isNow = count++ === at;
      const isWrite = kind === 'write' || kind === 'registry';
      if (!isNow && !(failure === 'from then on' && state.fired && isWrite)) return;
      state.fired = true;
      throw new KernelError({ rule: 'disk.full', status: 'STATUS_DISK_FULL', message: 'no room' });
    }),
  };
  return state;
}

describe('a disk that refuses one operation after the other of a second hotfix', () => {
  it.each(cells)(
    '"$first", then "$second", $failure: what the report says is so',
    async ({ first, second, failure }) => {
      using lab = await Lab.boot({ architecture: 'x64', memorySize: 16 << 20, engine: 'server-2003' });
      const outcomes = new Set<boolean>();
      for (let at = 0, fired = true; fired; at++) {
        const disk = new FileSystem();
        for (const path of FILES) disk.write(path, bytes('base/shell.dll'));
        const server = new Server2003(lab, { disk });
        const processes = FILES.map((path) => {
          const process = server.startProcess('p.exe');
          server.loadDll(process, path);
          return process;
        });
        installHotfix(server, hotfix(1), first);
        const before = { now: versions(disk), paths: disk.paths, pending: disk.pendingRenames };
        const refusal = refuse(disk, at, failure);
        const report = installHotfix(server, hotfix(2), second);
        fired = refusal.fired;
        refusal.listener[Symbol.dispose]();
        outcomes.add(report.installed);
        const where = `operation ${at}: ${JSON.stringify(report)}`;
        if (!report.installed) {
          expect([report.rebootRequired, report.reasons.length > 0], where).toEqual([false, true]);
          expect(versions(disk), where).toEqual(before.now);
          expect(
            disk.pendingRenames.filter(({ to }) => to),
            where,
          ).toEqual(before.pending.filter(({ to }) => to));
        }
        for (const path of report.coldpatched) expect(disk.read(path), where).toEqual(BUILDS[2]);
        if (report.pending.length > 0) expect(report.rebootRequired, where).toBe(true);
        // A process that starts now gets what is said to be in force, and the old one has its hotpatch.
        for (const path of report.hotpatched) {
          const late = server.startProcess('late.exe');
          expect(server.loadDll(late, path).image.bytes, where).toEqual(BUILDS[2]);
          late.terminate();
          for (const image of server.imagesOf(path))
            expect(server.engine.patchOf(image)?.image.bytes ?? image.image.bytes, where).toEqual(
              image.image.bytes === BUILDS[2] ? BUILDS[2] : bytes('patch2/shell_hp.dll'),
            );
        }
        for (const process of processes) process.terminate();
        server[Symbol.dispose]();
        disk.startBoot();
        expect([at, ...versions(disk)], where).toEqual([at, ...(report.installed ? [2, 2] : [1, 1])]);
        expect(disk.pendingRenames, where).toEqual([]);
        expect(
          disk.paths.filter((path) => !/shell_hp/.test(path)),
          where,
        ).toEqual([...FILES].sort());
      }
      expect(outcomes).toEqual(new Set([true, false]));
    },
  );
});
