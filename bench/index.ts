/** Runs every benchmark in this folder, each in a process of its own, one after the other. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

if (process.argv.includes('--compare')) {
  const { compare } = await import('./compare.js');
  compare();
  process.exit();
}

const folder = fileURLToPath(new URL('.', import.meta.url));
const own = fileURLToPath(import.meta.url);

for (const file of readdirSync(folder).sort()) {
  const path = folder + file;
  if (!file.endsWith('.ts') || path === own || file === 'compare.ts') continue;
  console.log(`\n# ${file}`);
  const { status } = spawnSync(process.execPath, ['--import', 'tsx', path], { stdio: 'inherit' });
  if (status !== 0) process.exitCode = 1;
}
