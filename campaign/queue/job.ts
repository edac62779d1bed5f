import type { Outcome, Unit } from '../unit.js';

/** What a job holds. */
export interface UnitJob {
  readonly unit: Unit;
}

/** What a job gives back, as JSON: bytes of inputs in base64. */
export interface UnitResult {
  readonly outcome: Omit<Outcome, 'findings'> & {
    readonly findings: readonly {
      readonly rule: string;
      readonly message: string;
      readonly unit: Unit;
      readonly inputs: readonly { readonly name: string; readonly base64: string }[];
    }[];
  };
  readonly seconds: number;
  readonly worker: string;
}

export function encodeOutcome({ findings, ...rest }: Outcome): UnitResult['outcome'] {
  return {
    ...rest,
    findings: findings.map((finding) => ({
      ...finding,
      inputs: finding.inputs.map(({ name, bytes }) => ({
        name,
        base64: Buffer.from(bytes).toString('base64'),
      })),
    })),
  };
}

export function decodeOutcome({ findings, ...rest }: UnitResult['outcome']): Outcome {
  return {
    ...rest,
    findings: findings.map((finding) => ({
      ...finding,
      inputs: finding.inputs.map(({ name, base64 }) => ({ name, bytes: Buffer.from(base64, 'base64') })),
    })),
  };
}
