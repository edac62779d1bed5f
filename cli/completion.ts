import { Argument, Command } from 'commander';
import { bashCompletion } from './completion-bash.js';
import { fishCompletion } from './completion-fish.js';
import { describeCommand, type ShellCommand } from './completion-tree.js';
import { zshCompletion } from './completion-zsh.js';
import { print } from './output.js';

const SHELLS: Readonly<Record<string, (commands: readonly ShellCommand[]) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
};

const HOW = `
Example:
  bash   hotpatch completion bash > ~/.local/share/bash-completion/completions/hotpatch
  zsh    hotpatch completion zsh > ~/.zfunc/_hotpatch   (~/.zfunc in fpath, before compinit)
  fish   hotpatch completion fish > ~/.config/fish/completions/hotpatch.fish`;

/** @param commands every command of the program, this one too */
export function completionCommand(commands: () => Promise<readonly Command[]>): Command {
  return new Command('completion')
    .description('Prints a script that completes commands, options and files in a shell.')
    .addArgument(new Argument('<shell>', 'which shell').choices(Object.keys(SHELLS)))
    .addHelpText('after', HOW)
    .action(async (shell: string) => {
      const script = SHELLS[shell];
      if (script !== undefined) print(script((await commands()).map(describeCommand)).trimEnd());
    });
}
