/**
 * Bundles the `hotpatch` command into dist/command: one file for what every command needs and one for what several share,
 * in place of hundreds that Node would open one by one. bin/hotpatch.js says which commands are started from there.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const at = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

rmSync(at('dist/command'), { recursive: true, force: true });
await build({
  entryPoints: [at('dist/cli/main.js')],
  outdir: at('dist/command'),
  bundle: true,
  splitting: true,
  minifySyntax: true,
  minifyWhitespace: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  logLevel: 'warning',
  // Native code, WebAssembly, and what only scenarios and debug adapters need.
  external: [
    'koffi',
    'iced-x86',
    '@alexaltea/*',
    '@vscode/*',
    'tsx',
    'tsx/*',
    'esbuild',
    'typescript',
    'vitest',
    'ws',
    'better-sqlite3',
    'bullmq',
    'ioredis',
  ],
  // For packages that are CommonJS.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
});

// The workbench's page: its program with the editors in it, so that nothing is asked of a network.
await build({
  entryPoints: [at('workbench/client/main.ts')],
  outfile: at('dist/workbench/client/page.js'),
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  logLevel: 'warning',
});
writeFileSync(
  at('dist/workbench/client/page.LICENSES.txt'),
  readdirSync(at('node_modules/@codemirror'))
    .map((name) => `@codemirror/${name}`)
    .concat('codemirror', '@lezer/common', '@lezer/cpp', '@lezer/highlight', '@lezer/lr')
    .concat('@marijn/find-cluster-break', 'crelt', 'style-mod', 'w3c-keyname')
    .map((name) => `${name}\n\n${readFileSync(at(`node_modules/${name}/LICENSE`), 'utf8')}\n`)
    .join('\n'),
);
