import {
  type DebugEntry,
  type GuardEntry,
  IMAGE_DLLCHARACTERISTICS_EX,
  IMAGE_GUARD,
  type ImportFunction,
  type LoadConfigField,
  type PeImage,
} from '../../../image/index.js';
import { H, hexDump, type Lines, time } from './text.js';

const symbol = (entry: ImportFunction) =>
  entry.name === undefined ? ` (${entry.ordinal})` : `${entry.name} (${entry.hint})`;

export function writeImports(out: Lines, image: PeImage): void {
  for (const module of image.imports) {
    out.group('Import', () => {
      out.field('Name', module.module);
      out.hex('ImportLookupTableRVA', module.originalFirstThunk);
      out.hex('ImportAddressTableRVA', module.firstThunk);
      for (const entry of module.functions) out.field('Symbol', symbol(entry));
    });
  }
  for (const module of image.delayImports) {
    out.group('DelayImport', () => {
      out.field('Name', module.module);
      out.hex('Attributes', module.attributes);
      out.hex('ModuleHandle', module.moduleHandleRva);
      out.hex('ImportAddressTable', module.importAddressTableRva);
      out.hex('ImportNameTable', module.importNameTableRva);
      out.hex('BoundDelayImportTable', module.boundImportAddressTableRva);
      out.hex('UnloadDelayImportTable', module.unloadInformationTableRva);
      for (const entry of module.functions) {
        out.group('Import', () => {
          out.field('Symbol', symbol(entry));
          out.hex('Address', image.pointerAt(entry.iatRva, 'delay import address table'));
        });
      }
    });
  }
}

/** llvm-readobj prints each ordinal once, with one of its names; unused ordinals with RVA 0. */
export function writeExports(out: Lines, image: PeImage): void {
  const { exports } = image;
  if (exports === undefined) return;
  const byOrdinal = new Map<number, (typeof exports.functions)[number]>();
  for (const entry of exports.functions)
    if (!byOrdinal.has(entry.ordinal)) byOrdinal.set(entry.ordinal, entry);
  const last = Math.max(exports.ordinalBase - 1, ...byOrdinal.keys());
  for (let ordinal = exports.ordinalBase; ordinal <= last; ordinal++) {
    const entry = byOrdinal.get(ordinal);
    out.group('Export', () => {
      out.field('Ordinal', ordinal);
      out.field('Name', entry?.name ?? '');
      if (entry?.forwarder !== undefined) out.field('ForwardedTo', entry.forwarder);
      else out.hex('RVA', entry?.rva ?? 0);
    });
  }
}

const relocationNames: Readonly<Record<number, string>> = {
  0: 'ABSOLUTE',
  1: 'HIGH',
  2: 'LOW',
  3: 'HIGHLOW',
  4: 'HIGHADJ',
  10: 'DIR64',
};

export function writeBaseRelocations(out: Lines, image: PeImage): void {
  out.list('BaseReloc', () => {
    for (const block of image.relocationBlocks) {
      for (const entry of block.entries) {
        out.group('Entry', () => {
          out.field('Type', relocationNames[entry >>> 12] ?? 'unknown');
          out.hex('Address', block.virtualAddress + (entry & 0xfff));
        });
      }
    }
  });
}

const debugTypes: Readonly<Record<string, string>> = {
  UNKNOWN: 'Unknown',
  COFF: 'COFF',
  CODEVIEW: 'CodeView',
  VC_FEATURE: 'VCFeature',
  POGO: 'POGO',
  ILTCG: 'ILTCG',
  MPX: 'MPX',
  REPRO: 'Repro',
  EX_DLLCHARACTERISTICS: 'ExtendedDLLCharacteristics',
};

const EX_FLAGS = Object.fromEntries(
  Object.entries(IMAGE_DLLCHARACTERISTICS_EX).map(([name, value]) => [
    `IMAGE_DLL_CHARACTERISTICS_EX_${name}`,
    value,
  ]),
);

export function writeDebugDirectory(out: Lines, image: PeImage): void {
  out.list('DebugDirectory', () => {
    for (const entry of image.debug) out.group('DebugEntry', () => writeDebugEntry(out, entry));
  });
}

function writeDebugEntry(out: Lines, entry: DebugEntry): void {
  out.hex('Characteristics', entry.characteristics);
  out.field('TimeDateStamp', time(entry.timeDateStamp));
  out.hex('MajorVersion', entry.majorVersion);
  out.hex('MinorVersion', entry.minorVersion);
  out.field('Type', `${debugTypes[entry.type]} (${H(entry.typeValue)})`);
  out.hex('SizeOfData', entry.sizeOfData);
  out.hex('AddressOfRawData', entry.addressOfRawData);
  out.hex('PointerToRawData', entry.pointerToRawData);
  const { codeView } = entry;
  if (codeView !== undefined) {
    out.group('PDBInfo', () => {
      out.hex('PDBSignature', 0x53445352);
      out.field('PDBGUID', `{${codeView.guid}}`);
      out.field('PDBAge', codeView.age);
      out.field('PDBFileName', codeView.pdbFileName);
    });
    return;
  }
  if (entry.exDllCharacteristics !== undefined) {
    out.flags('ExtendedCharacteristics', entry.exDllCharacteristics, EX_FLAGS);
  }
  if (entry.sizeOfData === 0) return;
  out.line('RawData (');
  for (const line of hexDump(entry.data)) out.line(`  ${line}`);
  out.line(')');
}

type Format = 'hex' | 'decimal' | 'time' | 'guardFlags';
const loadConfigFields: readonly (readonly [string, LoadConfigField, Format?])[] = [
  ['Size', 'size'],
  ['TimeDateStamp', 'timeDateStamp', 'time'],
  ['MajorVersion', 'majorVersion'],
  ['MinorVersion', 'minorVersion'],
  ['GlobalFlagsClear', 'globalFlagsClear'],
  ['GlobalFlagsSet', 'globalFlagsSet'],
  ['CriticalSectionDefaultTimeout', 'criticalSectionDefaultTimeout'],
  ['DeCommitFreeBlockThreshold', 'deCommitFreeBlockThreshold'],
  ['DeCommitTotalFreeThreshold', 'deCommitTotalFreeThreshold'],
  ['LockPrefixTable', 'lockPrefixTable'],
  ['MaximumAllocationSize', 'maximumAllocationSize'],
  ['VirtualMemoryThreshold', 'virtualMemoryThreshold'],
  ['ProcessHeapFlags', 'processHeapFlags'],
  ['ProcessAffinityMask', 'processAffinityMask'],
  ['CSDVersion', 'cSDVersion'],
  ['DependentLoadFlags', 'dependentLoadFlags'],
  ['EditList', 'editList'],
  ['SecurityCookie', 'securityCookie'],
  ['SEHandlerTable', 'seHandlerTable'],
  ['SEHandlerCount', 'seHandlerCount', 'decimal'],
  ['GuardCFCheckFunction', 'guardCFCheckFunctionPointer'],
  ['GuardCFCheckDispatch', 'guardCFDispatchFunctionPointer'],
  ['GuardCFFunctionTable', 'guardCFFunctionTable'],
  ['GuardCFFunctionCount', 'guardCFFunctionCount', 'decimal'],
  ['GuardFlags', 'guardFlags', 'guardFlags'],
  ['GuardAddressTakenIatEntryTable', 'guardAddressTakenIatEntryTable'],
  ['GuardAddressTakenIatEntryCount', 'guardAddressTakenIatEntryCount', 'decimal'],
  ['GuardLongJumpTargetTable', 'guardLongJumpTargetTable'],
  ['GuardLongJumpTargetCount', 'guardLongJumpTargetCount', 'decimal'],
  ['DynamicValueRelocTable', 'dynamicValueRelocTable'],
  ['CHPEMetadataPointer', 'cHPEMetadataPointer'],
  ['GuardRFFailureRoutine', 'guardRFFailureRoutine'],
  ['GuardRFFailureRoutineFunctionPointer', 'guardRFFailureRoutineFunctionPointer'],
  ['DynamicValueRelocTableOffset', 'dynamicValueRelocTableOffset'],
  ['DynamicValueRelocTableSection', 'dynamicValueRelocTableSection', 'decimal'],
  ['GuardRFVerifyStackPointerFunctionPointer', 'guardRFVerifyStackPointerFunctionPointer'],
  ['HotPatchTableOffset', 'hotPatchTableOffset'],
  ['EnclaveConfigurationPointer', 'enclaveConfigurationPointer'],
  ['VolatileMetadataPointer', 'volatileMetadataPointer'],
  ['GuardEHContinuationTable', 'guardEHContinuationTable'],
  ['GuardEHContinuationCount', 'guardEHContinuationCount', 'decimal'],
];

const GUARD_FLAGS = {
  ...Object.fromEntries(Object.entries(IMAGE_GUARD).map(([name, value]) => [name, value])),
  CF_FUNCTION_TABLE_SIZE_5BYTES: 0x10000000,
  CF_FUNCTION_TABLE_SIZE_6BYTES: 0x20000000,
  CF_FUNCTION_TABLE_SIZE_7BYTES: 0x30000000,
};

export function writeTls(out: Lines, image: PeImage): void {
  out.group('TLSDirectory', () => {
    const { tls } = image;
    if (tls === undefined) return;
    out.hex('StartAddressOfRawData', tls.startAddressOfRawData);
    out.hex('EndAddressOfRawData', tls.endAddressOfRawData);
    out.hex('AddressOfIndex', tls.addressOfIndex);
    out.hex('AddressOfCallBacks', tls.addressOfCallBacks);
    out.hex('SizeOfZeroFill', tls.sizeOfZeroFill);
    const align = tls.characteristics & 0xf00000;
    const flags = align === 0 ? {} : { [`IMAGE_SCN_ALIGN_${1 << ((align >>> 20) - 1)}BYTES`]: align };
    out.flags('Characteristics', tls.characteristics, flags);
  });
}

export function writeLoadConfig(out: Lines, image: PeImage): void {
  const config = image.loadConfig;
  if (config === undefined) return;
  out.list('LoadConfig', () => {
    for (const [name, field, format] of loadConfigFields) {
      if (!config.has(field)) continue;
      const value = config[field];
      if (format === 'decimal') out.field(name, value);
      else if (format === 'time') out.field(name, time(Number(value)));
      else if (format === 'guardFlags') out.flags(name, Number(value), GUARD_FLAGS);
      else out.hex(name, value);
    }
  });
  const { guard } = image;
  if (guard.seHandlers.length > 0) {
    out.list('SEHTable', () => {
      for (const rva of guard.seHandlers) out.line(H(image.optionalHeader.imageBase + BigInt(rva)));
    });
  }
  writeGuardTable(out, image, 'GuardFidTable', guard.functions);
  writeGuardTable(out, image, 'GuardIatTable', guard.addressTakenIatEntries);
  writeGuardTable(out, image, 'GuardLJmpTable', guard.longJumpTargets);
  writeGuardTable(out, image, 'GuardEHContTable', guard.ehContinuations);
}

function writeGuardTable(out: Lines, image: PeImage, name: string, entries: readonly GuardEntry[]): void {
  if (entries.length === 0) return;
  out.list(name, () => {
    for (const { rva, flags } of entries) {
      const address = H(image.optionalHeader.imageBase + BigInt(rva));
      out.line(flags === 0 ? address : `${address} flags ${flags}`);
    }
  });
}
