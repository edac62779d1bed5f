import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  campaignPage,
  FileFolder,
  queueAddress,
  Results,
  reportOn,
  runQueued,
  shownAddress,
} from '../../campaign/index.js';
import { sha256 } from '../../campaign/unit.js';
import { hasSqlite } from './sqlite.js';

const hasRedis = spawnSync('redis-server', ['--version']).status === 0;
if (!hasRedis) console.warn('SKIPPED: queues need redis-server (Debian: redis-server)');

const work = mkdtempSync(join(tmpdir(), 'hotpatch-queue-'));
const children: ChildProcess[] = [];
const COMMAND = [
  '--import',
  import.meta.resolve('tsx'),
  fileURLToPath(new URL('./command-main.ts', import.meta.url)),
];

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** With an append-only file, so that it has after a stop what it had before. */
function startRedis(port: number): ChildProcess {
  const folder = join(work, 'redis');
  mkdirSync(folder, { recursive: true });
  const options = [
    '--bind',
    '127.0.0.1',
    '--port',
    String(port),
    '--dir',
    folder,
    '--save',
    '',
    '--appendonly',
    'yes',
  ];
  return started(spawn('redis-server', options, { stdio: 'ignore' }));
}

function hotpatch(...args: string[]): ChildProcess {
  return started(spawn(process.execPath, [...COMMAND, ...args], { stdio: ['ignore', 'pipe', 'pipe'] }));
}

function started(child: ChildProcess): ChildProcess {
  children.push(child);
  return child;
}

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  return new Promise((resolve) => child.once('exit', (code) => resolve(code)));
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 50));
}

afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill('SIGKILL');
    await ended(child);
  }
});
afterAll(() => rmSync(work, { recursive: true, force: true }));

const PLAN = {
  name: 'queued',
  work: [
    { kind: 'fuzz', target: 'table', architectures: ['x64', 'arm64'], count: 240, unit: 6 },
    { kind: 'fuzz', target: 'image', architectures: ['x86'], count: 60, unit: 10, seeds: ['seed.bin'] },
    { kind: 'fuzz', target: 'guest', architectures: ['arm64'], count: 400, unit: 40 },
  ],
};

describe.skipIf(!hasRedis || !hasSqlite)('two machines that work on a queue', { timeout: 300_000 }, () => {
  const plan = join(work, 'plan.json');
  beforeAll(() => {
    writeFileSync(plan, JSON.stringify(PLAN));
    const seed = fileURLToPath(new URL('../fixtures/x86/patch/demo_hp.dll', import.meta.url));
    writeFileSync(join(work, 'seed.bin'), readFileSync(seed));
  });

  const pageOf = (file: string) => {
    using results = Results.open(file);
    return { count: results.count, page: campaignPage(reportOn(results, { timings: false })) };
  };

  it('do every unit once, though one is killed and the server stops and comes back: as one machine alone', async () => {
    const port = await freePort();
    const queue = `redis://127.0.0.1:${port}`;
    let redis = startRedis(port);
    const [through, alone] = ['through.sqlite', 'alone.sqlite'].map((name) => join(work, name));
    if (through === undefined || alone === undefined) throw new Error('two');
    const workers = [1, 2].map(() => hotpatch('campaign', 'work', '--queue', queue, '--workers', '1'));
    const campaign = hotpatch('campaign', 'run', plan, '--results', through, '--queue', queue);
    const done = () => {
      try {
        using results = Results.open(through);
        return results.count.done;
      } catch {
        return 0;
      }
    };
    await until(() => done() >= 5 || campaign.exitCode !== null);
    workers[0]?.kill('SIGKILL');
    await until(() => done() >= 15 || campaign.exitCode !== null);
    redis.kill('SIGTERM');
    await ended(redis);
    const atStop = done();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    redis = startRedis(port);
    expect(await ended(campaign)).toBe(0);
    expect(atStop).toBeLessThan(96);

    expect(await ended(hotpatch('campaign', 'run', plan, '--results', alone, '--workers', '1'))).toBe(0);
    const [queued, embedded] = [through, alone].map(pageOf);
    expect(queued?.count).toEqual({ units: 96, done: 96, findings: 0 });
    expect(queued?.page).toBe(embedded?.page);
    using results = Results.open(through);
    expect(new Set(results.units().map(({ worker }) => worker)).size).toBe(2);
  });

  it('of which none has what a unit needs end the campaign with the reason', async () => {
    const port = await freePort();
    const address = queueAddress(`redis://127.0.0.1:${port}#broken`);
    startRedis(port);
    const worker = hotpatch(
      'campaign',
      'work',
      '--queue',
      `redis://127.0.0.1:${port}#broken`,
      '--workers',
      '1',
    );
    using results = Results.create(join(work, 'broken.sqlite'), { name: 'broken' });
    // A file that neither the queue nor a shared folder has by the time a worker wants it.
    const file = { name: 'gone.dll', sha256: sha256('gone'), size: 4 };
    const unit = { kind: 'fuzz', target: 'image', architecture: 'x64', seeds: [file], first: 1, count: 1 };
    results.plan({ name: 'broken', work: [] }, [{ id: '0123456789012345', position: 0, unit }]);
    const folder = new FileFolder(join(work, 'local'));
    folder.put(Buffer.from('gone'));
    await new Promise((resolve) => setTimeout(resolve, 500));
    await expect(
      runQueued({
        results,
        folder: folder.folder,
        queue: address,
        mostInQueue: 0,
        files: join(work, 'unseen'),
      }),
    ).rejects.toMatchObject({
      rule: 'tool.missing',
      message: expect.stringContaining('neither in the queue nor in the shared folder'),
    });
    worker.kill();
  });
});

describe('the address of a queue', () => {
  it('has a server and a name', () => {
    expect(queueAddress('redis://127.0.0.1:6379')).toEqual({
      url: 'redis://127.0.0.1:6379',
      name: 'hotpatch-campaign',
    });
    expect(queueAddress('rediss://me:secret@host:1/2#nightly')).toEqual({
      url: 'rediss://me:secret@host:1/2',
      name: 'nightly',
    });
    expect(shownAddress(queueAddress('rediss://me:secret@host:1/2#nightly'))).toBe(
      'rediss://host:1/2#nightly',
    );
  });

  it.each(['', 'host', 'http://host', 'redis://host#a:b'])('is not %j', (text) => {
    expect(() => queueAddress(text)).toThrow(expect.objectContaining({ rule: 'queue.unreachable' }));
  });

  it.skipIf(!hasSqlite)('at which nobody listens is refused, without its password', async () => {
    const port = await freePort();
    using results = Results.create(':memory:', { name: 'nobody' });
    const refused = runQueued({
      results,
      folder: work,
      queue: queueAddress(`redis://me:secret@127.0.0.1:${port}`),
    });
    await expect(refused).rejects.toMatchObject({
      rule: 'queue.unreachable',
      place: expect.not.stringContaining('secret'),
    });
  });
});
