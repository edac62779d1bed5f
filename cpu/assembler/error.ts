import { CpuError } from '../error.js';
import type { CpuRule } from '../rules.js';

/** A source line that cannot be assembled. `line` counts from 1. */
export class AssemblerError extends CpuError {
  override readonly name = 'AssemblerError';
  readonly line: number;
  readonly source: string;

  constructor(
    rule: CpuRule,
    statement: { readonly line: number; readonly source: string },
    reason: string,
    cause?: unknown,
  ) {
    super(rule, `line ${statement.line}: ${statement.source}: ${reason}`, {
      status: 'STATUS_INVALID_PARAMETER',
      ...(cause === undefined ? {} : { cause }),
    });
    this.line = statement.line;
    this.source = statement.source;
  }
}
