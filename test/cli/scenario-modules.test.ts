import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BuiltCommand } from './built.js';

const folder = mkdtempSync(join(tmpdir(), 'scenario-modules-'));
let command: BuiltCommand;
beforeAll(async () => {
  command = await BuiltCommand.make();
});
afterAll(() => {
  command[Symbol.dispose]();
  rmSync(folder, { recursive: true });
});

const ES_MODULE = `import { defineScenario, Lab } from 'hotpatch-lab';
import { seven } from './helper.js';
import { format } from 'util';
export default defineScenario('of a module', async ({ expect }) => {
  const { Lab } = await import('hotpatch-lab');
  Lab.boot({ architecture: 'x64' })[Symbol.dispose]();
  expect(format(seven)).toBe('7');
});
`;

const FILES: Readonly<Record<string, string>> = {
  'helper.js': 'export const seven = 7;\n',
  'module.js': ES_MODULE,
  'module.mjs': ES_MODULE,
  'module.ts': ES_MODULE,
  'awaits.js': `const { defineScenario } = await import('hotpatch-lab');
export default defineScenario('that awaits', ({ expect }) => expect(1).toBe(1));
`,
  'common.js': `const { three } = require('./common.cjs');
module.exports = import('hotpatch-lab').then(({ defineScenario }) =>
  defineScenario('of CommonJS', ({ expect }) => expect(three).toBe(3)));
`,
  'common.cjs': 'exports.three = 3;\n',
};
const SCENARIOS = ['module.js', 'module.mjs', 'module.ts', 'awaits.js', 'common.js'];

it.each([
  ['says nothing', {}],
  ['says CommonJS', { type: 'commonjs' }],
])(
  'a scenario is the kind of module that it is written as, where package.json %s',
  async (_what, manifest) => {
    const cwd = join(folder, JSON.stringify(manifest).length.toString());
    mkdirSync(cwd);
    writeFileSync(join(cwd, 'package.json'), JSON.stringify(manifest));
    for (const [name, text] of Object.entries(FILES)) writeFileSync(join(cwd, name), text);
    const { code, stdout, stderr } = await command.run(['run', ...SCENARIOS, '--json'], { cwd });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ scenarios: SCENARIOS.map((file) => ({ file, held: true })) });
  },
);
