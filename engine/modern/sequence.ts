import { HOT_PATCH_BASE_FLAG, HOT_PATCH_INFO_FLAG } from '../../image/index.js';
import { HotPatchError, type HotPatchRule } from '../core/index.js';
import type { EngineBuild } from './builds.js';
import type { ImageRecord } from './image-record.js';
import type { Patch } from './patch.js';

/**
 * May this patch follow the one in force on `base`? Newer than that (docs/fidelity.md#application); at least MinSequenceNumber already there, and
 * directly after it when the order is critical (modelled: docs/fidelity.md#u-11).
 */
export function checkSequence(patch: Patch, base: ImageRecord, enforced: boolean): void {
  const current = base.sequenceNumber;
  const { sequenceNumber, minSequenceNumber, flags } = patch.table;
  const refuse = (rule: HotPatchRule, message: string) =>
    new HotPatchError({ rule, status: 'STATUS_REQUEST_OUT_OF_SEQUENCE', image: patch.name, message });
  if (enforced && sequenceNumber <= current)
    throw refuse(
      'sequence.notNewer',
      `sequence number ${sequenceNumber} is not above ${current}, which is applied to ${base.image.baseDllName}`,
    );
  if (minSequenceNumber > current)
    throw refuse(
      'sequence.minimum',
      `needs sequence number ${minSequenceNumber} to be applied first; ${base.image.baseDllName} has ${current}`,
    );
  if ((flags & HOT_PATCH_INFO_FLAG.PATCHORDERCRITICAL) !== 0 && sequenceNumber !== current + 1)
    throw refuse(
      'sequence.order',
      `the order is critical: sequence number ${sequenceNumber} must come directly after ${sequenceNumber - 1}, not after ${current}`,
    );
}

/** Does this build know the version of the patch's table? */
export function checkTableVersion({ name, table }: Patch, { newestTableVersion }: EngineBuild): void {
  if (table.version <= newestTableVersion) return;
  throw new HotPatchError({
    rule: 'hotPatch.version',
    status: 'STATUS_INVALID_IMAGE_FORMAT',
    image: name,
    place: 'IMAGE_HOT_PATCH_INFO',
    message: `the table has version ${table.version}; this build of Windows reads versions up to ${newestTableVersion}`,
  });
}

/** May this patch be taken back? Only one whose base descriptor says CAN_ROLL_BACK (modelled: docs/fidelity.md#u-10), where undo is allowed. */
export function checkRollBack(patch: Patch, allowUndo: boolean): void {
  const refuse = (rule: HotPatchRule, message: string) =>
    new HotPatchError({ rule, status: 'STATUS_REQUEST_OUT_OF_SEQUENCE', image: patch.name, message });
  if (!allowUndo) throw refuse('unload.notAllowed', 'this system does not take patches back at run time');
  if ((patch.description.flags & HOT_PATCH_BASE_FLAG.CAN_ROLL_BACK) === 0)
    throw refuse('unload.cannotRollBack', 'the patch does not have the flag CAN_ROLL_BACK');
}
