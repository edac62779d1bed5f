/**
 * Bundles the `hotpatch` command into dist/command: one file for what every command needs and one for what several share,
 * in place of hundreds that Node would open one by one. bin/hotpatch.js says which commands are started from there.
 */
import { rmSync } from 'node:fs';
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
  ],
  // For packages that are CommonJS.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
});
