import type { Argument, Command, Option } from 'commander';

/** What comes after an option, or as an argument: one of some words, a file, or something nobody can guess. */
export type Operand =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'file' }
  | { readonly kind: 'other' };

export interface ShellOption {
  /** `--json` */
  readonly name: string;
  readonly description: string;
  /** Undefined for a switch. */
  readonly operand: Operand | undefined;
  readonly isRepeatable: boolean;
}

/** A command as its completion sees it. */
export interface ShellCommand {
  readonly name: string;
  readonly description: string;
  readonly options: readonly ShellOption[];
  /** By position; the last one goes on when it is variadic. */
  readonly operands: readonly Operand[];
  readonly isVariadic: boolean;
}

/** Every option that all commands have. */
const COMMON: readonly ShellOption[] = [
  { name: '--help', description: 'what the command does', operand: undefined, isRepeatable: false },
  { name: '--debug', description: 'show stack traces of errors', operand: undefined, isRepeatable: false },
];

export function describeCommand(command: Command): ShellCommand {
  const { registeredArguments } = command;
  return {
    name: command.name(),
    description: command.description(),
    options: [...command.options.map(describeOption), ...COMMON],
    operands: registeredArguments.map((argument) => operandOf(argument, argument.name())),
    isVariadic: registeredArguments.at(-1)?.variadic === true,
  };
}

function describeOption(option: Option): ShellOption {
  const [, placeholder = ''] = /<([^>]+)>/.exec(option.flags) ?? [];
  return {
    name: option.long ?? option.flags,
    description: option.description,
    operand: option.required ? operandOf(option, placeholder.replace('...', '')) : undefined,
    isRepeatable: option.variadic || /repeatable/.test(option.description),
  };
}

/** What the commands call the things that are files. */
const FILES = new Set(['file', 'image', 'scenario', 'patch']);

function operandOf({ argChoices }: Argument | Option, placeholder: string): Operand {
  if (argChoices !== undefined) return { kind: 'words', words: argChoices };
  return FILES.has(placeholder) ? { kind: 'file' } : { kind: 'other' };
}
