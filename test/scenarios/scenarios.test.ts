import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runScenario, type Scenario } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';

const folder = new URL('../../scenarios/', import.meta.url);
const names = readdirSync(folder).flatMap((file) =>
  file.endsWith('.ts') ? [file.slice(0, -'.ts'.length)] : [],
);

async function transcriptOf(name: string, seed?: number): Promise<string> {
  const module: { default: Scenario } = await import(fileURLToPath(new URL(`${name}.ts`, folder)));
  const result = await runScenario(module.default, seed === undefined ? {} : { seed });
  if (result.error !== undefined) throw result.error;
  expect(result.expectations).toBeGreaterThan(0);
  return `${result.transcript.map((event) => event.text).join('\n')}\n`;
}

describe('scenarios', () => {
  it('are there', () => expect(names.length).toBeGreaterThanOrEqual(3));

  it.each(names)('%s tells the same story each time, line by line', async (name) => {
    const transcript = await transcriptOf(name);
    await expect(transcript).toMatchFileSnapshot(`transcripts/${name}.txt`);
    expect(await transcriptOf(name)).toBe(transcript);
  });

  it.each(names)('%s holds for other interleavings', async (name) => {
    for (const seed of [2, 3, 0xffffffff]) await transcriptOf(name, seed);
  });
});
