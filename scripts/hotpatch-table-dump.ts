/**
 * Prints the hotpatch table of an image byte by byte, with what each field means: the worked dump of
 * docs/hotpatch-table.md.
 *
 *     npx tsx scripts/hotpatch-table-dump.ts test/fixtures/x64/patch/packets_hp.sys
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import {
  findSymbols,
  HOT_PATCH_BASE_FLAG,
  type HotPatchChunk,
  type HotPatchTable,
  readImage,
} from '../image/index.js';

interface Field {
  readonly size: number;
  readonly meaning: string;
}

const INFO: readonly (readonly [string, (table: HotPatchTable, value: number) => string])[] = [
  ['Version', () => 'four: MinSequenceNumber and Flags are there'],
  ['Size', (_, value) => `the table has ${value} bytes`],
  ['SequenceNumber', () => 'the first patch of its base'],
  ['BaseImageList', (_, value) => `offset of the list of bases: ${hex(value)}`],
  ['BaseImageCount', () => 'exactly one'],
  ['BufferOffset', (_, value) => unused(value, 'no buffer')],
  ['ExtraPatchSize', (_, value) => `${value} dword of original bytes in each record`],
  ['MinSequenceNumber', (_, value) => unused(value, 'needs no earlier patch')],
  ['Flags', (_, value) => unused(value, 'neither PATCHORDERCRITICAL nor HOTSWAP')],
];

const BASE: readonly (readonly [string, (value: number) => string])[] = [
  ['SequenceNumber', () => 'as above'],
  ['Flags', (value) => flagNames(value)],
  ['OriginalTimeDateStamp', () => 'TimeDateStamp of packets.sys'],
  ['OriginalCheckSum', () => 'CheckSum of packets.sys'],
  ['CodeIntegrityInfo', (value) => unused(value, 'no hashes')],
  ['CodeIntegritySize', () => ''],
  ['PatchTable', (value) => `offset of the first chunk: ${hex(value)}`],
  ['BufferOffset', (value) => unused(value, 'no buffer')],
];

/** Zero means that the table does without it. */
function unused(value: number, meaning: string): string {
  return value === 0 ? meaning : hex(value);
}

function flagNames(value: number): string {
  return Object.entries(HOT_PATCH_BASE_FLAG)
    .filter(([, bit]) => (value & bit) !== 0)
    .map(([name]) => name)
    .join(', ');
}

function chunkFields(chunk: HotPatchChunk, name: (rva: number) => string): Field[] {
  const { direction, type, records } = chunk;
  const other = direction === 'forward' ? 'patch image' : 'base';
  return [
    { size: 4, meaning: `chunk: ${direction}, ${type}, ${records.length} record(s)` },
    ...records.flatMap(({ rva, target, originalBytes }) => [
      {
        size: 4,
        meaning: `  change ${hex(rva)}${direction === 'backward' ? ` ${name(rva)}` : ' of the base'}`,
      },
      { size: 4, meaning: `  to lead to ${hex(target)} of the ${other}` },
      ...(originalBytes.length === 0
        ? []
        : [{ size: originalBytes.length, meaning: `  where these bytes are expected` }]),
    ]),
  ];
}

function baseFields(bytes: DataView, at: number): Field[] {
  return BASE.map(([field, meaning], i) => {
    const text = meaning(bytes.getUint32(at + 4 * i, true));
    return { size: 4, meaning: `${field}${text === '' ? '' : `: ${text}`}` };
  });
}

function dump(path: string): string[] {
  const image = readImage(readFileSync(path), { file: path });
  const table = image.hotPatch;
  const rva = image.loadConfig?.hotPatchTableOffset;
  if (table === undefined || rva === undefined) throw new Error(`${path} has no hotpatch table`);
  const bytes = image.read(rva, table.size);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const symbols = findSymbols({ image, path }).table;
  const name = (at: number) => symbols.byAddress(at)?.symbol.name ?? '';
  const fields: Field[] = INFO.map(([field, meaning], i) => ({
    size: 4,
    meaning: `${field}: ${meaning(table, view.getUint32(4 * i, true))}`,
  }));
  const baseOffset = view.getUint32(table.baseImageList, true);
  fields.push({ size: 4, meaning: `the only base begins at ${hex(baseOffset)}` });
  for (const base of table.bases) {
    fields.push(...baseFields(view, baseOffset));
    for (const chunk of base.chunks) fields.push(...chunkFields(chunk, name));
  }
  fields.push({ size: 4, meaning: 'zero ends the chunks' });
  return format(bytes, fields);
}

function format(bytes: Uint8Array, fields: readonly Field[]): string[] {
  let at = 0;
  const lines = fields.map(({ size, meaning }) => {
    const own = bytes.subarray(at, at + size);
    const text = Array.from(own, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const line = `${at.toString(16).padStart(4, '0')}  ${text}  ${meaning}`;
    at += size;
    return line;
  });
  if (at !== bytes.length) throw new Error(`${bytes.length - at} of ${bytes.length} bytes are not explained`);
  return lines;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

const { positionals } = parseArgs({ allowPositionals: true });
for (const path of positionals) console.log(dump(path).join('\n'));
