import { CpuError } from '../../cpu/index.js';
import type { Finding, Hotp1Finding } from '../../image/index.js';
import { KernelError } from '../../loader/index.js';
import { HotPatchError } from './error.js';

/** Refuses the image for the first error that the rules of its format have found. */
export function refuseFindings(findings: readonly (Finding | Hotp1Finding)[], image: string): void {
  const finding = findings.find((candidate) => candidate.severity === 'error');
  if (finding === undefined) return;
  throw new HotPatchError({
    rule: finding.rule,
    status: finding.status.name,
    image,
    place: finding.place,
    message: finding.message,
  });
}

/** What an operation ended with, as the engine's error; bug checks and the project's own bugs stay what they are. */
export function asHotPatchError(error: unknown, image: string): unknown {
  if (error instanceof CpuError && error.status?.name === 'STATUS_NO_MEMORY')
    return new HotPatchError({
      rule: error.rule,
      status: 'STATUS_NO_MEMORY',
      image,
      message: error.message,
      cause: error,
    });
  if (!(error instanceof KernelError)) return error;
  return new HotPatchError({
    rule: error.rule,
    status: error.status.name,
    image,
    message: error.reason,
    cause: error,
    hint: error.hint,
  });
}
