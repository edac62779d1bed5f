import type { Examination } from '../examination.js';
import type { Program, Variable } from '../program.js';

/** Tables of virtual functions: `??_7A@@6B@` of Microsoft's C++ ABI. */
export function checkVirtualTables({ comparison, findings }: Examination): void {
  const { base, fixed, matching } = comparison;
  for (const variable of fixed.variables) {
    const original = matching.variables.baseOf(variable);
    const table = virtualTable(variable);
    if (original === undefined || table === undefined) continue;
    const [before, after] = [slotsOf(base, original), slotsOf(fixed, variable)];
    if (before.length !== after.length)
      findings.report('type.virtualTable', `${before.length} → ${after.length} slots`, table);
    for (const [index, rva] of before.entries()) {
      const now = after[index];
      if (now === undefined || comparison.isSame(rva, now)) continue;
      findings.report(
        'type.virtualTable',
        `slot ${index} leads to ${fixed.describe(now)} instead of ${base.describe(rva)}`,
        table,
      );
    }
  }
}

function virtualTable({ symbols }: Variable): string | undefined {
  return symbols.map(({ rawName, name }) => rawName ?? name).find((name) => name.startsWith('??_7'));
}

/** The functions in a table, as far as pointers to code follow each other. */
function slotsOf(program: Program, { rva, size }: Variable): number[] {
  const slots: number[] = [];
  for (let at = rva; at < rva + size; at += program.image.pointerSize) {
    if (program.relocationsIn(at, 1).length === 0) break;
    const target = program.pointerTarget(at);
    if (program.functionAt(target)?.rva !== target) break;
    slots.push(target);
  }
  return slots;
}
