import type { Log } from 'sarif';
import {
  BUILD_RULES,
  type BuildFinding,
  type BuildSource,
  type Verification,
  type Verification2003,
} from '../builder/index.js';
import {
  CHECK_RULES,
  type CheckFinding,
  type CheckReport,
  type FunctionCheck,
  HOT_PATCH_RULES,
  HOTP1_RULES,
  type PeImage,
  type SymbolInfo,
} from '../image/index.js';
import { type SarifFinding, type SarifRule, sarifLog } from './sarif.js';

/** `hotpatch check --sarif`: one result for each reason, at the function that it is about. */
export function checkSarif(file: string, image: PeImage, report: CheckReport): Log {
  const rules: SarifRule[] = Object.entries(CHECK_RULES).map(([id, { description, advice, severity }]) => ({
    id,
    description,
    help: advice,
    level: severity,
  }));
  const common = ({ rule, severity, message }: CheckFinding) => ({
    rule,
    level: severity,
    message,
    image,
    file,
  });
  const ofFunction = ({ name, rva, firstInstruction, reasons }: FunctionCheck): SarifFinding[] =>
    reasons.map((reason) => ({
      ...common(reason),
      rva,
      length: Math.max(1, firstInstruction.length),
      symbol: name,
      symbolKind: 'function',
    }));
  const findings = [...report.findings.map(common), ...report.functions.flatMap(ofFunction)];
  return sarifLog('check', rules, findings, [{ file, image }]);
}

interface NamedSource extends BuildSource {
  readonly file: string;
}

/** Rules of the format and rules of the builder share names, so their ids begin with what they are of. */
const FORMAT = 'format/';
const BUILD = 'build/';

/** `hotpatch verify --sarif`: what Windows would refuse in the table, and what the patch would do wrong. */
export function verifySarif(
  patch: NamedSource,
  base: NamedSource,
  verification: Verification | Verification2003,
): Log {
  const formatRules = 'generation' in verification ? HOTP1_RULES : HOT_PATCH_RULES;
  const rules: SarifRule[] = [
    ...formatRules.map(({ id, description, severity, status }) => ({
      id: `${FORMAT}${id}`,
      description,
      help:
        severity === 'error'
          ? `The engine refuses such an image with ${status.name}. Write the table again: hotpatch build makes one from the two builds.`
          : 'The engine accepts such an image. Check that it is meant to be so.',
      level: severity,
    })),
    ...BUILD_RULES.map(({ id, description, hint, severity, isOverridable }) => ({
      id: `${BUILD}${id}`,
      description,
      help: hint,
      level: severity === 'refusal' ? ('error' as const) : severity,
      isOverridable,
    })),
  ];
  const { formatFindings, findings } = verification;
  const results: SarifFinding[] = [
    ...formatFindings.map(({ rule, severity, message, place, status, rva }) => ({
      rule: `${FORMAT}${rule}`,
      level: severity,
      message,
      image: patch.image,
      file: patch.file,
      place,
      status,
      ...(rva === undefined ? {} : locationIn(patch, base, place, rva)),
    })),
    ...findings.map((finding) => buildResult(finding, patch, base)),
  ];
  return sarifLog('verify', rules, results, [patch, base]);
}

/** The location of a forward record is in the base, that of a backward one in the patch. */
function locationIn(
  patch: NamedSource,
  base: NamedSource,
  place: string,
  rva: number,
): Pick<SarifFinding, 'image' | 'file' | 'rva'> {
  // Hooks and validations of the 2003 generation name places of their target.
  if (/^(hook|validation) \d/.test(place)) return { image: base.image, file: base.file, rva };
  const [, baseIndex, chunkIndex] = /base (\d+), chunk (\d+)/.exec(place) ?? [];
  const chunk = patch.image.hotPatch?.bases[Number(baseIndex)]?.chunks[Number(chunkIndex)];
  const { image, file } = chunk?.direction === 'forward' ? base : patch;
  return { image, file, rva };
}

function buildResult(
  { rule, severity, symbol, message, hint }: BuildFinding,
  patch: NamedSource,
  base: NamedSource,
): SarifFinding {
  // What is wrong with an entry or with the base as a whole cannot be seen in the patch image.
  const [first, second] = /^(entry|base|hotp1)\./.test(rule) ? [base, patch] : [patch, base];
  const found = symbol === undefined ? undefined : (symbolIn(first, symbol) ?? symbolIn(second, symbol));
  const { image, file } = found?.source ?? first;
  return {
    rule: `${BUILD}${rule}`,
    level: severity === 'refusal' ? 'error' : severity,
    message: `${message} (${hint})`,
    image,
    file,
    ...(symbol === undefined ? {} : { symbol }),
    ...(found === undefined ? {} : placeOf(found.info)),
  };
}

function symbolIn(source: NamedSource, name: string): { source: NamedSource; info: SymbolInfo } | undefined {
  const info = source.symbols.byName(name);
  return info === undefined ? undefined : { source, info };
}

function placeOf({ rva, size, kind }: SymbolInfo): Pick<SarifFinding, 'rva' | 'length' | 'symbolKind'> {
  return {
    rva,
    ...(size === undefined || size === 0 ? {} : { length: size }),
    symbolKind: kind === 'data' ? 'variable' : 'function',
  };
}
