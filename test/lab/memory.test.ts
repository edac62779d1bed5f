import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixture } from '../support.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
let folder = '';

// Below the repository, where the packages are found.
beforeAll(async () => {
  mkdirSync(join(root, 'out'), { recursive: true });
  folder = mkdtempSync(join(root, 'out', 'memory-'));
  await build({
    entryPoints: [join(root, 'lab', 'index.ts')],
    outfile: join(folder, 'lab.mjs'),
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'error',
  });
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'hotpatch-lab' }));
});
afterAll(() => rmSync(folder, { recursive: true }));

const USE_LAB = `
  const lab = Lab.boot({ architecture: 'x64', processors: 2 });
  const driver = lab.loadDriver(${JSON.stringify(fixture('x64/base/packets.sys'))});
  lab.call(driver.symbol('PacketsSeen'));
`;

/** Mean resident sizes of a process during the first and the last tenth of `count` rounds, in MB. */
function residentMegabytes(count: number, round: string): { first: number; last: number } {
  const file = join(folder, 'rounds.mjs');
  writeFileSync(
    file,
    `import { isMainThread, Worker } from 'node:worker_threads';
import { Lab } from './lab.mjs';
const tenth = ${count / 10};
const sums = { first: 0, last: 0 };
for (let i = 0; isMainThread && i < ${count}; i++) {
  await round();
  const resident = process.memoryUsage.rss() / 2 ** 20 / tenth;
  if (i < tenth) sums.first += resident;
  if (i >= ${count} - tenth) sums.last += resident;
}
if (isMainThread) console.log(JSON.stringify(sums));
else useLab();
function useLab() {${USE_LAB}  return lab; }
function round() {${round}}
`,
  );
  const { status, stdout, stderr } = spawnSync(process.execPath, [file], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${status}: ${stderr}`);
  return JSON.parse(stdout) as { first: number; last: number };
}

// Each of these leaked half a megabyte and more: bounds are far from what garbage collection makes of it.
describe('the memory of a process stays flat', { timeout: 900_000 }, () => {
  it('while 2,000 machines are booted and disposed of', () => {
    const { first, last } = residentMegabytes(2000, 'useLab()[Symbol.dispose]();');
    expect(first).toBeGreaterThan(10);
    expect(last - first).toBeLessThan(200);
  });

  it('while 200 workers boot machines and end without disposing of them', () => {
    const { first, last } = residentMegabytes(
      200,
      `return new Promise((resolve, reject) =>
        new Worker(new URL(import.meta.url)).on('exit', resolve).on('error', reject));`,
    );
    expect(first).toBeGreaterThan(10);
    expect(last - first).toBeLessThan(200);
  });
});
