#!/usr/bin/env node
import { existsSync, readFileSync } from 'node:fs';
import { BUNDLED } from './bundled.js';

const args = process.argv.slice(2);
if (args.length === 1 && args[0] === '--version') {
  console.log(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version);
} else {
  const whole = new URL('../dist/cli/main.js', import.meta.url);
  const bundle = new URL('../dist/command/main.js', import.meta.url);
  const command = args.find((arg) => !arg.startsWith('-'));
  const isBundled = command === undefined || BUNDLED.includes(command);
  const main = isBundled && existsSync(bundle) ? bundle : whole;
  if (existsSync(main)) {
    const { main: run, finish, watchInterrupts, watchStreams } = await import(main.href);
    watchStreams();
    watchInterrupts(args);
    finish(await run(args));
  } else {
    console.error('hotpatch: not built yet; run: npm run build');
    process.exitCode = 2;
  }
}
