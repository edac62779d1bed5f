import { type NtStatus, type NtStatusName, ntStatus } from '../status.js';

/** `error`: it cannot be applied. `warning`: it can, but should be known. */
export type Severity = 'error' | 'warning';

interface RuleData {
  readonly status: NtStatusName;
  readonly severity: Severity;
  readonly description: string;
}

const error = (description: string, status: NtStatusName = 'STATUS_INVALID_IMAGE_FORMAT'): RuleData => ({
  status,
  severity: 'error',
  description,
});
const warning = (description: string, status: NtStatusName = 'STATUS_SUCCESS'): RuleData => ({
  status,
  severity: 'warning',
  description,
});

/**
 * Each way in which a hotpatch image can be wrong: one rule, one NTSTATUS. The order is that of the checks:
 * finding the table, the table itself, its bases, the chunk stream, the records, and the fit to a base image.
 * Sources: the validation steps of RtlFindHotPatchInformation and RtlValidateHotPatchBase as public research describes
 * them; rules marked "laboratory" are this project's own where nothing is public (docs: what is modelled).
 */
const rules = {
  'image.machine': error('the machine of a hotpatch image must be AMD64, ARM64 or I386'),
  'loadConfig.absent': error('a hotpatch image needs a load configuration to carry HotPatchTableOffset'),
  'loadConfig.directorySize': error(
    "the data directory's size of the load configuration must equal its Size field (x86: or be 64)",
  ),
  'loadConfig.size': error(
    'the load configuration must reach HotPatchTableOffset: Size of at least 0xF4 (PE32+) or 0x98 (PE32)',
  ),
  'loadConfig.bounds': error('the whole load configuration must lie inside SizeOfImage'),
  'hotPatch.absent': error('HotPatchTableOffset is zero: the image has no hotpatch table'),
  'hotPatch.offset': error(
    'HotPatchTableOffset must be below 0xFFFFFFF8 and leave 8 bytes inside SizeOfImage',
  ),
  'hotPatch.version': error('the table version must be 1, 2, 3 or 4'),
  'hotPatch.size': error('Size must be at least that of IMAGE_HOT_PATCH_INFO of its version'),
  'hotPatch.bounds': error('the table must end inside SizeOfImage'),
  'hotPatch.sequenceNumber': error('SequenceNumber must not be zero'),
  'hotPatch.flags': error('only PATCHORDERCRITICAL and HOTSWAP are known table flags'),
  'hotPatch.hotSwap': error('HOTSWAP patches are not supported (laboratory)', 'STATUS_NOT_SUPPORTED'),
  'hotPatch.bufferOffset': error('BufferOffset must lie inside the table (laboratory)'),
  'hotPatch.baseImageList': error('the list of base offsets must lie inside the table'),
  'hotPatch.baseImageCount': error('BaseImageCount must be exactly 1'),
  'base.bounds': error('each IMAGE_HOT_PATCH_BASE must lie wholly inside the table'),
  'base.flags': error('unknown flags of IMAGE_HOT_PATCH_BASE'),
  'base.machine': error("the base's machine flag must be that of the image", 'STATUS_BAD_DEVICE_TYPE'),
  'base.codeIntegrity': error('the code integrity information must lie inside the table (laboratory)'),
  'base.bufferOffset': error("the base's BufferOffset must lie inside the table (laboratory)"),
  'base.patchTable': error('PatchTable must lie inside the table'),
  'image.chpe': warning('some builds refuse hotpatch images with CHPE metadata'),
  'chunk.header': error('a chunk header must lie wholly inside the table; the stream ends with a zero dword'),
  'chunk.bounds': error("a chunk's records must lie wholly inside the table"),
  'chunk.reserved': error('the RESERVED bits of a chunk header must be zero'),
  'chunk.type': error('the chunk type is not a known one'),
  'chunk.noExtent': error('a type whose records have no byte extent must not have the SOURCE_RVA bit'),
  'chunk.rvaBits': error('the SOURCE_RVA and TARGET_RVA bits must be those of the chunk type'),
  'chunk.obligatory': error('chunks with the OBLIGATORY bit are refused'),
  'chunk.forwardIndirect': error('INDIRECT chunks must be backward (INVERSE)'),
  'chunk.forward': error('only FUNCTION chunks may be forward'),
  'record.function': error('a FUNCTION location must be at RVA 0x10 or above, with 2 bytes inside its image'),
  'record.extent': error("the record's byte extent must lie inside the image that it modifies"),
  'record.target': error("the target RVA and a pointer's size behind it must lie inside the target image"),
  'record.dynamicValue': error('the index of a DYNAMIC_VALUE record must not be 0xFFFFFFFF'),
  'record.section': error(
    'a record must modify bytes of a section, not the headers or a gap (laboratory)',
    'STATUS_SECTION_PROTECTION',
  ),
  'record.code': error(
    'a FUNCTION location must be executable (laboratory)',
    'STATUS_INVALID_PAGE_PROTECTION',
  ),
  'record.targetCode': error(
    'a FUNCTION target must be executable (laboratory)',
    'STATUS_INVALID_PAGE_PROTECTION',
  ),
  'record.alignment': error(
    'an ARM64 FUNCTION location and target must be a multiple of 4 (laboratory)',
    'STATUS_INSTRUCTION_MISALIGNMENT',
  ),
  'record.callTarget': error('a CALL_TARGET must be 16-byte aligned', 'STATUS_INSTRUCTION_MISALIGNMENT'),
  'record.duplicate': error(
    'two records of one direction must not modify the same bytes (laboratory)',
    'STATUS_CONFLICTING_ADDRESSES',
  ),
  'record.pingPong': error(
    'a function must not be redirected forward and back again (laboratory)',
    'STATUS_CONFLICTING_ADDRESSES',
  ),
  'record.relocation': warning(
    'a base relocation changes bytes that the record expects; they only match at the preferred base',
  ),
  'record.originalBytes': error('the bytes at the function entry must be those that the record expects'),
  'identity.machine': error('the machines of patch and base must be equal', 'STATUS_BAD_DEVICE_TYPE'),
  'identity.checkSum': error("OriginalCheckSum must be the base's CheckSum", 'STATUS_REVISION_MISMATCH'),
  'identity.timeDateStamp': error(
    "OriginalTimeDateStamp must be the base's TimeDateStamp",
    'STATUS_REVISION_MISMATCH',
  ),
  'identity.hash': error(
    "the base file's SHA-256 must be that of the code integrity information (laboratory)",
    'STATUS_INVALID_IMAGE_HASH',
  ),
} as const satisfies Record<string, RuleData>;

/** Stable name of a rule of the hotpatch table. */
export type HotPatchRuleId = keyof typeof rules;

/** What must hold of a hotpatch table. */
export interface HotPatchRule {
  /** Stable name. */
  readonly id: HotPatchRuleId;
  /** What is returned for a table that breaks it. */
  readonly status: NtStatus;
  /** What breaking it means. */
  readonly severity: Severity;
  /** What must hold. */
  readonly description: string;
}

/** Every rule of the hotpatch table. */
export const HOT_PATCH_RULES: readonly HotPatchRule[] = Object.entries(rules).map(([id, data]) => ({
  id: id as HotPatchRuleId,
  status: ntStatus(data.status),
  severity: data.severity,
  description: data.description,
}));

const byId = new Map(HOT_PATCH_RULES.map((rule) => [rule.id, rule]));

/** The rule of this name. */
export function hotPatchRule(id: HotPatchRuleId): HotPatchRule {
  const rule = byId.get(id);
  if (rule === undefined) throw new RangeError(`no hotpatch rule ${id}`);
  return rule;
}

/** Is there a rule of this name? */
export function isHotPatchRule(id: string): id is HotPatchRuleId {
  return byId.has(id as HotPatchRuleId);
}
