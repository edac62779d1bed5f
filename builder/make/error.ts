/** What went wrong while a hotpatch was made from a source tree. */
export type MakeRule =
  | 'toolchain.missing'
  | 'headers.missing'
  | 'input'
  | 'patch.format'
  | 'patch.apply'
  | 'patch.escape'
  | 'source.written'
  | 'command'
  | 'compile'
  | 'link'
  | 'product'
  | 'function.unknown'
  | 'stage'
  | 'noChange';

export interface MakeErrorDetails {
  readonly rule: MakeRule;
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string;
  readonly file?: string;
  readonly line?: number;
  /** What a tool wrote, shortened. */
  readonly output?: string;
}

/** Rules that mean: the command was asked for something that is not there. */
const USAGE = new Set<MakeRule>(['toolchain.missing', 'headers.missing', 'input', 'product', 'stage']);

/** A hotpatch could not be made; no rule of hotpatching forbids it (that would be a BuildError), a step failed. */
export class MakeError extends Error {
  override readonly name = 'MakeError';
  readonly rule: MakeRule;
  /** The message without what a tool wrote. */
  readonly reason: string;
  readonly hint: string | undefined;
  readonly file: string | undefined;
  readonly line: number | undefined;
  readonly output: string | undefined;

  constructor(details: MakeErrorDetails) {
    super(details.output === undefined ? details.message : `${details.message}\n${details.output}`);
    this.rule = details.rule;
    this.reason = details.message;
    this.hint = details.hint;
    this.file = details.file;
    this.line = details.line;
    this.output = details.output;
  }

  /** Is it the caller's to mend, rather than the sources'? */
  get isUsage(): boolean {
    return USAGE.has(this.rule);
  }
}

const LONGEST_OUTPUT = 4000;

/** The beginning of what a tool wrote: its first complaint is the one that matters. */
export function shortened(text: string): string {
  const trimmed = text.trim();
  return trimmed.length <= LONGEST_OUTPUT ? trimmed : `${trimmed.slice(0, LONGEST_OUTPUT)}\n…`;
}
