import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findUnicorn } from '../../cpu/index.js';
import { type RunOptions, run } from './place.js';

/** The library of this checkout, for what is not about finding it. */
export const UNICORN = { UNICORN_LIBRARY: findUnicorn()?.path ?? '' };

export type Words = (command: string, ...rest: string[]) => string[];

export const npx: Words = (...words) => ['npx', '--no-install', ...words];

/** Without npm, which wants newer versions of Node than the package does. */
export const installed =
  (cwd: string): Words =>
  (command, ...rest) => [join(cwd, 'node_modules', '.bin', command), ...rest];

/** What the starter is for: written, run as a scenario, and tested. */
export function starter(words: Words, pools: readonly string[], options: RunOptions): void {
  run(words('hotpatch', 'new', 'tests', 'starter'), options);
  run(words('hotpatch', 'run', 'starter/scenario.ts'), options);
  for (const pool of pools) run(words('vitest', 'run', '--root', 'starter', '--pool', pool), options);
}

/** A scenario of JavaScript whose package.json does not say that it is an ES module. */
export function scenarioInJavaScript(words: Words, options: RunOptions): void {
  writeFileSync(
    join(options.cwd, 'scenario.js'),
    `import { defineScenario, Lab } from 'hotpatch-lab';
export default defineScenario('of JavaScript', async ({ expect }) => {
  const lab = await Lab.boot({ architecture: 'arm64' });
  expect(lab.kernel.architecture.name).toBe('arm64');
});
`,
  );
  run(words('hotpatch', 'run', 'scenario.js'), options);
}

/** `hotpatch-lab/assert` in node:test, on the starter's images. */
export function nodeTest(options: RunOptions): void {
  writeFileSync(
    join(options.cwd, 'node.test.mjs'),
    `import { test } from 'node:test';
import { Lab } from 'hotpatch-lab';
import { executesPatch, hasOriginalBytes, returns } from 'hotpatch-lab/assert';
test('a hotpatch', async () => {
  const lab = await Lab.boot({ architecture: 'x64' });
  const driver = await lab.loadDriver('starter/images/packets.sys');
  hasOriginalBytes(driver);
  await lab.loadHotPatch('starter/images/packets_hp.sys');
  const packet = lab.allocate(Uint8Array.of(1, 5, 10, 20, 30, 40, 50));
  const thread = lab.startThread(driver.symbol('HandleRequest'), [packet, 2]);
  executesPatch(thread, 'ReceivePacket');
  returns(thread, 'STATUS_INVALID_PARAMETER');
  lab[Symbol.dispose]();
});
`,
  );
  run(['node', '--test', 'node.test.mjs'], options);
}

/** The package from a CommonJS module. */
export function fromCommonJs(options: RunOptions): void {
  writeFileSync(
    join(options.cwd, 'common.cjs'),
    `import('hotpatch-lab').then(({ Lab }) => Lab.boot({ architecture: 'x86' })[Symbol.dispose]());
`,
  );
  run(['node', 'common.cjs'], options);
}
