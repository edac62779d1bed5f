#!/usr/bin/env node
import { existsSync } from 'node:fs';

const main = new URL('../dist/builder/make/wrapper.js', import.meta.url);
if (!existsSync(main)) {
  console.error('hotpatch-cc: not built yet; run: npm run build');
  process.exit(2);
}
const { wrapper } = await import(main.href);
process.exitCode = await wrapper('hotpatch-cc', process.argv.slice(2));
