import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Lab, runScenario, type Scenario } from '../../lab/index.js';

const folder = fileURLToPath(new URL('../../scenarios/', import.meta.url));
export const scenarioFiles = readdirSync(folder).filter((file) => file.endsWith('.ts'));

/** Transcript and the state hashes of every machine that a scenario boots. */
export async function outcome(file: string, seed: number) {
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
