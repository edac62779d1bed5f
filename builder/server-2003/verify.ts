import { instructionFacts } from '../../cpu/index.js';
import {
  endlessCode,
  entryFacts,
  entryPlace,
  HOOK_TYPE,
  type Hotp1,
  type Hotp1Finding,
  hookPlace,
  hookPlaceProblem,
  hookSize,
  hotp1Finding,
  originalBytes,
  type PeImage,
  readHotp1,
  routineOf,
  validateHotp1,
} from '../../image/index.js';
import { hexBytes } from '../entry.js';
import { type BuildFinding, Findings } from '../finding.js';
import { type BuildSource, Program } from '../program.js';
import { checkFlow } from './hooks.js';

export interface Verification2003 {
  readonly generation: '2003';
  /** Would the engine go on with it? */
  readonly isValid: boolean;
  /** Rules of the format. */
  readonly formatFindings: readonly Hotp1Finding[];
  /** Rules about the functions of the base that are hooked; only where symbols tell them. */
  readonly findings: readonly BuildFinding[];
  /** Functions of the base whose entries the hooks replace, and pointers in its data. */
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
  const isSound = () => formatFindings.every(({ severity }) => severity !== 'error');
  const findings = new Findings(new Set(input.allow));
  const functions: Verification2003['functions'][number][] = [];
  const hotp1 = isSound() ? readHotp1(patch.image) : undefined;
  if (hotp1 !== undefined) {
    formatFindings.push(...placeFindings(base.image, hotp1));
    const program = new Program(base);
    for (const hook of hotp1.hooks) {
      const place = hookPlace(hotp1, hook);
      if (hook.type === HOOK_TYPE.None || (place !== 'entry' && place !== 'data')) continue;
      const { hookRva: baseRva } = hook;
      const code = program.functionAt(baseRva);
      const name = code?.rva === baseRva ? code.name : nameAt(base, baseRva);
      functions.push({ name, baseRva, fixedRva: routineOf(hotp1, hook) });
      if (code?.rva !== baseRva) continue;
      checkFlow(program, code, hookSize(hook) ?? 0, findings);
      const endless = endlessCode(program.stream(code).instructions);
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
    isValid: isSound() && findings.refusals.length === 0,
    formatFindings,
    findings: findings.all,
    functions,
  };
}

function nameAt({ symbols }: BuildSource, rva: number): string {
  const found = symbols?.byAddress(rva);
  if (found === undefined) return `+0x${rva.toString(16)}`;
  return found.offset === 0 ? found.symbol.name : `${found.symbol.name}+0x${found.offset.toString(16)}`;
}

/** The engine's own rule about the bytes that jumps replace, by what the file has there. */
function placeFindings(base: PeImage, hotp1: Hotp1): Hotp1Finding[] {
  const { architecture } = base;
  const factsAt = (rva: number) =>
    entryFacts(
      entryPlace(
        base,
        architecture,
        rva,
        (at, length) => originalBytes(base, at, base.read(at, length)),
        (bytes) => instructionFacts(architecture, bytes, BigInt(rva)),
      ),
    );
  return hotp1.hooks.flatMap((hook, index) => {
    const problem = hookPlaceProblem(hotp1, hook, factsAt);
    if (problem === undefined) return [];
    const bytes = hexBytes(base.read(hook.hookRva, hookSize(hook) ?? 0));
    return [hotp1Finding(problem, `hook ${index}`, `it is ${bytes}`, hook.hookRva)];
  });
}
