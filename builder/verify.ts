import {
  type Finding,
  type HotPatchTable,
  type ImageArchitecture,
  type PeImage,
  type SymbolInfo,
  symbolTable,
  trailingFill,
  validateHotPatch,
} from '../image/index.js';
import { hotPatchReserveSize } from '../loader/index.js';
import { DEFAULT_HOT_PATCH_TABLE_SIZE } from './build.js';
import { examine } from './checks/index.js';
import { compare } from './compare.js';
import { type BuildFinding, Findings } from './finding.js';
import { type BuildSource, isCodeAt, Program } from './program.js';
import { findReach } from './reach.js';
import { isShared, type RecordSet, recordsOf } from './records.js';
import { type FunctionReport, reportFunctions } from './report.js';

export interface VerifyInput {
  readonly base: BuildSource;
  readonly patch: BuildSource;
  readonly allow?: readonly string[];
  readonly hotPatchTableSize?: number;
  /** Called as the functions of the two builds are compared. */
  readonly onProgress?: (compared: number, functions: number) => void;
}

export interface Verification {
  /** No error of the format's rules and no refusal of the builder's. */
  readonly isValid: boolean;
  /** The rules of the format and of the engine: what Windows would check when the patch is loaded. */
  readonly formatFindings: readonly Finding[];
  /** The builder's rules: what a hotpatch must be to do what it is meant to. */
  readonly findings: readonly BuildFinding[];
  /** Empty when the images have no symbols. */
  readonly functions: readonly FunctionReport[];
}

/** Checks a hotpatch image against its base without running it, whoever built it. Nothing is thrown for what is in the files. */
export function verifyHotPatch(input: VerifyInput): Verification {
  const { base, patch } = input;
  const formatFindings = validateHotPatch(patch.image, base.image);
  const table = isReadable(patch.image, formatFindings) ? patch.image.hotPatch : undefined;
  const [description] = table?.bases ?? [];
  if (table === undefined || description === undefined || base.image.machine !== patch.image.machine)
    return { isValid: false, formatFindings, findings: [], functions: [] };

  const findings = new Findings(new Set([...(input.allow ?? []), 'symbols.missing']));
  const records = recordsOf(description);
  const hasSymbols = isFull(base) && isFull(patch);
  if (!hasSymbols)
    findings.report(
      'symbols.missing',
      `only the records can be checked, not what ${isFull(base) ? 'the hotpatch' : 'the base'} consists of`,
    );
  const comparison = compare(
    new Program(hasSymbols ? base : withSymbolsOf(base, records, 'base')),
    new Program(hasSymbols ? patch : withSymbolsOf(patch, records, 'patch')),
    { onProgress: input.onProgress },
  );
  const { fixed } = comparison;
  const backward = new Set(records.backward.map(({ rva }) => rva));
  const absolute = new Set(records.absolute.map(({ rva }) => rva));
  const reach = findReach(fixed, {
    roots: records.forward.flatMap(({ target }) => fixed.functionAt(target) ?? []),
    isRedirected: (code) => backward.has(code.rva),
    isSlotRedirected: (slot) => absolute.has(slot.rva),
    isShared: (variable) => isShared(comparison, variable),
  });
  const reserveSize = hotPatchReserveSize(input.hotPatchTableSize ?? DEFAULT_HOT_PATCH_TABLE_SIZE);
  examine({ comparison, records, reach, findings, reserveSize, hasSymbols });
  const isFormatValid = formatFindings.every(({ severity }) => severity !== 'error');
  return {
    isValid: isFormatValid && findings.refusals.length === 0,
    formatFindings,
    findings: findings.all,
    functions: hasSymbols ? reportFunctions(comparison, reach, records) : [],
  };
}

/** Can the table be taken apart at all, and do its records stay inside the images? */
function isReadable(image: PeImage, findings: readonly Finding[]): boolean {
  const FATAL =
    /^(image|loadConfig|hotPatch|base)\.|^chunk\.(header|bounds|type)|^record\.(target|extent|function|section)$/;
  if (findings.some(({ rule, severity }) => severity === 'error' && FATAL.test(rule))) return false;
  return (image.hotPatch satisfies HotPatchTable | undefined) !== undefined;
}

/** Do the symbols tell of static functions too, as a PDB or a map does, and not of exports only? */
function isFull({ pdb, symbols }: BuildSource): boolean {
  return (
    pdb !== undefined || symbols.all.some(({ module, size }) => module !== undefined || size !== undefined)
  );
}

/**
 * Functions that the records speak of, named after their records, where nothing else names them. Each ends where the next
 * function begins that anything tells of, so that its neighbour's code is not taken for its own.
 */
function withSymbolsOf(source: BuildSource, records: RecordSet, image: 'base' | 'patch'): BuildSource {
  const starts = functionStarts(source);
  const name = (list: RecordSet['forward'], which: string, at: 'rva' | 'target'): SymbolInfo[] =>
    list.map((record, index) => ({
      name: `function of ${which} record ${index}`,
      rva: record[at],
      size: extentOf(source.image, record[at], starts),
      kind: 'function',
      isStatic: false,
    }));
  const symbols =
    image === 'base'
      ? [...name(records.forward, 'forward', 'rva'), ...name(records.backward, 'backward', 'target')]
      : [...name(records.forward, 'forward', 'target'), ...name(records.backward, 'backward', 'rva')];
  return { image: source.image, symbols: symbolTable(symbols) };
}

/** In ascending order: of symbols, exports, the function table and the targets of control flow guard. */
function functionStarts({ image, symbols }: BuildSource): readonly number[] {
  const starts = [
    ...symbols.all.filter(({ kind }) => kind !== 'label' && kind !== 'data').map(({ rva }) => rva),
    ...(image.exports?.functions ?? []).map(({ rva }) => rva),
    ...image.functionTable.map(({ beginAddress }) => beginAddress),
    ...image.guard.functions.map(({ rva }) => rva),
  ];
  return [...new Set(starts.filter((rva) => isCodeAt(image, rva)))].sort((one, other) => one - other);
}

/**
 * What ends a function that nothing tells the end of: as much padding as no compiler puts inside one, `int 3` on x86
 * processors and words that trap on ARM64.
 */
const PADDING: Readonly<Record<ImageArchitecture, RegExp>> = {
  x64: /\xcc{6,}/,
  x86: /\xcc{6,}/,
  arm64: new RegExp(`(?:${'\0'.repeat(4)}){2,}`),
};

/** Bytes from an entry to the next function. */
function extentOf(image: PeImage, rva: number, starts: readonly number[]): number {
  const section = image.sectionAt(rva);
  if (section === undefined) return 0;
  const sectionEnd = section.virtualAddress + section.virtualSize;
  const end = starts.find((start) => start > rva) ?? sectionEnd;
  const bytes = image.read(rva, Math.max(0, Math.min(end, sectionEnd) - rva));
  const padding = PADDING[image.architecture].exec(Buffer.from(bytes).toString('latin1'));
  return padding === null ? bytes.length - trailingFill(image.architecture, bytes) : padding.index;
}
