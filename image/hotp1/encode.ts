import { ImageError } from '../error.js';
import type { PeImage } from '../image.js';
import { readImage } from '../image.js';
import { alignUp } from '../text.js';
import { IMAGE_SCN } from '../winnt.js';
import { appendSection } from '../write/append.js';
import {
  FIXUP_TYPE,
  HOTP1_HEADER_SIZE,
  HOTP1_SECTION,
  HOTP1_SIGNATURE,
  HOTP1_VERSION,
  HOTPATCH_HEADER,
  HOTPATCH_HOOK,
  HOTPATCH_VALIDATION,
  type Hotp1Fixup,
  MODULE_ID_VALUE_SIZE,
} from './format.js';

/** A validation, without the RVAs that the encoder chooses. */
export interface Hotp1ValidationInput {
  /** RVA in the hotpatch image, or the expected bytes, which then become part of the section. */
  readonly source: number | Uint8Array;
  /** RVA in the target of the bytes that are compared. */
  readonly targetRva: number;
  /** Default: as many as `source` has. */
  readonly byteCount?: number;
  /** Bits of HOTPATCH_VALIDATION's OptionFlags. Default 0. */
  readonly optionFlags?: number;
}

/** A hook, without the RVAs that the encoder chooses. */
export interface Hotp1HookInput {
  /** Value of HOOK_TYPE. */
  readonly type: number;
  /** Bits of HOOK_OPTION. Default 0. */
  readonly options?: number;
  /** RVA in the target: where bytes are changed. */
  readonly hookRva: number;
  /** RVA in the hotpatch image of the routine. */
  readonly hotpRva: number;
  /** Index of its own validation. */
  readonly validation?: number;
}

/** What a section says, without the RVAs that the encoder chooses. */
export interface Hotp1Input {
  /** Default: none. */
  readonly fixups?: readonly Hotp1Fixup[];
  /** Default: none. */
  readonly validations?: readonly Hotp1ValidationInput[];
  /** What is changed in the target. */
  readonly hooks: readonly Hotp1HookInput[];
  /** Base address of the hotpatch image that its fixups were made for. */
  readonly origHotpBaseAddress: bigint;
  /** Base address of the target that the fixups were made for. */
  readonly origTargetBaseAddress: bigint;
  /** File name of the target. */
  readonly targetName: string;
  /** Value of MODULE_ID_METHOD: how the target is told. */
  readonly moduleIdMethod: number;
  /** At most 24 bytes. */
  readonly moduleIdValue?: Uint8Array;
}

/**
 * Encodes a `.hotp1` section that will lie at an RVA: header, fixup regions, validations, hooks, expected bytes, name.
 * @throws ImageError when a value has no place in it
 */
export function encodeHotp1(input: Hotp1Input, rva: number): Uint8Array {
  const { validations = [], hooks } = input;
  const regions = encodeRegions(input.fixups ?? []);
  const regionsAt = HOTP1_HEADER_SIZE;
  const validationsAt = regionsAt + regions.bytes.length;
  const hooksAt = validationsAt + HOTPATCH_VALIDATION.size * validations.length;
  const blobsAt = hooksAt + HOTPATCH_HOOK.size * hooks.length;
  const blobs = validations.map(({ source }) => (typeof source === 'number' ? new Uint8Array() : source));
  const nameAt = blobs.reduce((sum, blob) => sum + blob.length, blobsAt);
  const name = new TextEncoder().encode(`${input.targetName}\0`);
  const bytes = new Uint8Array(alignUp(nameAt + name.length, 4));
  bytes.set(regions.bytes, regionsAt);
  bytes.set(name, nameAt);

  let blobAt = blobsAt;
  for (const [index, validation] of validations.entries()) {
    const blob = blobs[index] ?? new Uint8Array();
    const { source, targetRva, byteCount = blob.length, optionFlags = 0 } = validation;
    HOTPATCH_VALIDATION.write(bytes, validationsAt + HOTPATCH_VALIDATION.size * index, {
      sourceRva: typeof source === 'number' ? source : rva + blobAt,
      targetRva,
      byteCount: word(byteCount, `validation ${index}, byteCount`),
      optionFlags,
    });
    bytes.set(blob, blobAt);
    blobAt += blob.length;
  }
  for (const [index, { type, options = 0, hookRva, hotpRva, validation }] of hooks.entries())
    HOTPATCH_HOOK.write(bytes, hooksAt + HOTPATCH_HOOK.size * index, {
      hookType: word(type, `hook ${index}, type`),
      hookOptions: word(options, `hook ${index}, options`),
      hookRva,
      hotpRva,
      validationRva:
        validation === undefined ? 0 : rva + validationsAt + HOTPATCH_VALIDATION.size * validation,
    });
  HOTPATCH_HEADER.write(bytes, 0, {
    signature: HOTP1_SIGNATURE,
    version: HOTP1_VERSION,
    fixupRgnCount: regions.count,
    fixupRgnRva: regions.count === 0 ? 0 : rva + regionsAt,
    validationCount: validations.length,
    validationArrayRva: validations.length === 0 ? 0 : rva + validationsAt,
    hookCount: hooks.length,
    hookArrayRva: hooks.length === 0 ? 0 : rva + hooksAt,
    origHotpBaseAddress: input.origHotpBaseAddress,
    origTargetBaseAddress: input.origTargetBaseAddress,
    targetNameRva: rva + nameAt,
    moduleIdMethod: input.moduleIdMethod,
  });
  const { moduleIdValue = new Uint8Array() } = input;
  if (moduleIdValue.length > MODULE_ID_VALUE_SIZE)
    throw unencodable(
      'moduleIdValue',
      `${moduleIdValue.length} bytes, the union has ${MODULE_ID_VALUE_SIZE}`,
    );
  bytes.set(moduleIdValue, HOTPATCH_HEADER.size);
  return bytes;
}

/** Appends the section to a finished image. @returns the file of the hotpatch image */
export function appendHotp1Section(
  image: PeImage,
  input: Hotp1Input | ((rva: number) => Hotp1Input),
): PeImage {
  const contents = (rva: number) => encodeHotp1(typeof input === 'function' ? input(rva) : input, rva);
  const append = (rva: number) =>
    appendSection(image, {
      name: HOTP1_SECTION,
      data: contents(rva),
      characteristics: IMAGE_SCN.CNT_INITIALIZED_DATA | IMAGE_SCN.MEM_READ,
    });
  // Where it lies does not depend on what is in it.
  const { bytes } = append(append(0x1000).rva);
  return readImage(bytes, image.file === undefined ? {} : { file: image.file });
}

/** HOTPATCH_FIXUP_REGIONs, one for each page that has fixups, with an even count of entries. */
function encodeRegions(fixups: readonly Hotp1Fixup[]): { bytes: Uint8Array; count: number } {
  const pages = new Map<number, Hotp1Fixup[]>();
  for (const fixup of fixups.toSorted((a, b) => a.rva - b.rva)) {
    const page = fixup.rva >>> 12;
    pages.set(page, [...(pages.get(page) ?? []), fixup]);
  }
  const parts = [...pages].map(([page, list]) => {
    const count = list.length + (list.length % 2);
    if (count > MOST_FIXUPS) throw unencodable(`page 0x${page.toString(16)}`, `${list.length} fixups`);
    const view = new DataView(new ArrayBuffer(4 + 2 * count));
    view.setUint32(0, (page | (count << 20)) >>> 0, true);
    for (const [index, { rva, type }] of list.entries())
      view.setUint16(4 + 2 * index, (rva & 0xfff) | (type << 12), true);
    if (count > list.length) view.setUint16(2 + 2 * count, FIXUP_TYPE.None << 12, true);
    return new Uint8Array(view.buffer);
  });
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return { bytes, count: parts.length };
}

/** Count:12 of HOTPATCH_FIXUP_REGION, and even. */
const MOST_FIXUPS = 0xffe;

function word(value: number, place: string): number {
  if (Number.isInteger(value) && value >= 0 && value <= 0xffff) return value;
  throw unencodable(place, `${value} is not an unsigned 16-bit number`);
}

function unencodable(place: string, message: string): ImageError {
  return new ImageError({
    rule: 'hotp1.encode',
    status: 'STATUS_INVALID_PARAMETER',
    place: `.hotp1 input, ${place}`,
    message,
  });
}
