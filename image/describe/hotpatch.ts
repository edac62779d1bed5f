import {
  HOT_PATCH_BASE_FLAG,
  HOT_PATCH_INFO_FLAG,
  type HotPatchDirection,
  type HotPatchRecord,
  type HotPatchTable,
} from '../hotpatch/format.js';
import type { PeImage } from '../image.js';
import type { SymbolTable } from '../symbols/symbol-table.js';
import { flagNames, hex } from '../text.js';
import { hexOf } from './parts.js';

/** What {@link describeHotPatch} returns. */
export type HotPatchDescription = ReturnType<typeof describeHotPatch>;

/** A hotpatch table chunk by chunk; `symbol` names the side of each record that is in this image. */
export function describeHotPatch(image: PeImage, table: HotPatchTable, symbols: SymbolTable | undefined) {
  return {
    rva: image.loadConfig?.hotPatchTableOffset ?? 0,
    version: table.version,
    size: table.size,
    sequenceNumber: table.sequenceNumber,
    minSequenceNumber: table.minSequenceNumber,
    flags: table.flags,
    flagsNames: flagNames(table.flags, HOT_PATCH_INFO_FLAG),
    extraPatchSize: table.extraPatchSize,
    bufferOffset: table.bufferOffset,
    bases: table.bases.map((base) => ({
      sequenceNumber: base.sequenceNumber,
      flags: base.flags,
      flagsNames: flagNames(base.flags, HOT_PATCH_BASE_FLAG),
      originalTimeDateStamp: base.originalTimeDateStamp,
      originalCheckSum: base.originalCheckSum,
      ...(base.hashes === undefined
        ? {}
        : { hashes: { sha256: hexOf(base.hashes.sha256), sha1: hexOf(base.hashes.sha1) } }),
      patchTable: base.patchTable,
      bufferOffset: base.bufferOffset,
      chunks: base.chunks.map(({ direction, type, obligatory, records }) => ({
        direction,
        type,
        obligatory,
        records: records.map((record) => describeRecord(record, direction, symbols)),
      })),
    })),
  };
}

function describeRecord(
  record: HotPatchRecord,
  direction: HotPatchDirection,
  symbols: SymbolTable | undefined,
) {
  const symbol = symbolName(symbols, direction === 'backward' ? record.rva : record.target);
  return {
    rva: record.rva,
    target: record.target,
    originalBytes: hexOf(record.originalBytes),
    ...(symbol === undefined ? {} : { symbol }),
  };
}

/** `name`, or `name+0x12` inside a symbol of known size. */
export function symbolName(symbols: SymbolTable | undefined, rva: number): string | undefined {
  const found = symbols?.byAddress(rva);
  if (found === undefined) return undefined;
  const { symbol, offset } = found;
  if (offset !== 0 && offset >= (symbol.size ?? 0)) return undefined;
  return offset === 0 ? symbol.name : `${symbol.name}+${hex(offset)}`;
}
