import { INSTRUCTION_ALIGNMENT } from '../architecture.js';
import { FUNCTION_ENTRY_SIZE, PADDING_NEEDED } from '../entry.js';
import type { PeImage } from '../image.js';
import { isExecutable } from '../sections.js';
import { hex } from '../text.js';
import { type Extent, recordExtent } from './extent.js';
import { type Finding, finding } from './finding.js';
import {
  type HotPatchBase,
  type HotPatchChunk,
  type HotPatchDirection,
  type HotPatchRecord,
  hasSourceRva,
  hasTargetRva,
} from './format.js';

const LOWEST_FUNCTION_RVA = 0x10;
const CALL_TARGET_ALIGNMENT = 16;

/** The rules of a base's chunk stream; those about the base image only when it is given. */
export function validateChunks(
  patch: PeImage,
  base: HotPatchBase,
  image: PeImage | undefined,
  place: string,
): Finding[] {
  const findings: Finding[] = [];
  for (const [i, chunk] of base.chunks.entries()) {
    const where = `${place}, chunk ${i}`;
    findings.push(...validateChunk(chunk, where));
    for (const [j, record] of chunk.records.entries()) {
      findings.push(...validateRecord(patch, image, chunk, record, `${where}, record ${j}`));
    }
  }
  findings.push(...overlaps(patch, base, place), ...pingPong(patch, base, place));
  return findings;
}

function validateChunk(chunk: HotPatchChunk, place: string): Finding[] {
  const findings: Finding[] = [];
  if (chunk.reserved !== 0) findings.push(finding('chunk.reserved', place, hex(chunk.reserved)));
  if (chunk.obligatory) findings.push(finding('chunk.obligatory', place, chunk.type));
  if (chunk.direction === 'forward' && chunk.type !== 'FUNCTION') {
    findings.push(
      finding(chunk.type === 'INDIRECT' ? 'chunk.forwardIndirect' : 'chunk.forward', place, chunk.type),
    );
  }
  return findings;
}

function validateRecord(
  patch: PeImage,
  base: PeImage | undefined,
  { direction, type }: HotPatchChunk,
  record: HotPatchRecord,
  place: string,
): Finding[] {
  const { rva, target } = record;
  const { architecture } = patch;
  const modified = direction === 'forward' ? base : patch;
  const findings: Finding[] = [];
  const report = (rule: Parameters<typeof finding>[0], detail: string) =>
    findings.push(finding(rule, place, detail, rva));

  if (type === 'DYNAMIC_VALUE' && target === 0xffffffff) report('record.dynamicValue', hex(target));
  if (hasTargetRva(type)) {
    // Call targets name the image whose bitmap they change, in both dwords; every other type names the other image.
    const referred =
      type === 'CALL_TARGET' || type === 'NO_CALL_TARGET' ? modified : direction === 'forward' ? patch : base;
    if (referred !== undefined && target + patch.pointerSize > referred.optionalHeader.sizeOfImage) {
      report('record.target', `${hex(target)}, SizeOfImage ${hex(referred.optionalHeader.sizeOfImage)}`);
    } else if (referred !== undefined && type === 'FUNCTION' && !isCode(referred, target)) {
      report('record.targetCode', hex(target));
    } else if (referred !== undefined && type === 'INDIRECT' && !isInOneSection(referred, target)) {
      report('record.target', `${hex(target)}, where the base has no section to read from`);
    }
  }
  const marksCallTarget = type === 'CALL_TARGET' || type === 'NO_CALL_TARGET';
  if (marksCallTarget && rva % CALL_TARGET_ALIGNMENT !== 0) report('record.callTarget', hex(rva));
  if (type === 'NO_CALL_TARGET' && rva >= patch.optionalHeader.sizeOfImage)
    report('record.extent', `${hex(rva)}, SizeOfImage ${hex(patch.optionalHeader.sizeOfImage)}`);
  if (type === 'FUNCTION') {
    if (
      rva < LOWEST_FUNCTION_RVA ||
      (modified !== undefined && rva + 2 > modified.optionalHeader.sizeOfImage)
    ) {
      report('record.function', hex(rva));
      return findings;
    }
    const alignment = INSTRUCTION_ALIGNMENT[architecture];
    if (rva % alignment !== 0 || target % alignment !== 0) {
      report('record.alignment', `${hex(rva)} to ${hex(target)}`);
    }
  }
  if (modified === undefined || !hasSourceRva(type)) return findings;

  const extent = recordExtent(architecture, type, rva);
  if (extent === undefined) return findings;
  if (!fits(modified, extent)) {
    report('record.extent', `${hex(extent.rva)}..${hex(extent.rva + extent.length)}`);
    return findings;
  }
  const section = modified.sectionAt(extent.rva);
  if (section === undefined || section !== modified.sectionAt(extent.rva + extent.length - 1)) {
    report('record.section', `${hex(extent.rva)}..${hex(extent.rva + extent.length)}`);
  } else if (type === 'FUNCTION') {
    if (!isExecutable(section)) report('record.code', `${hex(rva)} lies in ${section.name}`);
    else findings.push(...originalBytes(modified, record, place));
  }
  return findings;
}

/** Windows compares the bytes that the entry's jump replaces, not all that the record has room for. */
function originalBytes(
  image: PeImage,
  { rva, originalBytes: expected }: HotPatchRecord,
  place: string,
): Finding[] {
  const length = Math.min(expected.length, FUNCTION_ENTRY_SIZE[image.architecture]);
  if (length === 0) return [];
  const [relocation] = image.relocationsIn(rva, length);
  if (relocation !== undefined) {
    return [finding('record.relocation', place, `${relocation.type} at ${hex(relocation.rva)}`, rva)];
  }
  const actual = image.read(rva, length);
  if (actual.every((byte, i) => byte === expected[i])) return [];
  const text = (bytes: Uint8Array) =>
    Array.from(bytes.subarray(0, length), (b) => hex(b, 2).slice(2)).join(' ');
  return [
    finding('record.originalBytes', place, `${text(actual)} at ${hex(rva)}, expected ${text(expected)}`, rva),
  ];
}

function isCode(image: PeImage, rva: number): boolean {
  const section = image.sectionAt(rva);
  return section !== undefined && isExecutable(section);
}

function isInOneSection(image: PeImage, rva: number): boolean {
  const section = image.sectionAt(rva);
  return section !== undefined && section === image.sectionAt(rva + image.pointerSize - 1);
}

function fits(image: PeImage, { rva, length }: Extent): boolean {
  return rva >= 0 && rva + length <= image.optionalHeader.sizeOfImage;
}

const STORING = new Set(['FUNCTION', 'ABSOLUTE', 'REL32', 'INDIRECT', 'DYNAMIC_VALUE']);

/** Two records that store into the same bytes of one image. */
function overlaps(patch: PeImage, base: HotPatchBase, place: string): Finding[] {
  const findings: Finding[] = [];
  for (const direction of ['forward', 'backward'] satisfies HotPatchDirection[]) {
    const stores: { extent: Extent; place: string; rva: number }[] = [];
    for (const [i, chunk] of base.chunks.entries()) {
      if (chunk.direction !== direction || !STORING.has(chunk.type)) continue;
      for (const [j, { rva }] of chunk.records.entries()) {
        const extent = recordExtent(patch.architecture, chunk.type, rva);
        if (extent !== undefined) stores.push({ extent, rva, place: `${place}, chunk ${i}, record ${j}` });
      }
    }
    stores.sort((a, b) => a.extent.rva - b.extent.rva);
    for (const [i, store] of stores.entries()) {
      const before = stores[i - 1];
      if (before !== undefined && before.extent.rva + before.extent.length > store.extent.rva) {
        findings.push(
          finding('record.duplicate', store.place, `${hex(store.rva)}, also in ${before.place}`, store.rva),
        );
      }
    }
  }
  return findings;
}

/**
 * A call from the patch image to g would come back to the patch image for ever: at the entry of g, or by the jump that the
 * padding before it gets.
 */
function pingPong({ architecture }: PeImage, base: HotPatchBase, place: string): Finding[] {
  const padding = PADDING_NEEDED[architecture];
  const redirected = base.chunks
    .filter((chunk) => chunk.direction === 'forward' && chunk.type === 'FUNCTION')
    .flatMap((chunk) => chunk.records.map(({ rva }) => rva));
  const entries = new Set(redirected);
  const before = (target: number) => Array.from({ length: padding + 1 }, (_, distance) => target + distance);
  return base.chunks.flatMap((chunk, i) =>
    chunk.direction === 'backward' && chunk.type === 'FUNCTION'
      ? chunk.records.flatMap(({ rva, target }, j) => {
          const entry = before(target).find((candidate) => entries.has(candidate));
          if (entry === undefined) return [];
          const where = `${place}, chunk ${i}, record ${j}`;
          return [
            finding('record.pingPong', where, `base function ${hex(entry)}, target ${hex(target)}`, rva),
          ];
        })
      : [],
  );
}
