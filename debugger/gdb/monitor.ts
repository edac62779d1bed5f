import { isGoal, isWalk } from '../command.js';
import { parseCommand } from '../commands/index.js';
import type { View } from '../view.js';

/** `monitor hotpatch …` as commands of the prompt. */
const HOTPATCH: Readonly<Record<string, string>> = {
  '': '!hotpatch',
  list: '!hotpatch',
  hpat: '!hpat',
  apply: '.patch',
  revert: '.unpatch',
};

const HELP = `hotpatch apply FILE     apply a hotpatch image, here and now
hotpatch revert [PATCH] take a patch back
hotpatch list           the patches and the undo table
hotpatch hpat [MODULE]  the Hotpatch Address Tables
COMMAND                 any command of hotpatch step that runs nothing: u, uf, k, !pte, !tt, …
`;

/** Does what GDB's `monitor` asks for and returns what it shows. */
export function monitor(line: string, view: View): string {
  const text = line.trim();
  if (text === '' || text === 'help') return HELP;
  const [, verb = '', args = ''] = /^hotpatch\s*(\S*)\s*(.*)$/.exec(text) ?? [];
  const command = text.startsWith('hotpatch') ? HOTPATCH[verb] : undefined;
  const parsed = parseCommand(command === undefined ? text : `${command} ${args}`);
  if (parsed === undefined) return `'${text}' is no command\n${HELP}`;
  try {
    const result = parsed.command.run({ view, args: parsed.args, select: () => undefined });
    if (isWalk(result) || isGoal(result))
      return `'${text}' runs the program; use GDB's own commands for that\n`;
    return result.map((each) => `${each}\n`).join('');
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return `error: ${error.message}\n`;
  }
}
