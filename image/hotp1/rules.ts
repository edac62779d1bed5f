import { type NtStatus, type NtStatusName, ntStatus } from '../status.js';

interface RuleData {
  readonly status: NtStatusName;
  readonly severity: 'error' | 'warning';
  readonly description: string;
}

const error = (description: string, status: NtStatusName = 'STATUS_INVALID_IMAGE_FORMAT'): RuleData => ({
  status,
  severity: 'error',
  description,
});
const warning = (description: string): RuleData => ({
  status: 'STATUS_SUCCESS',
  severity: 'warning',
  description,
});

/**
 * Each way in which a hotpatch of the first generation can be wrong: one rule, one NTSTATUS, in the order of the checks.
 * C000003E for bytes that differ, C0000018 for images too far apart and what is listed as unsupported are documented
 * (docs/fidelity.md#server-2003); rules marked "laboratory" are this project's own, and so are statuses elsewhere.
 */
const rules = {
  'hotp1.absent': error('a hotpatch of the first generation has a section .hotp1'),
  'hotp1.size': error('the section .hotp1 must hold a HOTPATCH_HEADER of 80 bytes'),
  'hotp1.signature': error('Signature must be HOT1'),
  'hotp1.version': error('Version must be 0x00010000'),
  'hotp1.machine': error('hotpatches are for I386 and AMD64 here (laboratory)', 'STATUS_NOT_SUPPORTED'),
  'hotp1.bounds': error('arrays and names that the header leads to must lie inside the image'),
  'targetName.absent': error('TargetNameRva must lead to the name of the target'),
  'targetName.text': error('the name of the target is a file name without a path (laboratory)'),
  'moduleId.method': error('ModuleIdMethod must be one of those that are known'),
  'moduleId.unsupported': error(
    'PeHeaderHash1 and PeDebugSignature are not supported',
    'STATUS_NOT_SUPPORTED',
  ),
  'moduleId.none': warning('without identification the target is known by its name only'),
  'fixup.region': error('a fixup region must begin at a page of the hotpatch image'),
  'fixup.count': error('the count of a fixup region is padded to an even number'),
  'fixup.type': error('the type of a fixup must be VA32, PC32, VA64 or PC64'),
  'fixup.width': error('64-bit fixups are for 64-bit images, VA32 for 32-bit ones (laboratory)'),
  'fixup.location': error('a fixup must change bytes inside the hotpatch image, and not its headers'),
  'fixup.overlap': error('no two fixups may change the same byte (laboratory)'),
  'fixup.relocation': error('a fixup must not share bytes with a base relocation (laboratory)'),
  'validation.source': error('the expected bytes of a validation must lie inside the hotpatch image'),
  'validation.target': error('a validation must compare bytes inside the target'),
  'validation.flags': error('only HOTP_VALIDATION_HOOK_ONLY is a known flag of a validation'),
  'validation.empty': warning('a validation of no bytes proves nothing'),
  'validation.bytes': error(
    'the bytes of the target must be those that the hotpatch expects',
    'STATUS_DATA_ERROR',
  ),
  'validation.relocation': error(
    'a validation must not compare bytes that a base relocation of the target changes (laboratory)',
  ),
  'hook.none': error('a hotpatch needs at least one hook'),
  'hook.type': error('the type of a hook must be one of those that are known'),
  'hook.notImplemented': error('PCREL32 hooks are listed but not implemented', 'STATUS_NOT_IMPLEMENTED'),
  'hook.machine': error('the type of a hook must be one of the image’s processor', 'STATUS_BAD_DEVICE_TYPE'),
  'hook.options': error('only the size and the 2 GB bit are known hook options'),
  'hook.location': error('a hook must change bytes inside the target, and not its headers'),
  'hook.section': error(
    'jumps must be stored into code of the target (laboratory)',
    'STATUS_SECTION_PROTECTION',
  ),
  'hook.routine': error('a hook must lead to code of the hotpatch image'),
  'hook.overlap': error('no two hooks may change the same byte (laboratory)'),
  'hook.relocation': error('no base relocation of the target may change bytes of a hook (laboratory)'),
  'hook.validation': error('a hook’s ValidationRva must be that of one of the validations'),
  'hook.shortTarget': error(
    'an X86_JMP2B hook must lead to an X86_JMP or AMD64_IND hook of the same hotpatch (laboratory)',
  ),
  'hook.continuation': error('AMD64_IND and AMD64_CNT hooks come in pairs with one routine (laboratory)'),
  'hook.order': error(
    'the jump in the padding must come before the short jump that leads to it (laboratory)',
    'STATUS_INVALID_PARAMETER_MIX',
  ),
  'hook.coldpatch': error(
    'a hook must take the place of a whole jump of a coldpatch, and serve the same functions (laboratory)',
    'STATUS_CONFLICTING_ADDRESSES',
  ),
  'target.machine': error('hotpatch and target must be for the same processor', 'STATUS_BAD_DEVICE_TYPE'),
  'target.name': error('the target must have the name that the hotpatch is for', 'STATUS_REVISION_MISMATCH'),
  'target.moduleId': error(
    'the target must be the very build that the hotpatch is for',
    'STATUS_REVISION_MISMATCH',
  ),
  'target.importsTarget': warning('the hotpatch imports from its own target: its calls take the new code'),
  'hook.entry': error(
    'the first instruction of a hooked function must be as long as the jump that replaces it (laboratory)',
  ),
  'hook.padding': error('the bytes before a hooked function must be padding (laboratory)'),
} as const satisfies Record<string, RuleData>;

/** Stable name of a rule of the first generation's format. */
export type Hotp1RuleId = keyof typeof rules;

/** What must hold of a hotpatch of the first generation. */
export interface Hotp1Rule {
  /** Stable name. */
  readonly id: Hotp1RuleId;
  /** What breaking it means: it cannot be applied, or it should be known. */
  readonly severity: 'error' | 'warning';
  /** What must hold. */
  readonly description: string;
  /** What is returned for a hotpatch that breaks it. */
  readonly status: NtStatus;
}

/** Every rule of the first generation's format. */
export const HOTP1_RULES: readonly Hotp1Rule[] = Object.entries(rules).map(([id, data]) => ({
  id: id as Hotp1RuleId,
  severity: data.severity,
  description: data.description,
  status: ntStatus(data.status),
}));

const byId = new Map(HOTP1_RULES.map((rule) => [rule.id, rule]));

/** The rule of this name. */
export function hotp1Rule(id: Hotp1RuleId): Hotp1Rule {
  const rule = byId.get(id);
  if (rule === undefined) throw new RangeError(`no rule ${id}`);
  return rule;
}

/** A rule that a hotpatch of the first generation does not keep. */
export interface Hotp1Finding {
  /** Stable name of the rule. */
  readonly rule: Hotp1RuleId;
  /** Whether it cannot be applied so. */
  readonly severity: 'error' | 'warning';
  /** `hook 2`, `.hotp1 +0x20`. */
  readonly place: string;
  /** What is returned for it. */
  readonly status: NtStatus;
  /** What must hold, and what is instead. */
  readonly message: string;
  /** The location in the target or in the hotpatch image. */
  readonly rva?: number;
}

/** A finding of a rule; `detail` says what is instead of what must hold. */
export function hotp1Finding(rule: Hotp1RuleId, place: string, detail: string, rva?: number): Hotp1Finding {
  const { status, severity, description } = hotp1Rule(rule);
  const message = `${description}: ${detail}`;
  return { rule, severity, place, status, message, ...(rva === undefined ? {} : { rva }) };
}
