import { type HotPatch, ModernEngine, Patch } from '../../engine/index.js';
import type { Lab } from '../../lab/index.js';
import type { ImageDomain, LoadedImage } from '../../loader/index.js';

const hex = (value: bigint | number): string => `0x${BigInt.asUintN(64, BigInt(value)).toString(16)}`;
const bytesText = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** What a memory-forensics tool should find in the images of a domain: modules with their HPATs and undo tables. */
export function describeModules(lab: Lab, domain: ImageDomain): object[] {
  return domain.images.map((image) => ({
    name: image.baseDllName,
    base: hex(image.dllBase),
    size: image.sizeOfImage,
    checkSum: image.checkSum,
    timeDateStamp: image.timeDateStamp,
    isPatchImage: image.loadReason === 'PatchImage',
    hotPatchState: image.hotPatchState,
    ...(image.activePatchImageBase === undefined
      ? {}
      : { activePatchImageBase: hex(image.activePatchImageBase) }),
    ...(image.hpat === undefined ? {} : { hpat: describeHpat(lab, image, image.hpat) }),
    ...(image.retpolinePage === undefined ? {} : { retpolinePage: hex(image.retpolinePage) }),
    undoTable: undoTable(lab, image),
  }));
}

function describeHpat(lab: Lab, image: LoadedImage, hpat: NonNullable<LoadedImage['hpat']>): object {
  const record = lab.engine instanceof ModernEngine ? lab.engine.record(image) : undefined;
  const used = hpat.committed ? (record?.usedSlots ?? 0) : 0;
  const { addressSpace, architecture } = image.domain;
  return {
    base: hex(hpat.base),
    size: hpat.reserveSize,
    layout: hpat.layout,
    committed: hpat.committed,
    slots: Array.from({ length: used }, (_, index) => {
      const data = hpat.dataSlot(index);
      const code = hpat.codeSlot(index);
      const bytes = addressSpace.read(data, 8);
      const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
      const target =
        architecture.pointerSize === 8 ? view.getBigUint64(0, true) : BigInt(view.getUint32(0, true));
      const owner = record?.slotOwner(index);
      return {
        index,
        ...(code === undefined ? {} : { code: hex(code) }),
        data: hex(data),
        ...(owner === undefined
          ? {}
          : {
              rva: owner,
              function: image.describe(image.address(owner)),
              inForce: isPatched(record, image, owner),
            }),
        target: hex(target),
        leadsTo: lab.describe(target),
      };
    }),
  };
}

function isPatched(
  record: ReturnType<ModernEngine['record']> | undefined,
  image: LoadedImage,
  rva: number,
): boolean {
  if (record === undefined || image.hpat === undefined) return false;
  const { addressSpace } = image.domain;
  const read = (address: bigint, length: number) => addressSpace.read(address, length);
  return record.form.classify(read, image.address(rva), image.hpat).kind === 'patched';
}

function undoTable(lab: Lab, image: LoadedImage): object[] {
  if (!(lab.engine instanceof ModernEngine)) return [];
  return [...lab.engine.record(image).undo].map(([index, { rva, entryBytes, paddingBytes }]) => ({
    index,
    rva,
    function: image.describe(image.address(rva)),
    entryBytes: bytesText(entryBytes),
    paddingBytes: bytesText(paddingBytes),
  }));
}

/** Every hotpatch that the engine knows, in force or not. */
export function describePatches(lab: Lab, domain: ImageDomain): object[] {
  const { engine } = lab;
  // While a patch is being applied the engine does not list it yet.
  const ofImages =
    engine instanceof ModernEngine
      ? domain.images.flatMap((image) => engine.record(image).applications.map(({ patch }) => patch))
      : [];
  const all = new Set<HotPatch>([...engine.patches, ...ofImages]);
  return [...all].map((patch) => ({
    name: patch.name,
    engine: patch.engine,
    state: patch.state,
    status: patch.status.name,
    functions: patch.functions,
    ...(patch instanceof Patch
      ? {
          sequenceNumber: patch.sequenceNumber,
          originalCheckSum: patch.originalCheckSum,
          originalTimeDateStamp: patch.originalTimeDateStamp,
        }
      : {}),
    places: patch.places.map(({ base, loaded }) => ({
      in: base.domain.name,
      base: base.baseDllName,
      baseAddress: hex(base.dllBase),
      patch: loaded.baseDllName,
      patchAddress: hex(loaded.dllBase),
    })),
  }));
}
