import { INSTRUCTION_ALIGNMENT } from '../architecture.js';
import {
  type EntryNeed,
  type EntryProblem,
  entryNeedOf,
  entryProblems,
  FUNCTION_ENTRY_SIZE,
  PADDING_NEEDED,
  type ReadEntryCode,
} from '../entry.js';
import { HAS_HOTP1, HOOK_FORM_NEEDS, hookFormFor, originalBytes } from '../hotp1/index.js';
import type { PeImage } from '../image.js';
import type { ImageArchitecture } from '../mapped-file.js';
import type { Pdb } from '../symbols/pdb.js';
import { hex } from '../text.js';
import { FUNCTION_TABLE_ENTRY_SIZE } from '../unwind/index.js';
import { IMAGE_DLLCHARACTERISTICS, IMAGE_DLLCHARACTERISTICS_EX, IMAGE_GUARD, IMAGE_SCN } from '../winnt.js';
import { type CodeSurvey, entryInFile, type InstructionDecoder, neverLeaves, surveyCode } from './code.js';
import { type CheckSymbols, type FunctionPlace, functionEnds, listFunctions } from './functions.js';
import { type CheckFinding, type CheckRuleId, checkFinding } from './rules.js';

/** Whether one function can be hotpatched. */
export interface FunctionCheck {
  /** The first of its names. */
  readonly name: string;
  /** Further names of the same address. */
  readonly aliases: readonly string[];
  /** Where it begins. */
  readonly rva: number;
  /** Object file. */
  readonly module?: string;
  /** Bytes of fill before the function, counted up to 64. */
  readonly padding: number;
  /** What the jump at the entry would replace. */
  readonly firstInstruction: {
    readonly bytes: Uint8Array;
    readonly length: number;
    /** Disassembled when it is asked for, which takes longer than the whole check of the function. */
    readonly text: string;
  };
  /** No reason of severity `error`. */
  readonly patchable: boolean;
  /** What speaks against it, and what only should be known. */
  readonly reasons: readonly CheckFinding[];
}

/** Whether an image can be hotpatched. */
export interface CheckReport {
  /** The processor of its code. */
  readonly architecture: PeImage['architecture'];
  /** Whose hotpatches it was checked for. */
  readonly generation: 'modern' | '2003';
  /** No finding of severity `error`, and every function is patchable. */
  readonly ready: boolean;
  /** About the image as a whole. */
  readonly findings: readonly CheckFinding[];
  /** Every function that was found, by address. */
  readonly functions: readonly FunctionCheck[];
}

/** What an image is checked for. */
export interface CheckOptions {
  /** Whose hotpatches it is to carry. Default `modern`. */
  readonly generation?: 'modern' | '2003';
}

/**
 * Is this image ready to be hotpatched? What its build must have done right, and function by function whether the
 * trampoline has room. On ARM64 nothing is needed before a function, but a PDB or map is, to find it. Hotpatches of the 2003
 * generation need no table in the load configuration, and five bytes of padding where their jump in it is a near one; they
 * take the jumps of a coldpatch for what the old file has there, as the engine does.
 * @throws ImageError when a directory that the check needs cannot be read
 */
export function checkImage(
  image: PeImage,
  symbols: CheckSymbols & { readonly pdb?: Pdb | undefined },
  decoder: InstructionDecoder,
  { generation = 'modern' }: CheckOptions = {},
): CheckReport {
  const ends = functionEnds(image);
  const functions = listFunctions(image, symbols, ends);
  const lacksUnwindData = ({ rva }: FunctionPlace) => ends.size > 0 && !ends.has(rva);
  const survey = surveyCode(image, functions, decoder, lacksUnwindData);
  const need =
    generation === '2003' ? HOOK_FORM_NEEDS[hookFormFor(image, 1)] : entryNeedOf(image.architecture);
  const inFile: ReadEntryCode = (rva, length) => image.read(rva, length);
  const readEntry: ReadEntryCode =
    generation === '2003' ? (rva, length) => originalBytes(image, rva, inFile(rva, length)) : inFile;
  const checked = functions.map((place, i) =>
    checkFunction(image, place, functions[i - 1], {
      readEntry,
      survey,
      lacksUnwindData: lacksUnwindData(place),
      decoder,
      need,
      neverLeaves: generation === '2003' ? neverLeaves(image, place, functions[i + 1], decoder) : undefined,
    }),
  );
  const headers = generation === '2003' ? checkHeaders2003(image) : checkHeaders(image);
  const findings = [...headers, ...checkSymbols(image, symbols)];
  const ready =
    findings.every(({ severity }) => severity !== 'error') && checked.every(({ patchable }) => patchable);
  return { architecture: image.architecture, generation, ready, findings, functions: checked };
}

function checkSumFindings({ optionalHeader: { checkSum }, computedCheckSum }: PeImage): CheckFinding[] {
  if (checkSum === 0) return [checkFinding('checkSum.absent')];
  if (checkSum === computedCheckSum) return [];
  return [checkFinding('checkSum.wrong', `${hex(checkSum)} instead of ${hex(computedCheckSum)}`)];
}

function checkHeaders2003(image: PeImage): CheckFinding[] {
  return [
    ...(HAS_HOTP1[image.architecture] ? [] : [checkFinding('image.machine', image.machine)]),
    ...checkSumFindings(image),
    ...(image.isRelocationStripped ? [checkFinding('relocations.stripped')] : []),
  ];
}

/** Loaders of old 32-bit systems wanted this size in the directory, whatever the load configuration's own was. */
const FIXED_DIRECTORY_SIZE: Readonly<Partial<Record<ImageArchitecture, number>>> = { x86: 64 };

function checkHeaders(image: PeImage): CheckFinding[] {
  const findings = checkSumFindings(image);
  const { dllCharacteristics } = image.optionalHeader;
  const { loadConfig } = image;
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

interface FunctionFacts {
  readonly readEntry: ReadEntryCode;
  readonly survey: CodeSurvey;
  readonly lacksUnwindData: boolean;
  readonly decoder: InstructionDecoder;
  readonly need: EntryNeed;
  /** Offset of code that never leaves the function, where that matters. */
  readonly neverLeaves: number | undefined;
}

function checkFunction(
  image: PeImage,
  place: FunctionPlace,
  before: FunctionPlace | undefined,
  { readEntry, survey, lacksUnwindData, decoder, need, neverLeaves }: FunctionFacts,
): FunctionCheck {
  const { architecture } = image;
  const entrySize = FUNCTION_ENTRY_SIZE[architecture];
  const reasons: CheckFinding[] = [];
  const report = (...args: Parameters<typeof checkFinding>) => reasons.push(checkFinding(...args));
  const entry = entryInFile(image, place, before, decoder, readEntry);
  const { fill, firstInstruction } = entry;
  const address = image.optionalHeader.imageBase + BigInt(place.rva);

  for (const problem of entryProblems(entry, need))
    report(ENTRY_RULES[problem], detailOf(problem, firstInstruction.length, fill.length, need.padding));
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
  if (neverLeaves !== undefined) report('function.neverLeaves', `from +${hex(neverLeaves)} on`);
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

function detailOf(
  problem: EntryProblem,
  length: number,
  padding: number,
  needed: number,
): string | undefined {
  if (problem === 'invalid') return undefined;
  if (problem === 'split') return SPLIT;
  return problem === 'padding' ? `${padding} of ${needed}` : `${length} byte`;
}
