import { defineScenario, Lab, type Scenario } from 'hotpatch-lab';
import { runDebugScript } from '../../debugger/index.js';
import { fixture } from '../support.js';

export type Architecture = 'x64' | 'arm64' | 'x86';

/** hp_entry of demo.dll before and after its patch, with a thread that is inside dispatch when the patch comes. */
export function demoScenario(
  architecture: Architecture,
  options: { readonly patch?: boolean } = {},
): Scenario {
  return defineScenario(`demo.dll on ${architecture}`, async ({ expect, say }) => {
    const lab = await Lab.boot({ architecture, processors: 2 });
    await lab.loadImage(fixture(`${architecture}/hpimport.dll`));
    const demo = await lab.loadImage(fixture(`${architecture}/base/demo.dll`));
    const inside = lab.startThread(demo.symbol('hp_entry'), [0, 3, 4]);
    const other = lab.startThread(demo.symbol('fib'), [7]);
    lab.run({ until: inside.reaches(demo.symbol('dispatch')) });
    if (options.patch !== false) await lab.loadHotPatch(fixture(`${architecture}/patch/demo_hp.dll`));
    lab.run({ until: [inside.returns()] });
    lab.run({ until: [other.returns()] });
    expect(other.result).toBe(13);
    say(`inside returned ${inside.result}`);
    say(`again: ${lab.call(demo.symbol('hp_entry'), [0, 3, 4])}`);
  });
}

/** Lines of the engine's own story, which its own tests compare. */
const ENGINE_LINE = /^ {2}(?:NT|SecureKernel) stores |^ {2}undo entry |^ {2}HPAT of .* gets memory/;

/** Everything that the debugger shows while it runs these commands, without the engine's single stores. */
export async function transcriptOf(scenario: Scenario, ...commands: string[]): Promise<string> {
  let text = '';
  await runDebugScript(scenario, commands.join('\n'), {
    write: (part) => {
      text += part;
    },
  });
  return text
    .split('\n')
    .filter((line) => !ENGINE_LINE.test(line))
    .join('\n');
}

/** The same from the first occurrence of `start` on. */
export async function transcriptFrom(
  start: string,
  scenario: Scenario,
  ...commands: string[]
): Promise<string> {
  const text = await transcriptOf(scenario, ...commands);
  const at = text.indexOf(start);
  if (at < 0) throw new Error(`'${start}' is not in:\n${text}`);
  return text.slice(at);
}
