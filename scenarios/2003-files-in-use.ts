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

const DRIVER = `${SYSTEM32}drivers\\packets.sys`;

/** The second problem of hotpatching a running server: atomically replacing files on disk that are in use and therefore locked. */
export default defineScenario('Server 2003: files in use are replaced', ({ expect, say }) => {
  const disk = new FileSystem();
  disk.write(DRIVER, read('x64/base/packets.sys'));
  const start = () => {
    const lab = Lab.boot({ architecture: 'x64', engine: 'server-2003' });
    const server = new Server2003(lab, { disk });
    return { lab, server, driver: server.loadDriver(DRIVER) };
  };
  type Running = ReturnType<typeof start>;
  // A packet that says 5 bytes, of which 2 arrived: the old driver sums up bytes that were never sent.
  const handle = ({ lab, driver }: Running) => {
    const packet = lab.allocate(Uint8Array.of(1, 5, 10, 20, 30, 40, 50));
    return lab.call(driver.symbol('HandleRequest'), [packet, 2]);
  };
  const hotfix: Hotfix = {
    name: 'KB911897',
    files: [
      {
        path: DRIVER,
        replacement: read('x64/fixed1/packets.sys'),
        hotpatch: { path: `${SYSTEM32}drivers\\packets_hp.sys`, bytes: read('x64/patch1/packets_hp.sys') },
      },
    ],
  };

  say('\nThe driver is mapped: its file can neither be written nor deleted, but it can be renamed.');
  let running = start();
  expect(handle(running)).toBe(570);
  expect(() => disk.write(DRIVER, read('x64/fixed1/packets.sys'))).toThrow('STATUS_USER_MAPPED_FILE');
  expect(() => disk.delete(DRIVER)).toThrow('STATUS_CANNOT_DELETE');

  say('\nWithout /hotpatch:enable the file waits for the next boot.');
  const shadow = new FileSystem();
  shadow.write(DRIVER, read('x64/base/packets.sys'));
  const other = Lab.boot({ architecture: 'x64', engine: 'server-2003' });
  const usual = new Server2003(other, { disk: shadow });
  usual.loadDriver(DRIVER);
  const ordinary = installHotfix(usual, hotfix, '/quiet');
  expect(ordinary.rebootRequired).toBe(true);
  expect(ordinary.pending).toEqual([DRIVER]);

  say(
    '\nWith it the two files exchange their names in one operation, and the driver is patched where it runs.',
  );
  const report = installHotfix(running.server, hotfix, '/quiet /hotpatch:enable');
  expect(report.rebootRequired).toBe(false);
  expect(report.hotpatched).toEqual([DRIVER]);
  expect(disk.operations.filter(({ kind }) => kind === 'swap').length).toBe(1);
  expect(handle(running)).toBeStatus('STATUS_INVALID_PARAMETER');

  say('\nThe power fails. The file that the next boot finds is the new one, and needs no hotpatch.');
  running.server[Symbol.dispose]();
  running = start();
  expect(running.server.engine.patches.length).toBe(0);
  expect(handle(running)).toBeStatus('STATUS_INVALID_PARAMETER');

  say(
    '\nHad the files been renamed one after the other, a power failure in between would have left no driver at all.',
  );
  const torn = new FileSystem();
  torn.write(DRIVER, read('x64/base/packets.sys'));
  torn.write(`${DRIVER}.new`, read('x64/fixed1/packets.sys'));
  const old = torn.open(DRIVER, { access: 'delete' });
  const fresh = torn.open(`${DRIVER}.new`, { access: 'delete' });
  torn.rename(old, `${DRIVER}.cp`);
  expect(torn.exists(DRIVER)).toBe(false);
  torn.rename(fresh, DRIVER);
  expect(torn.exists(DRIVER)).toBe(true);
});
