import type { Operand, ShellCommand, ShellOption } from './completion-tree.js';

/** Completions for fish 3 or newer: a file hotpatch.fish in its completions folder. */
export function fishCompletion(commands: readonly ShellCommand[]): string {
  const lines = [
    '# fish completion for hotpatch, made by: hotpatch completion fish',
    'complete -c hotpatch -f',
    'complete -c hotpatch -n __fish_use_subcommand -l help',
    ...commands.flatMap((command) => [
      `complete -c hotpatch -n __fish_use_subcommand -a ${command.name} -d ${quote(command.description)}`,
      ...command.options.map((option) => optionLine(command, option)),
      ...[...new Set(command.operands.map(operandFlags))]
        .filter((flags) => flags !== '')
        .map((flags) => `complete -c hotpatch -n ${seen(command)} ${flags}`),
    ]),
  ];
  return `${lines.join('\n')}\n`;
}

function optionLine(command: ShellCommand, { name, description, operand }: ShellOption): string {
  const needed = operand?.kind === 'file' ? ' -r' : ' -x';
  const value = operand === undefined ? '' : `${needed} ${operandFlags(operand)}`.trimEnd();
  return `complete -c hotpatch -n ${seen(command)} -l ${name.replace('--', '')}${value} -d ${quote(description)}`;
}

function operandFlags(operand: Operand): string {
  if (operand.kind === 'words') return `-a ${quote(operand.words.join(' '))}`;
  return operand.kind === 'file' ? '-F' : '';
}

function seen({ name }: ShellCommand): string {
  return quote(`__fish_seen_subcommand_from ${name}`);
}

function quote(text: string): string {
  return `'${text.replace(/['\\]/g, '\\$&')}'`;
}
