import { isWritable, type PeImage, type SymbolTable } from '../image/index.js';
import type { Comparison } from './compare.js';
import type { Findings } from './finding.js';
import { scopedName } from './identity.js';
import { isWritableAt, type Program } from './program.js';
import { initialValue } from './variables.js';

interface Cumulative {
  readonly sequenceNumber?: number;
  readonly previous?: { readonly image: PeImage; readonly symbols?: SymbolTable };
}

/**
 * The sequence number of the new hotpatch, and what becomes of the one before: a hotpatch replaces its predecessor
 * wholly, so that a function which only the older one covers gets its original bytes back.
 */
export function checkPrevious(input: Cumulative, comparison: Comparison, findings: Findings): number {
  const { previous } = input;
  if (previous === undefined) return input.sequenceNumber ?? 1;
  const table = previous.image.hotPatch;
  const [description] = table?.bases ?? [];
  if (table === undefined || description === undefined) {
    findings.report('previous.base', 'it has no hotpatch table', nameOf(previous.image));
    return input.sequenceNumber ?? 1;
  }
  const { base } = comparison;
  const { checkSum } = base.image.optionalHeader;
  const { timeDateStamp } = base.image.fileHeader;
  if (description.originalCheckSum !== checkSum || description.originalTimeDateStamp !== timeDateStamp)
    findings.report(
      'previous.base',
      `it is for checksum 0x${description.originalCheckSum.toString(16)}, the base has 0x${checkSum.toString(16)}`,
      nameOf(previous.image),
    );
  const sequenceNumber = input.sequenceNumber ?? table.sequenceNumber + 1;
  if (sequenceNumber <= table.sequenceNumber)
    findings.report('previous.sequence', `${sequenceNumber}, the previous one is ${table.sequenceNumber}`);
  checkDropped(description.chunks, comparison, findings);
  if (previous.symbols !== undefined) checkState(previous.image, previous.symbols, comparison, findings);
  if (!hasStateNames(previous)) findings.report('previous.symbols', nameOf(previous.image));
  return sequenceNumber;
}

function checkDropped(
  chunks: NonNullable<PeImage['hotPatch']>['bases'][number]['chunks'],
  { base, functions }: Comparison,
  findings: Findings,
): void {
  const covered = new Set(
    functions.flatMap(({ verdict, base: code }) => (verdict === 'changed' ? (code?.rva ?? []) : [])),
  );
  for (const { direction, type, records } of chunks)
    if (direction === 'forward' && type === 'FUNCTION')
      for (const { rva } of records)
        if (!covered.has(rva))
          findings.report('previous.dropped', `base +0x${rva.toString(16)}`, base.describe(rva));
}

/** Does any symbol name a variable? What only exports of functions are known of has none. */
function hasStateNames({ image, symbols }: NonNullable<Cumulative['previous']>): boolean {
  return (
    !image.sections.some(isWritable) ||
    symbols?.all.some(({ kind, rva }) => kind !== 'function' && isWritableAt(image, rva)) === true
  );
}

/** Variables that live in the previous patch image only: neither the base nor the new image has their values. */
function checkState(
  image: PeImage,
  symbols: SymbolTable,
  { base, fixed, matching }: Comparison,
  findings: Findings,
): void {
  for (const { name, rva, kind } of symbols.all) {
    if (kind === 'function' || name.startsWith('.') || name.startsWith('__')) continue;
    if (!isWritableAt(image, rva) || hasVariable(base, name)) continue;
    const again = fixed.variables.find(
      (variable) =>
        variable.symbols.some((symbol) => symbol.name === name) &&
        matching.variables.baseOf(variable) === undefined,
    );
    const place = `it lies at +0x${rva.toString(16)} of ${nameOf(image)}`;
    if (again === undefined) findings.report('previous.state', place, name);
    else
      findings.report(
        'previous.restarted',
        `${place}; in the new one it starts at ${initialValue(fixed, again)}`,
        name,
      );
  }
}

/** Names of the variables that the previous hotpatch has and the base has not. */
export function previousVariables({
  previous,
  base,
}: Cumulative & { readonly base: { readonly symbols: SymbolTable } }): ReadonlySet<string> {
  if (previous?.symbols === undefined) return new Set();
  const { image, symbols } = previous;
  return new Set(
    symbols.all
      .filter(
        ({ name, rva, kind }) =>
          kind !== 'function' &&
          !/^(\.|__)/.test(name) &&
          isWritableAt(image, rva) &&
          base.symbols.byName(name) === undefined,
      )
      .map(scopedName),
  );
}

function hasVariable(program: Program, name: string): boolean {
  return program.source.symbols.byName(name) !== undefined;
}

function nameOf(image: PeImage): string {
  return image.file?.replace(/^.*[\\/]/, '') ?? 'the previous hotpatch';
}
