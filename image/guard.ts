import type { PeImage } from './image.js';
import type { LoadConfig } from './load-config.js';
import { hex } from './text.js';
import {
  IMAGE_GUARD_CF_FUNCTION_TABLE_SIZE_MASK,
  IMAGE_GUARD_CF_FUNCTION_TABLE_SIZE_SHIFT,
  type MachineName,
} from './winnt.js';

/** An entry of one of the tables of Control Flow Guard. */
export interface GuardEntry {
  /** RVA of the function or slot. */
  readonly rva: number;
  /** Bits of IMAGE_GUARD_FLAG: the first of the extra bytes; 0 without extra bytes. */
  readonly flags: number;
  /** The extra bytes of the entry, as many as `extraBytes` of the table says. */
  readonly extra: Uint8Array;
}

/** The tables of Control Flow Guard. */
export interface GuardTables {
  /** Bytes behind each RVA of the tables: GuardFlags bits 28 to 31. */
  readonly extraBytes: number;
  /** GuardCFFunctionTable: the valid indirect call targets. */
  readonly functions: readonly GuardEntry[];
  /** GuardAddressTakenIatEntryTable: import address table slots whose address is taken. */
  readonly addressTakenIatEntries: readonly GuardEntry[];
  /** GuardLongJumpTargetTable: where longjmp may go. */
  readonly longJumpTargets: readonly GuardEntry[];
  /** GuardEHContinuationTable: where exceptions may go on. */
  readonly ehContinuations: readonly GuardEntry[];
  /** SEHandlerTable, x86 only: RVAs of the registered exception handlers. */
  readonly seHandlers: readonly number[];
}

const NO_BYTES = new Uint8Array(0);

export function readGuardTables(image: PeImage): GuardTables {
  const config = image.loadConfig;
  if (config === undefined) {
    return {
      extraBytes: 0,
      functions: [],
      addressTakenIatEntries: [],
      longJumpTargets: [],
      ehContinuations: [],
      seHandlers: [],
    };
  }
  const extraBytes =
    (config.guardFlags & IMAGE_GUARD_CF_FUNCTION_TABLE_SIZE_MASK) >>>
    IMAGE_GUARD_CF_FUNCTION_TABLE_SIZE_SHIFT;
  const table = (name: string, address: bigint, count: bigint): GuardEntry[] =>
    readTable(image, name, address, count, extraBytes);
  return {
    extraBytes,
    functions: table('GuardCFFunctionTable', config.guardCFFunctionTable, config.guardCFFunctionCount),
    addressTakenIatEntries: table(
      'GuardAddressTakenIatEntryTable',
      config.guardAddressTakenIatEntryTable,
      config.guardAddressTakenIatEntryCount,
    ),
    longJumpTargets: table(
      'GuardLongJumpTargetTable',
      config.guardLongJumpTargetTable,
      config.guardLongJumpTargetCount,
    ),
    ehContinuations: table(
      'GuardEHContinuationTable',
      config.guardEHContinuationTable,
      config.guardEHContinuationCount,
    ),
    seHandlers: seHandlers(image, config),
  };
}

function readTable(
  image: PeImage,
  name: string,
  address: bigint,
  count: bigint,
  extraBytes: number,
): GuardEntry[] {
  if (address === 0n || count === 0n) return [];
  const stride = 4 + extraBytes;
  const rva = image.vaToRva(address, `load config, ${name}`);
  const entries = entryCount(image, name, count, stride);
  const reader = image.readerAt(rva, entries * stride, name);
  const table: GuardEntry[] = [];
  for (let at = 0; at < reader.length; at += stride) {
    table.push({
      rva: reader.u32At(at),
      flags: extraBytes === 0 ? 0 : reader.u8At(at + 4),
      extra: extraBytes === 0 ? NO_BYTES : reader.bytesAt(at + 4, extraBytes),
    });
  }
  return table;
}

/** Has the machine exception handlers that the image must list: on x86 they are found on the stack (/SAFESEH)? */
const HAS_SAFE_HANDLERS: Readonly<Record<MachineName, boolean>> = {
  UNKNOWN: false,
  I386: true,
  ARMNT: false,
  AMD64: false,
  ARM64EC: false,
  ARM64X: false,
  ARM64: false,
};

function seHandlers(image: PeImage, config: LoadConfig): number[] {
  if (!HAS_SAFE_HANDLERS[image.machine] || config.seHandlerTable === 0n || config.seHandlerCount === 0n)
    return [];
  const name = 'SEHandlerTable';
  const count = entryCount(image, name, config.seHandlerCount, 4);
  const reader = image.readerAt(
    image.vaToRva(config.seHandlerTable, `load config, ${name}`),
    4 * count,
    name,
  );
  return Array.from({ length: count }, (_, i) => reader.u32At(4 * i));
}

function entryCount(image: PeImage, name: string, count: bigint, stride: number): number {
  if (count * BigInt(stride) > BigInt(image.bytes.length)) {
    throw image.error('guard.count', name, `${hex(count)} entries do not fit into the file`);
  }
  return Number(count);
}
