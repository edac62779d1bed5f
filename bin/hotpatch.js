#!/usr/bin/env node
import { existsSync } from 'node:fs';

const main = new URL('../dist/cli/main.js', import.meta.url);
if (!existsSync(main)) {
  console.error('hotpatch: not built yet; run: npm run build');
  process.exit(2);
}
const { main: run, watchStreams } = await import(main.href);
watchStreams();
process.exitCode = await run(process.argv.slice(2));
