/** The system stopped: a blue screen, with its code and parameters (bugcodes.h). Nothing runs after it. */
export class BugCheck extends Error {
  override readonly name = 'BugCheck';

  constructor(
    readonly code: number,
    readonly parameters: readonly bigint[],
    reason: string,
  ) {
    super(
      `bugcheck ${BUG_CHECK_NAMES.get(code) ?? ''} 0x${code.toString(16)} (${parameters.map((value) => `0x${value.toString(16)}`).join(', ')}): ${reason}`,
    );
  }
}

export const MEMORY_MANAGEMENT = 0x1a;
export const CRITICAL_STRUCTURE_CORRUPTION = 0x109;
export const HYPERGUARD_VIOLATION = 0x18c;

const BUG_CHECK_NAMES = new Map([
  [MEMORY_MANAGEMENT, 'MEMORY_MANAGEMENT'],
  [CRITICAL_STRUCTURE_CORRUPTION, 'CRITICAL_STRUCTURE_CORRUPTION'],
  [HYPERGUARD_VIOLATION, 'HYPERGUARD_VIOLATION'],
]);
