import { Argument, Command } from 'commander';
import { bashCompletion } from './completion-bash.js';
import { fishCompletion } from './completion-fish.js';
import { describeCommand, type ShellCommand } from './completion-tree.js';
import { zshCompletion } from './completion-zsh.js';
import { print, printJson } from './output.js';

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
    .option('--json', 'one JSON document on stdout')
    .addHelpText('after', HOW)
    .action(async (shell: string, flags: { readonly json?: boolean }) => {
      const script = SHELLS[shell]?.((await commands()).map(describeCommand)).trimEnd() ?? '';
      if (flags.json === true) printJson({ shell, script });
      else print(script);
    });
}
