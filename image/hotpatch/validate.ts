import { ImageError } from '../error.js';
import type { PeImage } from '../image.js';
import type { LoadConfig } from '../load-config.js';
import type { ImageArchitecture } from '../mapped-file.js';
import { sha256 } from '../sha.js';
import { hex, hexBytes } from '../text.js';
import { type Finding, finding } from './finding.js';
import { HOT_PATCH_BASE_FLAG, HOT_PATCH_INFO_FLAG, type HotPatchBase, type HotPatchTable } from './format.js';
import { isHotPatchRule } from './rules.js';
import { validateChunks } from './validate-records.js';

const MACHINE_FLAG: Readonly<Record<ImageArchitecture, number>> = {
  x86: HOT_PATCH_BASE_FLAG.MACHINE_I386,
  arm64: HOT_PATCH_BASE_FLAG.MACHINE_ARM64,
  x64: HOT_PATCH_BASE_FLAG.MACHINE_AMD64,
};
const ALL_MACHINES = MACHINE_FLAG.x86 | MACHINE_FLAG.arm64 | MACHINE_FLAG.x64;
const ALL_BASE_FLAGS = ALL_MACHINES | HOT_PATCH_BASE_FLAG.OBLIGATORY | HOT_PATCH_BASE_FLAG.CAN_ROLL_BACK;
const ALL_INFO_FLAGS = HOT_PATCH_INFO_FLAG.PATCHORDERCRITICAL | HOT_PATCH_INFO_FLAG.HOTSWAP;

/** What older linkers wrote as the load configuration's directory size, whatever its real one. */
const OLD_DIRECTORY_SIZE: Readonly<Record<ImageArchitecture, number | undefined>> = {
  x86: 64,
  x64: undefined,
  arm64: undefined,
};

/**
 * Every rule that a hotpatch image breaks, in the order in which Windows would meet them: the load configuration, the
 * table, its bases, their chunks and records; with `base` also whether the patch is for that image. Nothing is
 * changed, and nothing is thrown for what is in the files. No finding of severity `error` means that the patch is valid.
 */
export function validateHotPatch(patch: PeImage, base?: PeImage): Finding[] {
  try {
    const found = findTable(patch);
    if (!('table' in found)) return found.findings;
    const { table, findings } = found;
    findings.push(...validateTable(patch, table));
    if (base !== undefined) findings.push(...validateIdentity(patch, table, base));
    findings.push(...validateStreams(patch, table, base));
    return findings;
  } catch (error) {
    return [broken(error)];
  }
}

/** Finding the table: machine, load configuration, HotPatchTableOffset, and the table's own structure. */
function findTable(patch: PeImage): { findings: Finding[] } | { findings: Finding[]; table: HotPatchTable } {
  const { optionalHeader } = patch;
  const findings: Finding[] = [];
  let architecture: ImageArchitecture;
  try {
    architecture = patch.architecture;
  } catch {
    return {
      findings: [finding('image.machine', 'file header +0x0', `machine ${hex(patch.fileHeader.machine)}`)],
    };
  }
  let config: LoadConfig | undefined;
  try {
    config = patch.loadConfig;
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    return { findings: [finding('loadConfig.bounds', error.place, error.reason)] };
  }
  if (config === undefined) return { findings: [finding('loadConfig.absent', 'data directory 10', 'none')] };
  if (config.directorySize !== config.size && config.directorySize !== OLD_DIRECTORY_SIZE[architecture]) {
    findings.push(
      finding(
        'loadConfig.directorySize',
        'data directory 10',
        `${hex(config.directorySize)}, Size is ${hex(config.size)}`,
      ),
    );
  }
  if (!config.has('hotPatchTableOffset')) {
    findings.push(finding('loadConfig.size', 'load config +0x0', `Size ${hex(config.size)}`));
    return { findings };
  }
  if (config.rva + config.size > optionalHeader.sizeOfImage) {
    findings.push(
      finding('loadConfig.bounds', 'load config +0x0', `it ends at ${hex(config.rva + config.size)}`),
    );
  }
  try {
    const table = patch.hotPatch;
    if (table === undefined) {
      const place = `load config +${hex(config.offsetOf('hotPatchTableOffset'))}`;
      findings.push(finding('hotPatch.absent', place, 'no hotpatch table'));
      return { findings };
    }
    return { findings, table };
  } catch (error) {
    findings.push(broken(error));
    return { findings };
  }
}

function validateTable(patch: PeImage, table: HotPatchTable): Finding[] {
  const findings: Finding[] = [];
  const place = 'hotpatch table';
  if (table.sequenceNumber === 0) findings.push(finding('hotPatch.sequenceNumber', place, 'it is zero'));
  if ((table.flags & ~ALL_INFO_FLAGS) !== 0)
    findings.push(finding('hotPatch.flags', place, hex(table.flags)));
  if ((table.flags & HOT_PATCH_INFO_FLAG.HOTSWAP) !== 0) {
    findings.push(finding('hotPatch.hotSwap', place, `flags ${hex(table.flags)}`));
  }
  if (table.bufferOffset >= table.size) {
    findings.push(
      finding('hotPatch.bufferOffset', place, `${hex(table.bufferOffset)}, Size ${hex(table.size)}`),
    );
  }
  if (table.bases.length !== 1) {
    findings.push(finding('hotPatch.baseImageCount', place, `it is ${table.bases.length}`));
  }
  for (const [i, base] of table.bases.entries())
    findings.push(...validateBase(patch, table, base, `${place}, base ${i}`));
  if ((patch.loadConfig?.cHPEMetadataPointer ?? 0n) !== 0n) {
    findings.push(finding('image.chpe', 'load config', 'CHPEMetadataPointer is not zero'));
  }
  return findings;
}

function validateBase(patch: PeImage, table: HotPatchTable, base: HotPatchBase, place: string): Finding[] {
  const findings: Finding[] = [];
  if ((base.flags & ~ALL_BASE_FLAGS) !== 0) findings.push(finding('base.flags', place, hex(base.flags)));
  const machines = base.flags & ALL_MACHINES;
  if (machines !== 0 && machines !== MACHINE_FLAG[patch.architecture]) {
    findings.push(
      finding('base.machine', place, `flags ${hex(base.flags)} in an image for ${patch.architecture}`),
    );
  }
  if (base.bufferOffset >= table.size) {
    findings.push(finding('base.bufferOffset', place, `${hex(base.bufferOffset)}, Size ${hex(table.size)}`));
  }
  return findings;
}

/** The base that a patch is for: the descriptor whose checksum and time stamp are those of the image. */
export function findHotPatchBase(table: HotPatchTable, image: PeImage): HotPatchBase | undefined {
  const { checkSum } = image.optionalHeader;
  const { timeDateStamp } = image.fileHeader;
  return table.bases.find(
    (base) => base.originalCheckSum === checkSum && base.originalTimeDateStamp === timeDateStamp,
  );
}

function validateIdentity(patch: PeImage, table: HotPatchTable, image: PeImage): Finding[] {
  const findings: Finding[] = [];
  if (patch.fileHeader.machine !== image.fileHeader.machine) {
    findings.push(
      finding(
        'identity.machine',
        'file header +0x0',
        `patch ${patch.machine}, base ${hex(image.fileHeader.machine)}`,
      ),
    );
  }
  const base = findHotPatchBase(table, image);
  const named = base ?? table.bases[0];
  if (named === undefined) return findings;
  const place = `hotpatch table, base ${table.bases.indexOf(named)}`;
  const { checkSum } = image.optionalHeader;
  const { timeDateStamp } = image.fileHeader;
  if (named.originalCheckSum !== checkSum) {
    findings.push(
      finding('identity.checkSum', place, `${hex(named.originalCheckSum)}, the base has ${hex(checkSum)}`),
    );
  }
  if (named.originalTimeDateStamp !== timeDateStamp) {
    findings.push(
      finding(
        'identity.timeDateStamp',
        place,
        `${hex(named.originalTimeDateStamp)}, the base has ${hex(timeDateStamp)}`,
      ),
    );
  }
  if (base?.hashes !== undefined) {
    const actual = hexBytes(sha256(image.bytes));
    if (actual !== hexBytes(base.hashes.sha256)) {
      findings.push(finding('identity.hash', place, `the base file's is ${actual}`));
    }
  }
  return findings;
}

function validateStreams(patch: PeImage, table: HotPatchTable, image: PeImage | undefined): Finding[] {
  const matching = image === undefined ? undefined : findHotPatchBase(table, image);
  return table.bases.flatMap((base, i) => {
    const against = base === matching || (matching === undefined && i === 0) ? image : undefined;
    return validateChunks(patch, base, against, `hotpatch table, base ${i}`);
  });
}

function broken(error: unknown): Finding {
  if (!(error instanceof ImageError)) throw error;
  if (!isHotPatchRule(error.rule)) return finding('hotPatch.bounds', error.place, error.reason);
  const { rule, place } = error;
  return { ...finding(rule, place, ''), message: error.reason };
}
