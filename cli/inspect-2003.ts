import type { Hotp1Description } from '../image/index.js';
import { field, hex, hex8 } from './layout.js';

/** The lines that `hotpatch inspect` prints of a `.hotp1` section. */
export function hotp1Lines(found: NonNullable<Hotp1Description>): string[] {
  const { validations, hooks, fixupRegions } = found;
  const lines = [
    `Hotpatch of the 2003 generation: .hotp1 at ${hex(found.rva)} (version ${hex(found.version)})`,
    field('target', found.targetName),
    field('identified by', `${found.moduleIdMethodName ?? found.moduleIdMethod} ${found.moduleIdValue}`),
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
    const routine = hook.type === 'X86_JMP2B' ? `${hex(hook.hotpRva & 0xff)}` : hex8(hook.hotpRva);
    const notes = [
      `${hook.size} bytes`,
      ...(hook.within2GB ? ['within 2 GB'] : []),
      ...(hook.validationRva === 0 ? [] : [`validation at ${hex8(hook.validationRva)}`]),
    ];
    lines.push(
      `  hook ${index}  ${hook.type.padEnd(9)} target ${hex8(hook.hookRva)} -> ${routine}${hook.symbol === undefined ? '' : ` ${hook.symbol}`}   ${notes.join(', ')}`,
    );
  }
  for (const { severity, place, message, rule, status } of found.findings)
    lines.push(`  ${severity}: ${place}: ${message} (${rule}, ${status.name})`);
  return lines;
}
