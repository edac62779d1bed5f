/** Builds the package unless the last build is newer than every source and setting that it was made from. */
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOMS } from './rooms.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const SETTINGS = [
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'scripts/setup',
];

const changed = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** The folders too: they change when a file goes. */
function newest(path) {
  if (!statSync(path).isDirectory()) return changed(path);
  const times = readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory() || /\.(ts|json|js|css|html)$/.test(entry.name))
    .map((entry) => changed(join(entry.parentPath ?? entry.path, entry.name)));
  return Math.max(changed(path), ...times);
}

const sources = Math.max(...[...ROOMS, ...SETTINGS].map((name) => newest(join(root, name))));
if (changed(join(root, 'dist/command/main.js')) < sources) {
  const { status } = spawnSync('npm', ['run', '--silent', 'build'], {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  process.exitCode = status ?? 1;
}
