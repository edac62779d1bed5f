import { isImagePrivate } from '../compare-data.js';
import type { Examination } from '../examination.js';
import type { CodeFunction, Program, Variable } from '../program.js';
import { CALL_TARGET_ALIGNMENT, slotTarget } from '../records.js';

/** What code of the patch image touches directly must be its own: everything else belongs to the base. */
export function checkGlobals({ comparison, reach, findings }: Examination): void {
  const { matching } = comparison;
  const isShared = (variable: Variable) =>
    variable.isNameless ||
    matching.variables.baseOf(variable) !== undefined ||
    matching.variables.isAmbiguous(variable);
  const stateful = new Set<CodeFunction>();
  for (const { code, offset, variable } of reach.accesses) {
    const at = `${code.name}+0x${offset.toString(16)}`;
    if (variable.symbols.some(({ name }) => name === '_tls_index')) {
      findings.report('global.tls', `${at} reads _tls_index`, code.name);
      continue;
    }
    if (!variable.isMutable || isImagePrivate(variable) || !isShared(variable)) continue;
    stateful.add(code);
    const by = reach.inside.get(code);
    if (comparison.verdictOf(code) === 'unchanged' && by !== undefined)
      findings.report(
        'callee.notRedirected',
        `${by.name} calls it, and ${at} touches ${variable.name}`,
        code.name,
      );
    else findings.report('global.direct', `${at} touches ${variable.name}`, code.name);
  }
  for (const [code, by] of reach.inside)
    if (by !== undefined && comparison.verdictOf(code) === 'unchanged' && !stateful.has(code))
      findings.report('callee.copied', `${by.name} reaches it`, code.name);
  for (const { constant, variable, code } of reach.constToMutable)
    if (isShared(variable) && !isImagePrivate(variable))
      findings.report(
        'data.constToMutable',
        `${code.name} uses it, and it points at ${variable.name}`,
        constant.name,
      );
  for (const { code, target, offset } of reach.intoMiddle)
    findings.report(
      'callee.middle',
      `${code.name} jumps to ${target.name}+0x${offset.toString(16)}`,
      target.name,
    );
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
    if (target.kind === 'ambiguous') findings.report('ref.ambiguous', points, slot.name);
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
  for (const { code, variable } of reach.accesses) {
    if (variable.isMutable || isImagePrivate(variable) || fixed.imports.has(variable.rva)) continue;
    if (jumpsIndirectly.get(code) && variable.isNameless)
      findings.report('escape.switchTable', `at +0x${variable.rva.toString(16)}`, code.name);
    else literals.set(code, (literals.get(code) ?? new Set()).add(literalText(fixed, variable)));
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
