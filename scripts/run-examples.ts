/**
 * Runs the example projects as their users do: the package is packed and installed into their own node_modules, so that
 * its exports, its declarations and its list of files are what is tested.
 *
 *     npx tsx scripts/run-examples.ts
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findUnicorn } from '../cpu/index.js';

const examples = fileURLToPath(new URL('../examples/', import.meta.url));

/** Packed, not linked; nothing is built or fetched again, and no lock file is left behind. */
const INSTALL = ['install', '--install-links', '--ignore-scripts', '--no-package-lock', '--prefer-offline'];

const unicorn = findUnicorn()?.path;

function npm(folder: string, ...args: string[]): void {
  const { status } = spawnSync('npm', args, {
    cwd: folder,
    stdio: 'inherit',
    shell: process.platform === 'win32',
    env: { ...process.env, ...(unicorn === undefined ? {} : { UNICORN_LIBRARY: unicorn }) },
  });
  if (status !== 0) throw new Error(`npm ${args.join(' ')} in ${folder} ended with ${status}`);
}

for (const name of readdirSync(examples)) {
  const folder = join(examples, name);
  if (!existsSync(join(folder, 'package.json'))) continue;
  // What an earlier run has installed is an older package.
  rmSync(join(folder, 'node_modules', 'hotpatch-lab'), { recursive: true, force: true });
  npm(folder, ...INSTALL, '--no-audit', '--no-fund', '--silent');
  npm(folder, 'test', '--silent');
}
