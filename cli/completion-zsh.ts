import type { Operand, ShellCommand, ShellOption } from './completion-tree.js';

/** A completion function for zsh's compinit: a file `_hotpatch` in a folder of fpath. */
export function zshCompletion(commands: readonly ShellCommand[]): string {
  return `#compdef hotpatch
# zsh completion for hotpatch, made by: hotpatch completion zsh
_hotpatch() {
  local -a commands
  commands=(
${commands.map(({ name, description }) => `    ${quote(`${name}:${description}`)}`).join('\n')}
  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
${commands
  .map(
    (command) =>
      `    ${command.name})\n      _arguments \\\n${[...command.options.map(option), ...operands(command)].map((line) => `        ${line}`).join(' \\\n')} ;;`,
  )
  .join('\n')}
  esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _hotpatch "$@"
else
  compdef _hotpatch hotpatch
fi
`;
}

function option({ name, description, operand, isRepeatable }: ShellOption): string {
  const value = operand === undefined ? '' : `:value:${action(operand)}`;
  return quote(`${isRepeatable ? '*' : ''}${name}[${description.replace(/[[\]\\]/g, '\\$&')}]${value}`);
}

function operands({ operands: all, isVariadic }: ShellCommand): string[] {
  return all.map((operand, index) => {
    const place = isVariadic && index === all.length - 1 ? '*' : `${index + 1}`;
    return quote(`${place}:argument:${action(operand)}`);
  });
}

function action(operand: Operand): string {
  if (operand.kind === 'words') return `(${operand.words.join(' ')})`;
  return operand.kind === 'file' ? '_files' : ' ';
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
