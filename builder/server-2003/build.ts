import {
  appendHotp1Section,
  endlessCode,
  type HookForm,
  type Hotp1Input,
  hookFormFor,
  MODULE_ID_METHOD,
  moduleIdValue,
  type PeImage,
  readImage,
  type SupportedModuleIdMethod,
} from '../../image/index.js';
import { checkEnumerators, checkSharedData, checkTypes } from '../checks/data.js';
import { checkCoverage, checkFolding, checkSignatures } from '../checks/functions.js';
import { checkSymbols } from '../checks/images.js';
import { type Comparison, compare, redirectedFunctions } from '../compare.js';
import { BuildError } from '../error.js';
import type { Examination } from '../examination.js';
import { type BuildFinding, Findings } from '../finding.js';
import { type BuildSource, Program } from '../program.js';
import { checkImages, checkInterface } from './checks.js';
import { checkEntry, type HookedFunction, hookFunctions } from './hooks.js';
import { fixupOf, Redirector } from './redirect.js';
import { targetOrigin, writeRedirected } from './write.js';

export interface Build2003Input {
  readonly base: BuildSource;
  readonly fixed: BuildSource;
  /** How the hotpatch names its target. Default PeChecksum. */
  readonly moduleIdMethod?: SupportedModuleIdMethod;
  /** Form of x64 hooks. Default: indirect where the target has room for the pointers, else near. x86 has the near one only. */
  readonly form?: HookForm;
  /** File name of the target; default: the base's. */
  readonly targetName?: string;
  /** Refusals to turn into warnings, where the rule permits it. */
  readonly allow?: readonly string[];
}

export interface Built2003 {
  readonly generation: '2003';
  /** The hotpatch image: the fixed build with fixups in place of references to its target, and the section. */
  readonly bytes: Uint8Array;
  readonly image: PeImage;
  readonly section: Hotp1Input;
  /** Functions of the target that are hooked. */
  readonly functions: readonly {
    readonly name: string;
    readonly baseRva: number;
    readonly fixedRva: number;
  }[];
  /** Warnings. */
  readonly findings: readonly BuildFinding[];
}

/**
 * Makes a hotpatch of the first generation from two plain builds. Changed functions become hooks; what they refer to in
 * the target becomes fixups, so that no `__ref_` pointers are needed.
 * @throws BuildError with all findings when a limit of that generation forbids it
 */
export function buildHotPatch2003(input: Build2003Input): Built2003 {
  const findings = new Findings(new Set(input.allow));
  const { image } = input.base;
  const { image: fixedImage } = input.fixed;
  const method = input.moduleIdMethod ?? 'PeChecksum';
  checkImages(image, fixedImage, findings);
  if (method === 'PeChecksum' && image.optionalHeader.checkSum === 0)
    findings.report('base.checkSum', 'CheckSum is 0');
  refuse(findings);
  const [base, fixed] = [new Program(input.base), new Program(input.fixed)];
  checkSymbols(base, fixed, findings);
  refuse(findings);

  const comparison = compare(base, fixed);
  const changed = changedFunctions(comparison);
  const redirector = new Redirector(comparison, findings);
  redirector.run(changed.map(({ fixed }) => fixed));
  const form = hookFormFor(image, changed.length, input.form);
  check(comparison, changed, form, findings);
  refuse(findings);

  const bytes = writeRedirected(comparison, redirector.redirected);
  const rewritten = readImage(bytes, fixedImage.file === undefined ? {} : { file: fixedImage.file });
  const section: Hotp1Input = {
    ...hookFunctions(comparison.base, changed, form),
    fixups: redirector.redirected.map((one) => fixupOf(one, image.pointerSize)),
    origHotpBaseAddress: fixedImage.optionalHeader.imageBase,
    origTargetBaseAddress: targetOrigin(comparison),
    targetName: input.targetName ?? image.file?.replace(/^.*[\\/]/, '') ?? image.exports?.name ?? '',
    moduleIdMethod: MODULE_ID_METHOD[method],
    moduleIdValue: moduleIdValue(image, method),
  };
  const patch = appendHotp1Section(rewritten, section);
  return {
    generation: '2003',
    bytes: patch.bytes,
    image: patch,
    section,
    functions: changed.map(({ base, fixed }) => ({
      name: base.name,
      baseRva: base.rva,
      fixedRva: fixed.rva,
    })),
    findings: findings.all,
  };
}

function refuse(findings: Findings): void {
  if (findings.refusals.length > 0) throw BuildError.from(findings.all);
}

function changedFunctions(comparison: Comparison): HookedFunction[] {
  return redirectedFunctions(comparison)
    .flatMap(({ base, fixed }) => (base !== undefined && fixed !== undefined ? [{ base, fixed }] : []))
    .sort((a, b) => a.base.rva - b.base.rva);
}

/** The limits that were documented then, and those that are this laboratory's. */
function check(
  comparison: Comparison,
  changed: readonly HookedFunction[],
  form: HookForm,
  findings: Findings,
): void {
  const { base, fixed } = comparison;
  checkInterface(base.image, fixed.image, findings);
  if (changed.length === 0) findings.report('patch.empty', 'no function differs');
  for (const { base: code } of changed) {
    checkEntry(base, code, form, findings);
    checkFolding(comparison, code, findings);
    const endless = endlessCode(base.stream(code).instructions);
    if (endless !== undefined)
      findings.report('hotp1.neverLeaves', `from +0x${endless.toString(16)} on nothing leads out`, code.name);
  }
  const examination: Examination = {
    comparison,
    findings,
    reserveSize: 0,
    hasSymbols: true,
    records: {
      forward: changed.map((pair) => ({ rva: pair.base.rva, target: pair.fixed.rva })),
      backward: [],
      absolute: [],
      indirect: [],
      callTargets: [],
    },
    reach: {
      inside: new Map(),
      leaving: new Map(),
      addressTaken: new Map(),
      accesses: [],
      slots: new Map(),
      pointers: [],
      imageBase: [],
      intoMiddle: [],
    },
  };
  checkSignatures(examination);
  checkCoverage(examination);
  checkSharedData(examination);
  checkTypes(examination);
  checkEnumerators(examination);
}
