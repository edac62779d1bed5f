import { addressFlow } from '../address-flow.js';
import type { Examination } from '../examination.js';
import { isImagePrivate, privateUse } from '../image-private.js';
import type { CodeFunction, Program, Variable } from '../program.js';
import { CALL_TARGET_ALIGNMENT, isShared, pointerTarget, slotTarget, staysInside } from '../records.js';
import { placeOf } from '../variables.js';

/** What code of the patch image touches directly must be its own: everything else belongs to the base. */
export function checkGlobals(examination: Examination): void {
  const { comparison, reach, findings } = examination;
  const { matching, fixed } = comparison;
  const stateful = new Set<CodeFunction>();
  for (const { code, offset, variable } of reach.accesses) {
    const at = `${code.name}+0x${offset.toString(16)}`;
    if (privateUse(variable)?.use === 'base' && !isImageBase(variable)) {
      findings.report('global.tls', `${at} reads ${variable.name}`, code.name);
      continue;
    }
    if (!variable.isMutable || isImagePrivate(variable) || !isShared(comparison, variable)) continue;
    stateful.add(code);
    const by = reach.inside.get(code);
    if (comparison.verdictOf(code) === 'unchanged' && by !== undefined)
      findings.report(
        'callee.notRedirected',
        `${by.name} calls it, and ${at} touches ${variable.name}${becauseOf(fixed, code)}`,
        code.name,
      );
    else findings.report('global.direct', `${at} touches ${variable.name}`, code.name);
  }
  for (const [code, by] of reach.inside)
    if (
      by !== undefined &&
      comparison.verdictOf(code) === 'unchanged' &&
      !stateful.has(code) &&
      staysInside(fixed, code) === undefined
    )
      findings.report('callee.copied', `${by.name} reaches it`, code.name);
  for (const { code, offset } of reach.imageBase)
    if (!hasSwitch(fixed, code))
      findings.report(
        'global.imageBase',
        `${code.name}+0x${offset.toString(16)} takes the address of the patch image’s headers`,
        code.name,
      );
  for (const { code, target, offset } of reach.intoMiddle)
    findings.report(
      'callee.middle',
      `${code.name} jumps to ${target.name}+0x${offset.toString(16)}`,
      target.name,
    );
  checkPointers(examination);
  for (const { variable, code } of reach.accesses)
    if (matching.variables.isAmbiguous(variable) && variable.isMutable)
      findings.report(
        'ref.ambiguous',
        `${code.name} uses it; ${candidatesText(comparison, variable)}`,
        variable.name,
      );
}

/** Pointers in the patch image's own data that mean variables of the base need a record each. */
function checkPointers({ comparison, records, reach, findings }: Examination): void {
  const covered = new Map(records.absolute.map(({ rva, target }) => [rva, target]));
  for (const pointer of reach.pointers) {
    const { rva, holder, variable, code } = pointer;
    if (isImagePrivate(variable)) continue;
    const wanted = pointerTarget(comparison, pointer);
    if (wanted === undefined || covered.get(rva) !== wanted)
      findings.report(
        'data.constToMutable',
        `${code.name} uses it, and it points at ${variable.name}`,
        holder.name,
      );
  }
}

function becauseOf(program: Program, code: CodeFunction): string {
  const why = staysInside(program, code);
  return why === undefined ? '' : `; it cannot be redirected: ${why}`;
}

function isImageBase({ symbols }: Variable): boolean {
  return symbols.some(({ name }) => name.includes('ImageBase'));
}

/** `it may be n of a.obj at +0x3004 or …`, and how to say which. */
export function candidatesText({ matching }: Examination['comparison'], variable: Variable): string {
  const found = matching.variables.candidatesOf(variable);
  const names = found.map((other) => `${placeOf(other)} at +0x${other.rva.toString(16)}`);
  return `it may be ${names.join(' or ')} of the base: --pair +0x…=+0x${variable.rva.toString(16)} says which`;
}

/** Each `__ref_` pointer must mean one variable, and the right one. */
export function checkReferences({ comparison, reach, findings }: Examination): void {
  const { fixed } = comparison;
  for (const slot of fixed.variables) {
    if (!slot.isReference) continue;
    const target = slotTarget(comparison, slot);
    const users = reach.slots.get(slot) ?? [];
    const points = `it points at ${fixed.describe(fixed.pointerTarget(slot.rva))}`;
    if (target.kind === 'threadLocal') findings.report('ref.tls', points, slot.name);
    if (target.kind === 'ambiguous')
      findings.report(
        'ref.ambiguous',
        `${points}; ${candidatesText(comparison, target.variable)}`,
        slot.name,
      );
    if (target.kind === 'unknown') findings.report('ref.unknown', points, slot.name);
    if (target.kind === 'own' && !target.variable.isMutable && users.length > 0)
      findings.report(
        'ref.ownCopy',
        `${users.map(({ name }) => name).join(', ')} uses it`,
        target.variable.name,
      );
    const variable = target.kind === 'unknown' ? undefined : pointedAt(comparison, slot);
    if (variable === undefined || !variable.isStatic || variable.module === undefined) continue;
    for (const user of users)
      if (user.module !== undefined && user.module !== variable.module)
        findings.report(
          'ref.wrongStatic',
          `${user.name} of ${user.module} uses it, and it points at ${variable.name} of ${variable.module}`,
          slot.name,
        );
  }
}

function pointedAt({ fixed }: Examination['comparison'], slot: Variable): Variable | undefined {
  const place = fixed.place(fixed.pointerTarget(slot.rva));
  return place.kind === 'variable' ? place.variable : undefined;
}

/** What may be kept when the patch is gone, and what Control Flow Guard must know. */
export function checkEscapes({ comparison, reach, findings }: Examination): void {
  const { fixed } = comparison;
  const literals = new Map<CodeFunction, Set<string>>();
  const jumpsIndirectly = new Map(
    [...reach.inside.keys()].map((code) => [code, hasSwitch(fixed, code)] as const),
  );
  for (const { code, variable, variableOffset } of reach.accesses) {
    if (variable.isMutable || isImagePrivate(variable) || fixed.imports.has(variable.rva)) continue;
    if (jumpsIndirectly.get(code) && variable.isNameless)
      findings.report('escape.switchTable', `at +0x${variable.rva.toString(16)}`, code.name);
    else if (addressFlow(fixed, code).kept.has(variable.rva + variableOffset))
      literals.set(code, (literals.get(code) ?? new Set()).add(literalText(fixed, variable)));
  }
  for (const [code, names] of literals) findings.report('escape.literal', [...names].join(', '), code.name);
  const isGuarded = (fixed.image.loadConfig?.guardFlags ?? 0) & CF_INSTRUMENTED;
  for (const [code, by] of reach.addressTaken) {
    findings.report('escape.function', `${by.name} takes it`, code.name);
    if (code.rva % CALL_TARGET_ALIGNMENT !== 0)
      findings.report(
        isGuarded ? 'callTarget.guard' : 'callTarget.alignment',
        `${by.name} takes the address of +0x${code.rva.toString(16)}`,
        code.name,
      );
  }
}

/** IMAGE_GUARD_CF_INSTRUMENTED of winnt.h. */
const CF_INSTRUMENTED = 0x100;

/** Does it jump to a computed place, other than through an import? */
function hasSwitch(program: Program, code: CodeFunction): boolean {
  return program
    .stream(code)
    .instructions.some(
      ({ flow, references }) =>
        flow === 'indirectJump' && !references.some(({ target }) => program.imports.has(target)),
    );
}

/** The text of a string literal, which MSVC-style names mark as such, else the name. */
function literalText({ image }: Program, { name, rva }: Variable): string {
  return name.startsWith('??_C@_0') ? `"${image.cStringAt(rva, name)}"` : name;
}
