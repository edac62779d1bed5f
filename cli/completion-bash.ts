import type { Operand, ShellCommand } from './completion-tree.js';

/** A completion script for bash 4 or newer; it needs nothing of the bash-completion package. */
export function bashCompletion(commands: readonly ShellCommand[]): string {
  const names = commands.map(({ name }) => name).join(' ');
  return `# bash completion for hotpatch, made by: hotpatch completion bash
_hotpatch() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]}
  local command='' options='' position=0 i
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ -z $command ]]; then
      [[ \${COMP_WORDS[i]} == -* ]] || command=\${COMP_WORDS[i]}
    else
      case "$command \${COMP_WORDS[i]}" in
${pattern(
  commands.flatMap(({ name, options }) =>
    options.flatMap((option) => (option.operand === undefined ? [] : [`${name} ${option.name}`])),
  ),
)}
          ((i++)) ;;
        *' '-*) ;;
        *) ((position++)) ;;
      esac
    fi
  done
  if [[ -z $command ]]; then
    COMPREPLY=($(compgen -W '${names} --help --debug' -- "$current"))
    return
  fi
  case "$command $previous" in
${byOperand(commands)}
  esac
  case $command in
${commands.map(({ name, options }) => `    ${name}) options='${options.map((option) => option.name).join(' ')}' ;;`).join('\n')}
  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
    return
  fi
  case "$command $position" in
${commands.flatMap(positions).join('\n')}
  esac
}
complete -o filenames -F _hotpatch hotpatch
`;
}

function positions({ name, operands, isVariadic }: ShellCommand): string[] {
  return operands.map((each, index) => {
    const isOpen = isVariadic && index === operands.length - 1;
    return `    '${name} '${isOpen ? '*' : index}) ${operand(each)} ;;`;
  });
}

/** One branch for all options that are followed by the same. */
function byOperand(commands: readonly ShellCommand[]): string {
  const branches = new Map<string, string[]>();
  for (const { name, options } of commands)
    for (const option of options) {
      if (option.operand === undefined) continue;
      const action = operand(option.operand);
      branches.set(action, [...(branches.get(action) ?? []), `'${name} ${option.name}'`]);
    }
  return [...branches]
    .map(([action, names]) => `    ${names.join('|')})\n      ${action}; return ;;`)
    .join('\n');
}

function operand(value: Operand): string {
  if (value.kind === 'words') return `COMPREPLY=($(compgen -W '${value.words.join(' ')}' -- "$current"))`;
  return value.kind === 'file' ? 'mapfile -t COMPREPLY < <(compgen -f -- "$current")' : 'COMPREPLY=()';
}

function pattern(alternatives: readonly string[]): string {
  return `        ${alternatives.map((text) => `'${text}'`).join('|')})`;
}
