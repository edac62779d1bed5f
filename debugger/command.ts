import type { Goal } from './stop.js';
import type { View } from './view.js';

/** Lines to show; or what is to happen next, after which the prompt comes again. */
export type CommandResult = readonly string[] | Goal;

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
