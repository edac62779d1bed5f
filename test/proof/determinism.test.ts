import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Lab, runScenario, type Scenario } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';

const folder = fileURLToPath(new URL('../../scenarios/', import.meta.url));
const files = readdirSync(folder).filter((file) => file.endsWith('.ts'));

/** Transcript and the state hashes of every machine that a scenario boots. */
async function outcome(file: string, seed: number) {
  const { default: scenario } = (await import(`${folder}${file}`)) as { default: Scenario };
  const labs: Lab[] = [];
  const hashes: string[] = [];
  const watched: Scenario = {
    ...scenario,
    body: async (context) => {
      try {
        await scenario.body(context);
      } finally {
        for (const lab of labs) hashes.push(lab.kernel.machine.hash());
      }
    },
  };
  const result = await runScenario(watched, { seed, onBoot: (lab) => void labs.push(lab) });
  return { error: result.error, text: result.transcript.map(({ text }) => text).join('\n'), hashes };
}

describe('every scenario runs twice the same, byte for byte', () => {
  it.each(files)('%s', async (file) => {
    const first = await outcome(file, 3);
    const second = await outcome(file, 3);
    expect(first.error).toBeUndefined();
    expect(second.text).toBe(first.text);
    expect(second.hashes).toEqual(first.hashes);
    expect(first.hashes.length).toBeGreaterThan(0);
  });
});
