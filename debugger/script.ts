import type { Scenario, ScenarioResult } from '../lab/index.js';
import { splitCommands } from './command.js';
import { Prompt } from './prompt.js';
import { DebugSession } from './session.js';

export interface ScriptOptions {
  readonly seed?: number;
  readonly write: (text: string) => void;
}

/**
 * Runs the commands of a script, separated by `;` or line ends, and shows each behind its prompt. When there are no more
 * the scenario runs to its end. `mistakes` counts the commands that there are not, or that could not be done.
 */
export async function runDebugScript(
  scenario: Scenario,
  commands: string,
  { seed, write }: ScriptOptions,
): Promise<ScenarioResult & { readonly mistakes: number }> {
  const lines = commands.split('\n').flatMap(splitCommands);
  const prompt = await Prompt.create({
    readLine: (text) => {
      const line = lines.shift();
      if (line !== undefined) write(`${text}${line.trim()}\n`);
      return line;
    },
    write,
    interrupted: () => false,
  });
  const result = await new DebugSession(scenario, prompt, seed === undefined ? {} : { seed }).run();
  return { ...result, mistakes: prompt.mistakes };
}
