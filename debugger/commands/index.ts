import type { DebugCommand } from '../command.js';
import { breakpointCommands } from './breakpoints.js';
import { codeCommands } from './code.js';
import { executionCommands } from './execution.js';
import { hotpatchCommands } from './hotpatch.js';
import { lookCommands } from './look.js';
import { memoryCommands } from './memory.js';
import { sourceCommands } from './source.js';
import { symbolCommands } from './symbols.js';
import { threadCommands } from './threads.js';
import { travelCommands } from './travel.js';
import { walkCommands } from './walk.js';

const help: DebugCommand = {
  name: '.help',
  aliases: ['help', 'h'],
  usage: '.help',
  help: 'this list',
  run: () => helpLines(),
};

export function helpLines(): string[] {
  const width = Math.max(...debugCommands.map(({ usage }) => usage.length));
  return debugCommands.map(({ usage, help: text }) => `${usage.padEnd(width)}  ${text}`);
}

/** Every command of the prompt, in the order of the help text. */
export const debugCommands: readonly DebugCommand[] = [
  ...executionCommands,
  ...walkCommands,
  ...travelCommands,
  ...breakpointCommands,
  ...codeCommands,
  ...sourceCommands,
  ...threadCommands,
  ...symbolCommands,
  ...memoryCommands,
  ...lookCommands,
  ...hotpatchCommands,
  help,
];

const byName = new Map(
  debugCommands.flatMap((command) =>
    [command.name, ...(command.aliases ?? [])].map((name) => [name, command] as const),
  ),
);

export const commandNames: readonly string[] = [...byName.keys()];

/** Splits `bp demo!dispatch` into the command and its arguments; names may touch them: `~8s`, `u.`, `?1+1`. */
export function parseCommand(
  line: string,
): { readonly command: DebugCommand; readonly args: string } | undefined {
  const text = line.trim();
  const [word = ''] = /^\S+/.exec(text) ?? [];
  for (let length = word.length; length > 0; length--) {
    const command = byName.get(word.slice(0, length));
    if (command !== undefined && (length === word.length || /[~?@.]$|^[~?]/.test(word.slice(0, length))))
      return { command, args: text.slice(length).trim() };
  }
  return undefined;
}
