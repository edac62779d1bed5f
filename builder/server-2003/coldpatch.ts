import { x64Encoder } from '../../cpu/index.js';
import {
  appendSection,
  baseRelocations,
  COLDPATCH_SECTION,
  type ColdpatchPlace,
  encodeColdpatch,
  entriesOf,
  FIXUP_SIZE,
  fixupTypeName,
  HOOK_TYPE,
  type Hotp1,
  hookPlace,
  hookSize,
  IMAGE_SCN,
  ImageError,
  isX64Entry,
  originalBytes,
  type PeImage,
  peHeaderHash2,
  type RelocationType,
  readColdpatch,
  readHotp1,
  readImage,
  readUnwindInfoX64,
  setDirectory,
  shortJumpTarget,
  validateHotp1,
} from '../../image/index.js';

const NOT_APPENDED = /^\.(reloc|hotp1|rsrc|pdata)$/;
const READ_ONLY = IMAGE_SCN.CNT_INITIALIZED_DATA | IMAGE_SCN.MEM_READ;

/**
 * The coldpatch of a hotpatch: the old file with the fixed functions appended, and jumps to them from the flawed ones, so
 * that disk and memory look alike (TechNet, "Hotpatch Package Structure", cc782258). For x86 as documented; x64 is
 * modelled, as are the name of what is appended and the section that says which file it was made of. The jumps are near
 * ones, in the paddings and at the entries that the hotpatch's own hooks take. The old file may be a coldpatch itself: what
 * is made of it passes for the same file.
 * @throws ImageError when the file cannot take what is appended
 */
export function buildColdpatch(base: PeImage, hotpatch: PeImage): Uint8Array {
  const hotp1 = readHotp1(hotpatch);
  if (hotp1 === undefined) throw refuse(hotpatch, 'the hotpatch has no section .hotp1');
  const misfit = validateHotp1(hotpatch, base).find(({ severity }) => severity === 'error');
  if (misfit !== undefined) throw refuse(hotpatch, `${misfit.place}: ${misfit.message} (${misfit.rule})`);
  const name = base.file === undefined ? {} : { file: base.file };
  const distance =
    appendedAt(base) - Math.min(...hotpatch.sections.map(({ virtualAddress }) => virtualAddress));
  const moved = moveTo(hotpatch, hotp1, base, distance);
  let image = readImage(withJumps(base, hotp1, distance), name);
  for (const section of hotpatch.sections) {
    if (NOT_APPENDED.test(section.name)) continue;
    const length = Math.max(section.virtualSize, section.sizeInMemory);
    const { bytes, rva } = appendSection(image, {
      name: `${section.name.slice(0, 5)}_CO`,
      data: moved.subarray(section.virtualAddress, section.virtualAddress + length),
      characteristics: section.characteristics,
    });
    if (rva !== section.virtualAddress + distance)
      throw refuse(hotpatch, `${section.name} would lie at another distance from the other sections`);
    image = readImage(bytes, name);
  }
  image = withDirectory(image, 'baseReloc', '.relo_CO', relocationsOf(base, hotpatch, hotp1, distance));
  const entries = functionTableOf(base, hotpatch, distance);
  if (entries.length > 0) image = withDirectory(image, 'exception', '.pdat_CO', entries);
  const old = readColdpatch(base);
  const added = hotp1.hooks.flatMap((hook) => {
    const place = hookPlace(hotp1, hook);
    if (hook.type === HOOK_TYPE.None || (place !== 'entry' && place !== 'padding')) return [];
    const before = (old?.places ?? []).filter(({ rva }) => rva === hook.hookRva);
    const size = Math.max(hookSize(hook) ?? 0, ...before.map(({ original: { length } }) => length));
    const bytes = Uint8Array.from(base.read(hook.hookRva, size));
    const original = originalBytes(base, hook.hookRva, bytes);
    return entriesOf(hotp1, hook).map((entry) => ({ rva: hook.hookRva, entry, original }));
  });
  const isOver = ({ rva }: ColdpatchPlace) => added.some((place) => place.rva === rva);
  const data = encodeColdpatch({
    checkSum: old?.checkSum ?? base.optionalHeader.checkSum,
    headerHash: old?.headerHash ?? peHeaderHash2(base),
    places: [...(old?.places ?? []).filter((place) => !isOver(place)), ...added],
  });
  return appendSection(image, { name: COLDPATCH_SECTION, data, characteristics: READ_ONLY }).bytes;
}

function appendedAt({ sections, optionalHeader: { sectionAlignment, sizeOfHeaders } }: PeImage): number {
  const end = sections.reduce(
    (most, { virtualAddress, virtualSize, sizeInMemory }) =>
      Math.max(most, virtualAddress + Math.max(virtualSize, sizeInMemory)),
    sizeOfHeaders,
  );
  return Math.ceil(end / sectionAlignment) * sectionAlignment;
}

/** The old file with its jumps: what hooks do in memory. */
function withJumps(base: PeImage, hotp1: Hotp1, distance: number): Uint8Array {
  const bytes = base.bytes.slice();
  const { imageBase } = base.optionalHeader;
  for (const hook of hotp1.hooks) {
    if (hook.type === HOOK_TYPE.None || hook.type === HOOK_TYPE.AMD64_CNT) continue;
    const offset = base.rvaToOffset(hook.hookRva);
    const size = hookSize(hook) ?? 0;
    if (offset === undefined || offset + size > bytes.length)
      throw refuse(base, `RVA 0x${hook.hookRva.toString(16)} is not in the file`);
    const at = BigInt(hook.hookRva);
    const routine = BigInt(hook.hotpRva + distance);
    if (hookPlace(hotp1, hook) === 'data') {
      const view = new DataView(bytes.buffer, offset);
      if (base.pointerSize === 8) view.setBigUint64(0, imageBase + routine, true);
      else view.setUint32(0, Number(imageBase + routine), true);
      continue;
    }
    const isShort = hook.type === HOOK_TYPE.X86_JMP2B;
    bytes.fill(0xcc, offset, offset + size);
    bytes.set(
      isShort ? x64Encoder.shortJump(at, BigInt(shortJumpTarget(hook))) : x64Encoder.nearJump(at, routine),
      offset,
    );
  }
  return bytes;
}

/** The hotpatch's memory, as if it lay at a distance behind the base, with its fixups applied. */
function moveTo(hotpatch: PeImage, hotp1: Hotp1, base: PeImage, distance: number): Uint8Array {
  const memory = Uint8Array.from(hotpatch.read(0, hotpatch.optionalHeader.sizeOfImage));
  const view = new DataView(memory.buffer, memory.byteOffset);
  const newBase = base.optionalHeader.imageBase + BigInt(distance);
  const targetDelta = base.optionalHeader.imageBase - hotp1.origTargetBaseAddress;
  const ownDelta = newBase - hotp1.origHotpBaseAddress;
  const add = (rva: number, size: number, delta: bigint) => {
    if (size === 8) view.setBigUint64(rva, BigInt.asUintN(64, view.getBigUint64(rva, true) + delta), true);
    else view.setUint32(rva, Number(BigInt.asUintN(32, BigInt(view.getUint32(rva, true)) + delta)), true);
  };
  for (const { rva, type } of hotpatch.relocations)
    if (type === 'HIGHLOW' || type === 'DIR64')
      add(rva, type === 'DIR64' ? 8 : 4, newBase - hotpatch.optionalHeader.imageBase);
  for (const { fixups } of hotp1.fixupRegions)
    for (const { rva, type } of fixups) {
      const kind = fixupTypeName(type) ?? 'None';
      const isRelative = kind === 'PC32' || kind === 'PC64';
      add(rva, FIXUP_SIZE[kind], targetDelta - (isRelative ? ownDelta : 0n));
    }
  return memory;
}

/** Those of the old file, those of what is appended, and addresses of the old file in it. */
function relocationsOf(base: PeImage, hotpatch: PeImage, hotp1: Hotp1, distance: number): Uint8Array {
  const type: RelocationType = base.pointerSize === 8 ? 'DIR64' : 'HIGHLOW';
  const isAppended = (rva: number) => {
    const section = hotpatch.sectionAt(rva);
    return section !== undefined && !NOT_APPENDED.test(section.name);
  };
  const absolute = hotp1.fixupRegions
    .flatMap(({ fixups }) => fixups)
    .filter((fixup) => ['VA32', 'VA64'].includes(fixupTypeName(fixup.type) ?? ''));
  return baseRelocations(
    [
      ...base.relocations,
      ...[...hotpatch.relocations, ...absolute.map(({ rva }) => ({ rva, type }))]
        .filter(({ rva }) => isAppended(rva))
        .map((one) => ({ rva: one.rva + distance, type: one.type })),
    ].filter((one): one is { rva: number; type: RelocationType } => one.type === type),
  );
}

/** Empty on x86, which has none. */
function functionTableOf(base: PeImage, hotpatch: PeImage, distance: number): Uint8Array {
  const appended = hotpatch.functionTable.filter(isX64Entry).map((entry) => {
    if (readUnwindInfoX64(hotpatch, entry).flags !== 0)
      throw refuse(
        hotpatch,
        `the function at RVA 0x${entry.beginAddress.toString(16)} has an exception handler or chained unwind data, which are not moved`,
      );
    return {
      beginAddress: entry.beginAddress + distance,
      endAddress: entry.endAddress + distance,
      unwindInfoAddress: entry.unwindInfoAddress + distance,
    };
  });
  const entries = [...base.functionTable.filter(isX64Entry), ...appended];
  const words = entries.flatMap(({ beginAddress, endAddress, unwindInfoAddress }) => [
    beginAddress,
    endAddress,
    unwindInfoAddress,
  ]);
  return new Uint8Array(Uint32Array.from(words).buffer);
}

function withDirectory(
  image: PeImage,
  directory: 'baseReloc' | 'exception',
  name: string,
  data: Uint8Array,
): PeImage {
  const { bytes, rva } = appendSection(image, { name, data, characteristics: READ_ONLY });
  const file = image.file === undefined ? {} : { file: image.file };
  return readImage(setDirectory(readImage(bytes, file), directory, rva, data.length), file);
}

function refuse({ file }: PeImage, message: string): ImageError {
  return new ImageError({ rule: 'write.coldpatch', place: 'coldpatch', message, file });
}
