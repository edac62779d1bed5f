import { IMAGE_DLLCHARACTERISTICS_EX, type PeImage } from '../../image/index.js';
import type { Findings } from '../finding.js';
import type { Program } from '../program.js';

/** Is the fixed image one that a table can be added to? Asked before anything is compared. */
export function checkFixedImage(base: PeImage, fixed: PeImage, findings: Findings): void {
  checkPair(base, fixed, findings);
  checkRoom(fixed, findings);
  if (fixed.loadConfig === undefined) findings.report('image.loadConfig', 'it has none');
  else if (!fixed.loadConfig.has('hotPatchTableOffset'))
    findings.report('image.loadConfig', `its size is 0x${fixed.loadConfig.size.toString(16)}`);
  else if (fixed.loadConfig.hotPatchTableOffset !== 0)
    findings.report(
      'image.hasTable',
      `HotPatchTableOffset is 0x${fixed.loadConfig.hotPatchTableOffset.toString(16)}`,
    );
}

/** Can a section be added to it? */
export function checkRoom(fixed: PeImage, findings: Findings): void {
  if (fixed.isSigned) findings.report('image.signed', 'it has a certificate table');
  if (!spareHeaders(fixed)) findings.report('image.headerRoom', 'no free 40 bytes behind the section table');
}

/** What must hold of any base and any hotpatch image. */
export function checkPair(base: PeImage, patch: PeImage, findings: Findings): void {
  if (base.fileHeader.machine !== patch.fileHeader.machine)
    findings.report('image.machine', `the base is ${base.machine}, the other image ${patch.machine}`);
  if (base.optionalHeader.subsystem !== patch.optionalHeader.subsystem)
    findings.report(
      'image.subsystem',
      `${base.optionalHeader.subsystem} in the base, ${patch.optionalHeader.subsystem} in the other image`,
    );
  const names = [base.exports?.name, base.file?.replace(/^.*[\\/]/, '')].map((name) => name?.toLowerCase());
  for (const { module } of patch.imports)
    if (names.includes(module.toLowerCase()))
      findings.report('image.importsBase', `it imports from ${module}`);
  if (base.optionalHeader.checkSum === 0) findings.report('base.checkSum', 'CheckSum is 0');
  if ((base.exDllCharacteristics & IMAGE_DLLCHARACTERISTICS_EX.HOTPATCH_COMPATIBLE) === 0)
    findings.report('base.notMarked', 'HOTPATCH_COMPATIBLE is not set');
}

/** Can functions and variables be paired at all, and how well? */
export function checkSymbols(base: Program, fixed: Program, findings: Findings): void {
  const unsized: string[] = [];
  for (const [which, program] of [
    ['the base', base],
    ['the fixed build', fixed],
  ] as const) {
    if (program.functions.length === 0)
      findings.report('symbols.missing', `${which} has no symbols of functions`);
    const names = variablesWithoutSize(program);
    if (names.length > 0)
      unsized.push(
        `${program.source.pdb === undefined ? '' : 'the PDB of '}${which} has no size of ${names}`,
      );
  }
  if (unsized.length > 0) findings.report('symbols.noSizes', unsized.join('; '));
}

const MOST_NAMED = 3;

/** `counter, table and 4 more`; empty when all sizes are known. */
function variablesWithoutSize({ variables }: Program): string {
  const found = variables.filter((v) => v.isMutable && !v.hasExactSize && v.size > 0);
  const rest = found.length - MOST_NAMED;
  const names = found.slice(0, MOST_NAMED).map(({ name }) => name);
  return names.join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

const SECTION_HEADER_SIZE = 40;

function spareHeaders(image: PeImage): boolean {
  const at = image.headers.sectionTableOffset + SECTION_HEADER_SIZE * image.sections.length;
  const room = image.bytes.subarray(
    at,
    Math.min(at + SECTION_HEADER_SIZE, image.optionalHeader.sizeOfHeaders),
  );
  return room.length === SECTION_HEADER_SIZE && room.every((byte) => byte === 0);
}
