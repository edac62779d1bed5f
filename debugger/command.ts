import type { Goal } from './stop.js';
import type { View } from './view.js';

/** Lines to show; or what is to happen next, after which the prompt comes again. */
export type CommandResult = readonly string[] | Goal | Walk;

/** Steps of which each depends on where the last one has led. A stop for another reason than a step ends it. */
export interface Walk {
  /** What comes next, for a thread that stands here; lines: it is done, and they tell of it. */
  readonly next: (view: View) => Goal | readonly string[];
}

/** What a command is done with. */
export interface CommandContext {
  readonly view: View;
  /** What follows the command's name, without spaces around it. */
  readonly args: string;
  /** Makes another thread the one that the other commands are about. */
  select(view: View): void;
}

/** One command of the prompt. */
export interface DebugCommand {
  readonly name: string;
  readonly aliases?: readonly string[];
  /** `bp ADDRESS` */
  readonly usage: string;
  /** One line. */
  readonly help: string;
  readonly run: (context: CommandContext) => CommandResult;
}

export function isGoal(result: CommandResult): result is Goal {
  return 'kind' in result;
}

export function isWalk(result: CommandResult): result is Walk {
  return 'next' in result;
}

/** Commands of a line, which `;` separates outside of quotes. `.srcpath` has folders of that sort, and takes the whole line. */
export function splitCommands(line: string): string[] {
  if (/^\s*\.srcpath\b/.test(line)) return [line.trim()];
  const parts = line.match(/(?:"[^"]*"|[^";]|")+/g) ?? [];
  return parts.map((part) => part.trim()).filter((part) => part !== '');
}
