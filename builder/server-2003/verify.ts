import {
  type Hotp1Finding,
  hookTypeName,
  readHotp1,
  shortJumpTarget,
  validateHotp1,
} from '../../image/index.js';
import { type BuildFinding, Findings } from '../finding.js';
import { type BuildSource, Program } from '../program.js';
import { checkEntry } from './hooks.js';
import { endlessCode } from './loops.js';

export interface Verification2003 {
  readonly generation: '2003';
  /** Would the engine go on with it? */
  readonly isValid: boolean;
  /** Rules of the format. */
  readonly formatFindings: readonly Hotp1Finding[];
  /** Rules about the functions of the base that are hooked; only where symbols tell them. */
  readonly findings: readonly BuildFinding[];
  /** Functions of the base whose entries the hooks replace. */
  readonly functions: readonly {
    readonly name: string;
    readonly baseRva: number;
    readonly fixedRva: number;
  }[];
}

/** Checks a hotpatch of the first generation against its base without running it, whoever built it. */
export function verifyHotPatch2003(input: {
  readonly base: BuildSource;
  readonly patch: BuildSource;
  readonly allow?: readonly string[];
}): Verification2003 {
  const { base, patch } = input;
  const formatFindings = validateHotp1(patch.image, base.image);
  const findings = new Findings(new Set(input.allow));
  const functions: { name: string; baseRva: number; fixedRva: number }[] = [];
  if (formatFindings.every(({ severity }) => severity !== 'error')) {
    const hotp1 = readHotp1(patch.image);
    const program = new Program(base);
    for (const hook of hotp1?.hooks ?? []) {
      if (hookTypeName(hook.type) !== 'X86_JMP2B') continue;
      const jump = hotp1?.hooks.find(({ hookRva }) => hookRva === shortJumpTarget(hook));
      const code = program.functionAt(hook.hookRva);
      const name = code?.name ?? `+0x${hook.hookRva.toString(16)}`;
      functions.push({ name, baseRva: hook.hookRva, fixedRva: jump?.hotpRva ?? 0 });
      if (code === undefined || code.rva !== hook.hookRva) continue;
      checkEntry(program, code, hook.hookRva - shortJumpTarget(hook) === 6 ? 'indirect' : 'near', findings);
      const endless = endlessCode(program, code);
      if (endless !== undefined)
        findings.report(
          'hotp1.neverLeaves',
          `from +0x${endless.toString(16)} on nothing leads out`,
          code.name,
        );
    }
  }
  return {
    generation: '2003',
    isValid: formatFindings.every(({ severity }) => severity !== 'error') && findings.refusals.length === 0,
    formatFindings,
    findings: findings.all,
    functions,
  };
}
