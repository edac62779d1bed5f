import type { HotPatchRecordInput } from '../../image/index.js';
import type { Examination } from '../examination.js';
import { type CodeFunction, isCodeAt, type Program } from '../program.js';
import { sharedImports, slotTarget } from '../records.js';

const hex = (rva: number) => `+0x${rva.toString(16)}`;

/** A FUNCTION record leads from a function to the same function. */
export function checkFunctionRecords({ comparison, records, findings }: Examination): void {
  const { base, fixed, matching } = comparison;
  const pairs = [
    ...records.forward.map((record) => ({ record, from: base, to: fixed })),
    ...records.backward.map((record) => ({ record, from: fixed, to: base })),
  ];
  for (const { record, from, to } of pairs) {
    const location = entryAt(from, record.rva);
    const target = entryAt(to, record.target);
    if (location === undefined || target === undefined) {
      const [program, rva] = location === undefined ? [from, record.rva] : [to, record.target];
      findings.report('record.notFunction', `${hex(rva)} is ${program.describe(rva)}`);
      continue;
    }
    const [inBase, inFixed] = from === base ? [location, target] : [target, location];
    if (!matching.functions.isPair(inBase, inFixed))
      findings.report('record.wrongFunction', `${location.name} → ${target.name}`, location.name);
    else if (from === fixed && comparison.verdictOf(inFixed) === 'changed')
      findings.report('backward.changed', 'patched code would call the old one', inFixed.name);
  }
}

function entryAt(program: Program, rva: number): CodeFunction | undefined {
  const code = program.functionAt(rva);
  return code?.rva === rva ? code : undefined;
}

/** An ABSOLUTE record fills a pointer of the patch image with the variable that the pointer means. */
export function checkAbsolute({ comparison, records, reach, findings }: Examination): void {
  const { base, fixed } = comparison;
  const { pointerSize } = fixed.image;
  const covered = new Set(records.absolute.map(({ rva }) => rva));
  for (const { rva, target } of records.absolute) {
    const isPointer = !isCodeAt(fixed.image, rva) && fixed.relocationsIn(rva, 1).length === 1;
    if (!isPointer || fixed.relocationsIn(rva, pointerSize).length !== 1) {
      findings.report('absolute.slot', hex(rva), fixed.describe(rva));
      continue;
    }
    const slot = fixed.variableAt(rva);
    if (slot?.rva !== rva) continue;
    const meant = slotTarget(comparison, slot);
    if (meant.kind === 'base' && meant.rva !== target)
      findings.report(
        'absolute.wrongVariable',
        `it means ${base.describe(meant.rva)}, the record says ${base.describe(target)}`,
        slot.name,
      );
  }
  for (const [slot, users] of reach.slots)
    if (!covered.has(slot.rva) && slotTarget(comparison, slot).kind === 'base')
      findings.report('absolute.missing', `${users.map(({ name }) => name).join(', ')} uses it`, slot.name);
}

/** An INDIRECT record copies the binding of an import that both images have. */
export function checkIndirect({ comparison, records, findings }: Examination): void {
  const { base, fixed } = comparison;
  const key = ({ rva, target }: HotPatchRecordInput) => `${rva}:${target}`;
  const present = new Set(records.indirect.map(key));
  for (const { rva, target } of records.indirect) {
    const [own, original] = [fixed.imports.get(rva), base.imports.get(target)];
    if (own === undefined || original === undefined)
      findings.report('indirect.slot', `${hex(rva)} ← ${hex(target)} of the base`);
    else if (own !== original) findings.report('indirect.wrongImport', `${own} ← ${original}`, own);
  }
  for (const record of sharedImports(base, fixed))
    if (!present.has(key(record)))
      findings.report('indirect.missing', 'it has no INDIRECT record', fixed.imports.get(record.rva));
}

/** A CALL_TARGET record names a function of the patch image, in both dwords. */
export function checkCallTargets({ comparison, records, findings, hasSymbols }: Examination): void {
  const { fixed } = comparison;
  for (const { rva, target } of records.callTargets) {
    if (rva !== target) findings.report('callTarget.dwords', `${hex(rva)} and ${hex(target)}`);
    if (!isCodeAt(fixed.image, rva) || (hasSymbols && entryAt(fixed, rva) === undefined))
      findings.report('callTarget.notFunction', `${hex(rva)} is ${fixed.describe(rva)}`);
  }
}
