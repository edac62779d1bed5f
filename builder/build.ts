import {
  appendHotPatchTable,
  encodeHotPatchTable,
  HOT_PATCH_BASE_FLAG,
  type HotPatchChunkInput,
  type HotPatchVersion,
  type PeImage,
  type SymbolTable,
} from '../image/index.js';
import { hotPatchReserveSize } from '../loader/index.js';
import { checkFixedImage, examine } from './checks/index.js';
import { type Comparison, compare } from './compare.js';
import { type Confirmations, checkConfirmations, confirmations } from './confirm.js';
import { BuildError } from './error.js';
import { type BuildFinding, Findings } from './finding.js';
import { type BuildReport, buildReport } from './outcome.js';
import { checkPrevious, previousVariables } from './previous.js';
import { type BuildSource, Program } from './program.js';
import { chunksOf, EXTRA_PATCH_SIZE, planRecords } from './records.js';
import { type FunctionReport, reportFunctions } from './report.js';
import { suggest } from './suggest.js';
import { reportVariables } from './variables.js';

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
  /** Names, or places such as `+0x3004`, of variables and functions that are one in both builds whatever their names say. */
  readonly pairs?: readonly { readonly base: string; readonly fixed: string }[];
  /** HotPatchTableSize of the machines it is for, in bytes. Default 0x1000: 512 functions. */
  readonly hotPatchTableSize?: number;
  /** The version of IMAGE_HOT_PATCH_INFO: build 22631 of Windows reads 3, not 4. Default 4. */
  readonly tableVersion?: HotPatchVersion | undefined;
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
  readonly report: BuildReport;
}

/** What came of two builds: a hotpatch or refusals, and in either case everything that was found. */
export interface HotPatchAttempt {
  readonly built?: BuiltHotPatch;
  readonly report: BuildReport;
  /** Every function of both builds; empty when they could not be compared. */
  readonly functions: readonly FunctionReport[];
}

const MACHINE_FLAG = {
  x86: HOT_PATCH_BASE_FLAG.MACHINE_I386,
  arm64: HOT_PATCH_BASE_FLAG.MACHINE_ARM64,
  x64: HOT_PATCH_BASE_FLAG.MACHINE_AMD64,
} as const;

export const DEFAULT_HOT_PATCH_TABLE_SIZE = 0x1000;

/**
 * Makes a hotpatch image from a fixed build: the fixed image plus the table that ties it to its base.
 * @throws BuildError with the whole report when a rule of BUILD_RULES forbids it; ImageError for malformed files
 */
export function buildHotPatch(input: BuildInput): BuiltHotPatch {
  const { built, report } = attemptHotPatch(input);
  if (built === undefined) throw BuildError.from(report);
  return built;
}

/**
 * The same, with refusals as a value: what `hotpatch build` prints.
 * @throws ImageError for malformed files
 */
export function attemptHotPatch(input: BuildInput): HotPatchAttempt {
  const findings = new Findings(new Set(input.allow));
  const { image } = input.base;
  checkFixedImage(image, input.fixed.image, findings);
  if (image.machine !== input.fixed.image.machine)
    return { report: buildReport({ findings: findings.all }), functions: [] };

  const comparison = compare(Program.of(input.base), Program.of(input.fixed), {
    pairs: input.pairs ?? [],
    onProgress: input.onProgress,
  });
  const sequenceNumber = checkPrevious(input, comparison, findings);
  const { records, reach } = planRecords(comparison);
  const reserveSize = hotPatchReserveSize(input.hotPatchTableSize ?? DEFAULT_HOT_PATCH_TABLE_SIZE);
  examine({ comparison, records, reach, findings, reserveSize, hasSymbols: true });
  if (records.forward.length === 0) findings.report('patch.empty', nothingText(comparison));
  const confirmed: Confirmations = confirmations(input);
  checkConfirmations(comparison, confirmed, findings);

  const chunks = chunksOf(records);
  const functions = reportFunctions(comparison, reach, records, confirmed);
  const report = buildReport({
    functions,
    variables: reportVariables(comparison, previousVariables(input)),
    chunks,
    findings: findings.all,
    suggestion: suggest(comparison, reach.inside, findings.all),
  });
  if (findings.refusals.length > 0) return { report, functions };
  const table = encodeHotPatchTable({
    ...(input.tableVersion === undefined ? {} : { version: input.tableVersion }),
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
  const bytes = appendHotPatchTable(input.fixed.image, table);
  const built = { bytes, sequenceNumber, chunks, functions, findings: findings.all, report };
  return { built, report, functions };
}

function nothingText({ functions }: Comparison): string {
  const count = (verdict: string) => functions.filter((entry) => entry.verdict === verdict).length;
  return `${count('unchanged')} functions are the same, ${count('new')} new, ${count('removed')} removed`;
}
