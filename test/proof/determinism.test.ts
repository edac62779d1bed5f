import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { outcome, scenarioFiles } from './outcome.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const ALL = `
  const { outcome, scenarioFiles } = await import('./test/proof/outcome.ts');
  for (const file of scenarioFiles) {
    const { error, text, hashes } = await outcome(file, 5);
    console.log(JSON.stringify([file, String(error), hashes, text]));
  }`;

/** Every scenario in a process of its own. */
async function inAnotherProcess(): Promise<string> {
  const parameters = ['--import', 'tsx', '--input-type=module', '-e', ALL];
  const { stdout } = await promisify(execFile)('node', parameters, { cwd: root, maxBuffer: 2 ** 26 });
  return stdout;
}

describe('every scenario runs twice the same, byte for byte', () => {
  it.each(scenarioFiles)('%s', async (file) => {
    const first = await outcome(file, 3);
    const second = await outcome(file, 3);
    expect(first.error).toBeUndefined();
    expect(second.text).toBe(first.text);
    expect(second.hashes).toEqual(first.hashes);
    expect(first.hashes.length).toBeGreaterThan(0);
  });

  it('also in two processes', async () => {
    const first = await inAnotherProcess();
    const lines = first.split('\n').filter((line) => line !== '');
    expect(lines).toHaveLength(scenarioFiles.length);
    for (const line of lines) expect(line).toMatch(/^\["[^"]+","undefined",\["[0-9a-f]{16}/);
    expect(await inAnotherProcess()).toBe(first);
  }, 240_000);
});
