import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { BUNDLED } from '../../bin/bundled.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

describe('the bundled commands', () => {
  it('are none that load scenarios, whose classes would be others than the bundle has', async () => {
    const { metafile } = await build({
      entryPoints: BUNDLED.filter((name) => name !== 'completion').map((name) => `cli/${name}.ts`),
      absWorkingDir: root,
      outdir: 'out/bundle',
      bundle: true,
      write: false,
      metafile: true,
      packages: 'external',
      platform: 'node',
      format: 'esm',
    });
    const files = Object.keys(metafile.inputs);
    expect(files).toContain('cli/call.ts');
    expect(files.filter((file) => /scenario-file|resolve-hook|debug-thread/.test(file))).toEqual([]);
  });

  it('are not needed to tell the version', () => {
    const { version } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));
    const { stdout, status } = spawnSync(process.execPath, ['bin/hotpatch.js', '--version'], {
      cwd: root,
      encoding: 'utf8',
    });
    expect({ stdout, status }).toEqual({ stdout: `${version}\n`, status: 0 });
  });
});
