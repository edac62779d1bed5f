import type { ImageArchitecture } from '../../image/index.js';
import { HPAT_PAIR_SIZE } from '../../loader/index.js';
import { staysAsItIs } from '../compare.js';
import { entryProblems } from '../entry.js';
import type { Examination } from '../examination.js';
import type { CodeFunction, Program } from '../program.js';
import { procedureSignatures } from '../types.js';

const SLOTS_PER_PAIR = 512;

/** The functions of the base that shall be redirected: can they be, and may they? */
export function checkEntries({ comparison, records, findings, reserveSize }: Examination): void {
  const { base } = comparison;
  for (const { rva } of records.forward) {
    const code = base.functionAt(rva);
    if (code === undefined || code.rva !== rva) continue;
    for (const { rule, text } of entryProblems(base, code, reserveSize))
      findings.report(rule, text, code.name);
    checkFolding(comparison, code, findings);
  }
  const capacity = Math.floor(reserveSize / HPAT_PAIR_SIZE) * SLOTS_PER_PAIR;
  for (const [image, list] of [
    ['base', records.forward],
    ['patch image', records.backward],
  ] as const)
    if (list.length > capacity)
      findings.report(
        'hpat.capacity',
        `${list.length} functions, the HPAT of the ${image} has ${capacity} slots`,
      );
}

/** Identical code folding: one place of the base, which the fixed build tells apart; every name is looked at. */
export function checkFolding(
  { base, functions, matching }: Examination['comparison'],
  code: CodeFunction,
  findings: Examination['findings'],
): void {
  const others = matching.functions.fixedsOf(code);
  if (others.length < 2) return;
  const differs = (other: CodeFunction) =>
    functions.some(
      ({ base: from, fixed: to, verdict }) => from === code && to === other && verdict === 'changed',
    );
  const text = (other: CodeFunction) =>
    `${other.name} at +0x${other.rva.toString(16)} of the fix is ${differs(other) ? 'another' : 'the same'}`;
  findings.report('entry.folded', `${base.describe(code.rva)}: ${others.map(text).join(', ')}`, code.name);
}

/** What callers rely on: parameters, result, stack. */
export function checkSignatures({ comparison, findings }: Examination): void {
  const { base, fixed, functions } = comparison;
  const before = base.source.pdb && procedureSignatures(base.source.pdb);
  const after = fixed.source.pdb && procedureSignatures(fixed.source.pdb);
  for (const { verdict, base: from, fixed: to } of functions) {
    if (verdict !== 'changed' || from === undefined || to === undefined) continue;
    const [old, now] = [decorated(from), decorated(to)];
    if (old !== undefined && now !== undefined && old !== now)
      findings.report('function.signature', `${old} → ${now}`, from.name);
    const [was, is] = [before?.get(from.rva), after?.get(to.rva)];
    if (was !== undefined && is !== undefined && was !== is)
      findings.report('function.signature', `${was} → ${is}`, from.name);
    const [popped, pops] = [poppedBytes(base, from), poppedBytes(fixed, to)];
    // Without a return on one side nothing is known: the function ends in a tail call.
    if (popped !== '' && pops !== '' && popped !== pops)
      findings.report('function.stack', `ret ${popped} → ret ${pops}`, from.name);
  }
}

/** The linker name of a stdcall or fastcall function, which tells the size of its parameters. */
function decorated(code: CodeFunction): string | undefined {
  return code.symbols.map(({ rawName }) => rawName).find((name) => name !== undefined && /@\d+$/.test(name));
}

/** Can the return instruction remove parameters? */
const CAN_POP: Readonly<Record<ImageArchitecture, boolean>> = { x64: true, x86: true, arm64: false };

/** Bytes that `ret imm16` removes; empty for plain `ret` and for functions that never return. */
function poppedBytes(program: Program, code: CodeFunction): string {
  const RET_IMM16 = 0xc2;
  if (!CAN_POP[program.image.architecture]) return '';
  const counts = program
    .stream(code)
    .instructions.filter(({ flow }) => flow === 'return')
    .map(({ bytes }) => (bytes[0] === RET_IMM16 ? (bytes[1] ?? 0) | ((bytes[2] ?? 0) << 8) : 0));
  return counts.length === 0 ? '' : [...new Set(counts)].sort((a, b) => a - b).join(', ');
}

/** Functions that cannot be told apart, that were removed while pointers lead to them, or that no record covers. */
export function checkCoverage({ comparison, records, findings }: Examination): void {
  const { base, functions, matching } = comparison;
  const covered = new Set(records.forward.map(({ rva }) => rva));
  for (const { verdict, base: from, fixed: to, reasons } of functions) {
    if (verdict === 'changed' && from !== undefined && !staysAsItIs(base, from) && !covered.has(from.rva))
      findings.report('function.missing', reasons.join('; '), from.name);
    if (verdict === 'removed' && from !== undefined && isAddressTaken(base, from))
      findings.report('function.removed', 'the base takes its address', from.name);
    const code = to ?? from;
    if (code !== undefined && matching.functions.isAmbiguous(code))
      findings.report(
        'function.ambiguous',
        `it may be ${matching.functions
          .candidatesOf(code)
          .map((other) => `${other.name} at +0x${other.rva.toString(16)}`)
          .join(' or ')}`,
        code.name,
      );
  }
}

function isAddressTaken(program: Program, code: CodeFunction): boolean {
  const inCode = program.functions.some((user) =>
    program.stream(user).references.some(({ kind, target }) => kind === 'data' && target === code.rva),
  );
  return inCode || program.image.relocations.some(({ rva }) => program.pointerTarget(rva) === code.rva);
}
