import type { Hotp1Description } from '../image/index.js';
import { field, hex, hex8 } from './layout.js';

/** What a hook is to the functions of the target. */
const PLACE_TEXT = {
  entry: 'entry',
  padding: 'jump in the padding',
  pointer: 'pointer of a jump',
  data: 'pointer in data',
} as const;
const LONGEST_PLACE = Math.max(...Object.values(PLACE_TEXT).map(({ length }) => length));

/** The lines that `hotpatch inspect` prints of a `.hotp1` section. */
export function hotp1Lines(found: NonNullable<Hotp1Description>): string[] {
  const { validations, hooks, fixupRegions } = found;
  const lines = [
    `Hotpatch of the 2003 generation: .hotp1 at ${hex(found.rva)} (version ${hex(found.version)})`,
    field('target', found.targetName),
    field('identified by', found.moduleId),
    field(
      'made for',
      `hotpatch at ${hex(found.origHotpBaseAddress)}, target at ${hex(found.origTargetBaseAddress)}`,
    ),
  ];
  for (const [index, { rva, fixups }] of fixupRegions.entries()) {
    lines.push(
      `  fixup region ${index} at ${hex8(rva)}, ${fixups.length} fixup${fixups.length === 1 ? '' : 's'}`,
    );
    for (const fixup of fixups) lines.push(`    ${hex8(fixup.rva)}  ${fixup.type}`);
  }
  for (const [index, { sourceRva, targetRva, byteCount, hookOnly }] of validations.entries())
    lines.push(
      `  validation ${index}  ${byteCount} bytes: target ${hex8(targetRva)} = hotpatch ${hex8(sourceRva)}${hookOnly ? ' (of one hook)' : ''}`,
    );
  for (const [index, hook] of hooks.entries()) {
    const { place, leadsTo } = hook;
    const through = hooks.findIndex(({ hookRva }) => hookRva === leadsTo);
    const routine =
      leadsTo === undefined
        ? hex8(hook.hotpRva)
        : `${hex8(leadsTo)}${through < 0 ? '' : ` (hook ${through})`}`;
    const notes = [
      `${hook.size} bytes`,
      ...(hook.within2GB ? ['within 2 GB'] : []),
      ...(hook.validationRva === 0 ? [] : [`validation at ${hex8(hook.validationRva)}`]),
    ];
    lines.push(
      `  hook ${index}  ${hook.type.padEnd(9)} ${(place === undefined ? '' : PLACE_TEXT[place]).padEnd(LONGEST_PLACE)}  target ${hex8(hook.hookRva)} -> ${routine}${hook.symbol === undefined ? '' : ` ${hook.symbol}`}   ${notes.join(', ')}`,
    );
  }
  for (const { severity, place, message, rule, status } of found.findings)
    lines.push(`  ${severity}: ${place}: ${message} (${rule}, ${status.name})`);
  return lines;
}
