import { INSTRUCTION_ALIGNMENT } from '../architecture.js';
import {
  type EntryProblem,
  entryNeedOf,
  entryProblems,
  FUNCTION_ENTRY_SIZE,
  FUNCTION_PADDING,
  PADDING_NEEDED,
} from '../entry.js';
import type { PeImage } from '../image.js';
import type { ImageArchitecture } from '../mapped-file.js';
import type { Pdb } from '../symbols/pdb.js';
import { hex } from '../text.js';
import { FUNCTION_TABLE_ENTRY_SIZE } from '../unwind/index.js';
import { IMAGE_DLLCHARACTERISTICS, IMAGE_DLLCHARACTERISTICS_EX, IMAGE_GUARD, IMAGE_SCN } from '../winnt.js';
import { type CodeSurvey, entryInFile, type InstructionDecoder, surveyCode } from './code.js';
import { type CheckSymbols, type FunctionPlace, functionEnds, listFunctions } from './functions.js';
import { type CheckFinding, type CheckRuleId, checkFinding } from './rules.js';

export interface FunctionCheck {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly rva: number;
  /** Object file. */
  readonly module?: string;
  /** Bytes of fill before the function, counted up to 64. */
  readonly padding: number;
  readonly firstInstruction: {
    readonly bytes: Uint8Array;
    readonly length: number;
    /** Disassembled when it is asked for, which takes longer than the whole check of the function. */
    readonly text: string;
  };
  /** No reason of severity `error`. */
  readonly patchable: boolean;
  readonly reasons: readonly CheckFinding[];
}

export interface CheckReport {
  readonly architecture: PeImage['architecture'];
  /** No finding of severity `error`, and every function is patchable. */
  readonly ready: boolean;
  /** About the image as a whole. */
  readonly findings: readonly CheckFinding[];
  readonly functions: readonly FunctionCheck[];
}

/**
 * Is this image ready to be hotpatched? What its build must have done right, and function by function whether the
 * trampoline has room. On ARM64 nothing is needed before a function, but a PDB or map is, to find it.
 * @throws ImageError when a directory that the check needs cannot be read
 */
export function checkImage(
  image: PeImage,
  symbols: CheckSymbols & { readonly pdb?: Pdb | undefined },
  decoder: InstructionDecoder,
): CheckReport {
  const ends = functionEnds(image);
  const functions = listFunctions(image, symbols, ends);
  const lacksUnwindData = ({ rva }: FunctionPlace) => ends.size > 0 && !ends.has(rva);
  const survey = surveyCode(image, functions, decoder, lacksUnwindData);
  const checked = functions.map((place, i) =>
    checkFunction(image, place, functions[i - 1], survey, lacksUnwindData(place), decoder),
  );
  const findings = [...checkHeaders(image), ...checkSymbols(image, symbols)];
  const ready =
    findings.every(({ severity }) => severity !== 'error') && checked.every(({ patchable }) => patchable);
  return { architecture: image.architecture, ready, findings, functions: checked };
}

/** Loaders of old 32-bit systems wanted this size in the directory, whatever the load configuration's own was. */
const FIXED_DIRECTORY_SIZE: Readonly<Partial<Record<ImageArchitecture, number>>> = { x86: 64 };

function checkHeaders(image: PeImage): CheckFinding[] {
  const findings: CheckFinding[] = [];
  const { checkSum, dllCharacteristics } = image.optionalHeader;
  const { loadConfig } = image;
  if (checkSum === 0) findings.push(checkFinding('checkSum.absent'));
  else if (checkSum !== image.computedCheckSum) {
    findings.push(
      checkFinding('checkSum.wrong', `${hex(checkSum)} instead of ${hex(image.computedCheckSum)}`),
    );
  }
  if (image.fileHeader.timeDateStamp === 0) findings.push(checkFinding('timeDateStamp.absent'));
  if (image.isRelocationStripped) findings.push(checkFinding('relocations.stripped'));
  if (loadConfig === undefined) findings.push(checkFinding('loadConfig.absent'));
  else {
    const { size, directorySize } = loadConfig;
    if (!loadConfig.has('hotPatchTableOffset'))
      findings.push(checkFinding('loadConfig.size', `Size is ${hex(size)}`));
    if (directorySize !== size && directorySize !== FIXED_DIRECTORY_SIZE[image.architecture]) {
      findings.push(checkFinding('loadConfig.directorySize', `${hex(directorySize)} and ${hex(size)}`));
    }
    const { CF_INSTRUMENTED, CF_FUNCTION_TABLE_PRESENT, XFG_ENABLED } = IMAGE_GUARD;
    const instrumented = (loadConfig.guardFlags & CF_INSTRUMENTED) !== 0;
    if (instrumented && (loadConfig.guardFlags & CF_FUNCTION_TABLE_PRESENT) === 0) {
      findings.push(checkFinding('guard.functionTable', `GuardFlags ${hex(loadConfig.guardFlags)}`));
    }
    if ((loadConfig.guardFlags & XFG_ENABLED) !== 0) findings.push(checkFinding('guard.xfg'));
  }
  if ((dllCharacteristics & IMAGE_DLLCHARACTERISTICS.GUARD_CF) === 0)
    findings.push(checkFinding('guard.absent'));
  if ((image.exDllCharacteristics & IMAGE_DLLCHARACTERISTICS_EX.HOTPATCH_COMPATIBLE) === 0) {
    findings.push(checkFinding('exDllCharacteristics.hotPatchCompatible'));
  }
  if (FUNCTION_TABLE_ENTRY_SIZE[image.architecture] !== 0 && image.functionTable.length === 0)
    findings.push(checkFinding('unwind.absent'));
  return findings;
}

function checkSymbols(
  image: PeImage,
  { origin, pdb }: CheckSymbols & { pdb?: Pdb | undefined },
): CheckFinding[] {
  const findings: CheckFinding[] = [];
  const needsPadding = PADDING_NEEDED[image.architecture] !== 0;
  if (origin.kind !== 'pdb' && origin.kind !== 'map') {
    findings.push(checkFinding(needsPadding ? 'symbols.incomplete' : 'symbols.absent'));
  }
  if (!needsPadding) return findings;
  const withCode = new Set(pdb?.modules.filter(({ contribution }) => contribution.size > 0));
  for (const module of withCode) {
    const { compile } = module;
    if (compile !== undefined && !compile.isHotPatchable && isCompiler(compile.language)) {
      findings.push(checkFinding('compiler.hotPatch', `${module.shortName} (${compile.compiler})`));
    }
  }
  return findings;
}

/** CV_CFL_LANG: 3 MASM, 7 LINK, 8 CVTRES and 9 CVTPGD are no compilers. */
function isCompiler(language: number): boolean {
  return ![3, 7, 8, 9].includes(language);
}

function checkFunction(
  image: PeImage,
  place: FunctionPlace,
  before: FunctionPlace | undefined,
  survey: CodeSurvey,
  lacksUnwindData: boolean,
  decoder: InstructionDecoder,
): FunctionCheck {
  const { architecture } = image;
  const entrySize = FUNCTION_ENTRY_SIZE[architecture];
  const reasons: CheckFinding[] = [];
  const report = (...args: Parameters<typeof checkFinding>) => reasons.push(checkFinding(...args));
  const entry = entryInFile(image, place, before, decoder);
  const { fill, firstInstruction } = entry;
  const address = image.optionalHeader.imageBase + BigInt(place.rva);

  for (const problem of entryProblems(entry, entryNeedOf(architecture)))
    report(ENTRY_RULES[problem], detailOf(problem, firstInstruction.length, fill.length));
  if (place.rva % INSTRUCTION_ALIGNMENT[architecture] !== 0) report('function.alignment', hex(place.rva));
  if (entry.fallsThrough) report('function.fallThrough', `from ${before?.name}`);
  const section = image.sectionAt(place.rva);
  if (section !== undefined && (section.characteristics & IMAGE_SCN.MEM_DISCARDABLE) !== 0)
    report('function.discardable', section.name);
  if (place.end !== undefined && place.end - place.rva < entrySize) {
    report('function.size', `${place.end - place.rva} of ${entrySize} bytes`);
  }
  for (let at = place.rva + 1; at < place.rva + entrySize; at++) {
    const from = survey.insideEntries.get(at);
    if (from !== undefined) report('function.jumpTarget', `from ${hex(from)} to ${hex(at)}`);
  }
  if (survey.loopsToEntry.has(place.rva)) report('function.loopToEntry');
  const [relocation] = image.relocationsIn(place.rva, entrySize);
  if (relocation !== undefined) report('function.relocation', `${relocation.type} at ${hex(relocation.rva)}`);
  if (place.aliases.length > 0) report('function.folded', place.aliases.join(', '));
  if (lacksUnwindData && survey.callsOthers.has(place.rva)) report('function.unwind');

  return {
    name: place.name,
    aliases: place.aliases,
    rva: place.rva,
    ...(place.module === undefined ? {} : { module: place.module }),
    padding: fill.length,
    firstInstruction: {
      bytes: firstInstruction.bytes,
      length: firstInstruction.length,
      get text() {
        return decoder.text(firstInstruction.bytes, address);
      },
    },
    patchable: reasons.every(({ severity }) => severity !== 'error'),
    reasons,
  };
}

const SPLIT = 'the jump would begin inside a no-operation that the function before runs through';

const ENTRY_RULES: Readonly<Record<EntryProblem, CheckRuleId>> = {
  padding: 'function.padding',
  split: 'function.padding',
  firstInstruction: 'function.firstInstruction',
  invalid: 'function.invalid',
};

function detailOf(problem: EntryProblem, length: number, padding: number): string | undefined {
  if (problem === 'invalid') return undefined;
  if (problem === 'split') return SPLIT;
  return problem === 'padding' ? `${padding} of ${FUNCTION_PADDING}` : `${length} byte`;
}
