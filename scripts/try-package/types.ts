import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { npmInstall, project, root, run, tarball } from './place.js';

/** The compiler of this repository, and the last of the line before. */
const COMPILERS = { typescript: 'typescript@6', 'typescript-5': 'npm:typescript@5.9' };
const RESOLUTIONS = { node16: 'node16', bundler: 'esnext' };

const MATCHERS = `import { Lab } from 'hotpatch-lab';
import { expect } from 'vitest';
using lab = Lab.boot({ architecture: 'x64' });
const thread = lab.startThread(0n);
expect(thread).toExecutePatch('f');
expect(thread).not.toExecuteBase('f');
expect(thread).toHaveResult('STATUS_SUCCESS');
expect(lab.loadImage('f.dll')).not.toHaveOriginalBytes();
// @ts-expect-error: the name of no NTSTATUS
expect(thread).toHaveResult('STATUS_OF_NOTHING');
// @ts-expect-error: a function's name is missing
expect(thread).toExecutePatch();
`;

/** Every entry point is imported, and every declaration that it leads to is checked, by each compiler and resolution. */
export function types(vitest: string, compilers = Object.keys(COMPILERS)): string {
  const cwd = project(`types-vitest-${vitest}`, { type: 'module' });
  const wanted = Object.entries(COMPILERS).filter(([name]) => compilers.includes(name));
  npmInstall(cwd, [
    '--ignore-scripts',
    tarball,
    `vitest@${vitest}`,
    ...wanted.map(([name, from]) => (from.startsWith('npm:') ? `${name}@${from}` : from)),
  ]);
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    exports: Record<string, unknown>;
  };
  const entries = Object.keys(exports).filter((name) => !name.endsWith('.json'));
  const imports = entries.map(
    (name, i) => `export * as entry${i} from '${name.replace(/^\./, 'hotpatch-lab')}';\n`,
  );
  writeFileSync(join(cwd, 'index.ts'), imports.join('') + MATCHERS);
  for (const [moduleResolution, module] of Object.entries(RESOLUTIONS)) {
    const compilerOptions = {
      ...{ target: 'ES2022', strict: true, skipLibCheck: false, noEmit: true, moduleResolution, module },
      ...{ lib: ['ES2023', 'ESNext.Disposable'], types: ['node'] },
    };
    writeFileSync(
      join(cwd, `tsconfig.${moduleResolution}.json`),
      JSON.stringify({ compilerOptions, files: ['index.ts'] }),
    );
    for (const [compiler] of wanted)
      run(['node', join('node_modules', compiler, 'bin', 'tsc'), '-p', `tsconfig.${moduleResolution}.json`], {
        cwd,
      });
  }
  return Object.keys(RESOLUTIONS).join(', ');
}
