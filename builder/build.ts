import {
  appendHotPatchTable,
  encodeHotPatchTable,
  HOT_PATCH_BASE_FLAG,
  type HotPatchChunkInput,
  type PeImage,
  type SymbolTable,
} from '../image/index.js';
import { hotPatchReserveSize } from '../loader/index.js';
import { checkFixedImage, examine } from './checks/index.js';
import { type Comparison, compare } from './compare.js';
import { type Confirmations, checkConfirmations, confirmations } from './confirm.js';
import { BuildError } from './error.js';
import { type BuildFinding, Findings } from './finding.js';
import { checkPrevious } from './previous.js';
import { type BuildSource, Program } from './program.js';
import { chunksOf, EXTRA_PATCH_SIZE, planRecords } from './records.js';
import { type FunctionReport, reportFunctions } from './report.js';

export interface BuildInput {
  readonly base: BuildSource;
  readonly fixed: BuildSource;
  /** Names of the functions that were meant to change. They decide nothing: what differs is found by comparison. */
  readonly functions?: readonly string[];
  /** Default: 1, or one above the previous hotpatch's. */
  readonly sequenceNumber?: number;
  /** The hotpatch that is in use now; the new one replaces it wholly. */
  readonly previous?: { readonly image: PeImage; readonly symbols?: SymbolTable };
  /** Refusals to turn into warnings, where the rule permits it. */
  readonly allow?: readonly string[];
  /** HotPatchTableSize of the machines it is for, in bytes. Default 0x1000: 512 functions. */
  readonly hotPatchTableSize?: number;
  /** Called as the functions of the two builds are compared. */
  readonly onProgress?: (compared: number, functions: number) => void;
}

export interface BuiltHotPatch {
  /** The hotpatch image: the fixed image with its table. */
  readonly bytes: Uint8Array;
  readonly sequenceNumber: number;
  readonly chunks: readonly HotPatchChunkInput[];
  /** Every function of both builds: what became of it, and why. */
  readonly functions: readonly FunctionReport[];
  /** Warnings. */
  readonly findings: readonly BuildFinding[];
}

const MACHINE_FLAG = {
  x86: HOT_PATCH_BASE_FLAG.MACHINE_I386,
  arm64: HOT_PATCH_BASE_FLAG.MACHINE_ARM64,
  x64: HOT_PATCH_BASE_FLAG.MACHINE_AMD64,
} as const;

export const DEFAULT_HOT_PATCH_TABLE_SIZE = 0x1000;

/**
 * Makes a hotpatch image from a fixed build: the fixed image plus the table that ties it to its base.
 * @throws BuildError with all findings when a rule of BUILD_RULES forbids it; ImageError for malformed files
 */
export function buildHotPatch(input: BuildInput): BuiltHotPatch {
  const findings = new Findings(new Set(input.allow));
  const { image } = input.base;
  checkFixedImage(image, input.fixed.image, findings);
  if (image.machine !== input.fixed.image.machine) throw BuildError.from(findings.all);

  const comparison = compare(new Program(input.base), new Program(input.fixed), input.onProgress);
  const sequenceNumber = checkPrevious(input, comparison, findings);
  const { records, reach } = planRecords(comparison);
  const reserveSize = hotPatchReserveSize(input.hotPatchTableSize ?? DEFAULT_HOT_PATCH_TABLE_SIZE);
  examine({ comparison, records, reach, findings, reserveSize, hasSymbols: true });
  if (records.forward.length === 0) findings.report('patch.empty', nothingText(comparison));
  const confirmed: Confirmations = confirmations(input);
  checkConfirmations(comparison, confirmed, findings);
  if (findings.refusals.length > 0) throw BuildError.from(findings.all);

  const chunks = chunksOf(records);
  const table = encodeHotPatchTable({
    sequenceNumber,
    extraPatchSize: EXTRA_PATCH_SIZE,
    bases: [
      {
        sequenceNumber,
        flags: HOT_PATCH_BASE_FLAG.CAN_ROLL_BACK | MACHINE_FLAG[image.architecture],
        originalCheckSum: image.optionalHeader.checkSum,
        originalTimeDateStamp: image.fileHeader.timeDateStamp,
        chunks,
      },
    ],
  });
  return {
    bytes: appendHotPatchTable(input.fixed.image, table),
    sequenceNumber,
    chunks,
    functions: reportFunctions(comparison, reach, records, confirmed),
    findings: findings.all,
  };
}

function nothingText({ functions }: Comparison): string {
  const count = (verdict: string) => functions.filter((entry) => entry.verdict === verdict).length;
  return `${count('unchanged')} functions are the same, ${count('new')} new, ${count('removed')} removed`;
}
