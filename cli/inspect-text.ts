import type { HotPatchDescription, ImageDescription } from '../image/index.js';
import { hotp1Lines } from './inspect-2003.js';
import { field, flags, heading, hex, hex8, type Styles, size, table, time } from './layout.js';

export const INSPECT_PARTS = [
  'headers',
  'sections',
  'imports',
  'exports',
  'relocations',
  'debug',
  'load-config',
  'unwind',
  'hotpatch',
] as const;
export type InspectPart = (typeof INSPECT_PARTS)[number];

/** The lines that `hotpatch inspect` prints. */
export function inspectText(
  image: ImageDescription,
  parts: readonly InspectPart[],
  styles: Styles,
): string[] {
  const writers: Record<InspectPart, () => string[]> = {
    headers: () => headers(image),
    sections: () => sections(image),
    imports: () => imports(image),
    exports: () => exports(image),
    relocations: () => relocations(image),
    debug: () => debug(image),
    'load-config': () => loadConfig(image),
    unwind: () => unwind(image),
    hotpatch: () => (image.hotp1 === null ? hotPatch(image) : hotp1Lines(image.hotp1)),
  };
  const kind = image.hybrid
    ? `${image.machine} (${image.hybrid.kind})`
    : (image.machine ?? 'an unknown machine');
  const signed = image.signed ? 'signed' : 'not signed';
  const lines = [
    styles.bold(`${image.file}: ${image.format} image for ${kind}, ${size(image.fileSize)}, ${signed}`),
  ];
  for (const part of INSPECT_PARTS) {
    if (!parts.includes(part)) continue;
    const [title, ...rest] = writers[part]();
    if (title !== undefined) lines.push('', heading(title, styles), ...rest);
  }
  return lines;
}

function headers(image: ImageDescription): string[] {
  const { fileHeader: f, optionalHeader: o, checkSum } = image;
  const directories = image.dataDirectories.filter(
    ({ virtualAddress, size: length }) => virtualAddress !== 0 || length !== 0,
  );
  return [
    'Headers',
    field('machine', `${image.machine} (${hex(f.machine)})`),
    field('characteristics', flags(f.characteristics, f.characteristicsNames)),
    field('time date stamp', time(f.timeDateStamp)),
    field(
      'check sum',
      `${hex(checkSum.stored)}${checkSum.valid ? ' (right)' : checkSum.stored === 0 ? ' (not set)' : ` (wrong: should be ${hex(checkSum.computed)})`}`,
    ),
    field('subsystem', `${subsystem(o.subsystem)} (${o.subsystem})`),
    field('dll characteristics', flags(o.dllCharacteristics, o.dllCharacteristicsNames)),
    field('image base', hex(o.imageBase)),
    field('entry point', hex(o.addressOfEntryPoint)),
    field('size of image', hex(o.sizeOfImage)),
    field('size of headers', hex(o.sizeOfHeaders)),
    field('alignment', `section ${hex(o.sectionAlignment)}, file ${hex(o.fileAlignment)}`),
    field(
      'code, data',
      `${hex(o.sizeOfCode)}, ${hex(o.sizeOfInitializedData)} initialised, ${hex(o.sizeOfUninitializedData)} not`,
    ),
    field('stack', `${hex(o.sizeOfStackReserve)} reserved, ${hex(o.sizeOfStackCommit)} committed`),
    field('heap', `${hex(o.sizeOfHeapReserve)} reserved, ${hex(o.sizeOfHeapCommit)} committed`),
    field(
      'versions',
      `linker ${o.majorLinkerVersion}.${o.minorLinkerVersion}, system ${o.majorOperatingSystemVersion}.${o.minorOperatingSystemVersion}, image ${o.majorImageVersion}.${o.minorImageVersion}, subsystem ${o.majorSubsystemVersion}.${o.minorSubsystemVersion}`,
    ),
    ...(image.signed
      ? [
          field(
            'certificates',
            (image.certificates ?? []).map((c) => `type ${c.certificateType}, ${size(c.size)}`).join('; '),
          ),
        ]
      : []),
    ...directories.map(({ name, virtualAddress, size: length }, i) =>
      field(
        i === 0 ? 'data directories' : '',
        `${name.padEnd(12)} ${hex8(virtualAddress)}  ${hex(length)} bytes`,
      ),
    ),
  ];
}

function subsystem(value: number): string {
  const names: Readonly<Record<number, string>> = {
    1: 'native',
    2: 'Windows GUI',
    3: 'Windows console',
    10: 'EFI application',
  };
  return names[value] ?? 'unknown';
}

function sections({ sections: list }: ImageDescription): string[] {
  return [
    `Sections (${list.length})`,
    ...table(
      ['#', 'name', 'RVA', 'size', 'file offset', 'raw size', 'characteristics'],
      list.map((s) => [
        `${s.index + 1}`,
        s.name,
        hex8(s.virtualAddress),
        hex8(s.virtualSize),
        hex8(s.pointerToRawData),
        hex8(s.sizeOfRawData),
        s.characteristicsNames.join(' '),
      ]),
      [0],
    ),
  ];
}

function imports({
  imports: modules = [],
  delayImports = [],
  boundImports = [],
}: ImageDescription): string[] {
  const count = modules.reduce((sum, module) => sum + module.functions.length, 0);
  const lines = [`Imports (${count} from ${modules.length} module${modules.length === 1 ? '' : 's'})`];
  const slots = (module: (typeof modules)[number] | (typeof delayImports)[number]) =>
    module.functions.map(
      (f) =>
        `    ${hex8(f.iatRva)}  ${f.name ?? `ordinal ${f.ordinal}`}${f.hint ? `  (hint ${f.hint})` : ''}`,
    );
  for (const module of modules) lines.push(`  ${module.module}`, ...slots(module));
  for (const module of delayImports) lines.push(`  ${module.module} (delay-loaded)`, ...slots(module));
  for (const { module, timeDateStamp } of boundImports)
    lines.push(`  ${module} (bound to ${time(timeDateStamp)})`);
  return lines;
}

function exports({ exports: list }: ImageDescription): string[] {
  if (list === undefined) return ['Exports (none)'];
  return [
    `Exports of ${list.name} (${list.functions.length})`,
    ...table(
      ['ordinal', 'RVA', 'name'],
      list.functions.map((f) => [
        `${f.ordinal}`,
        hex8(f.rva),
        `${f.name ?? '[no name]'}${f.forwarder === undefined ? '' : ` -> ${f.forwarder}`}`,
      ]),
      [0],
    ),
  ];
}

function relocations({ relocations: list }: ImageDescription): string[] {
  if (list === undefined) return [];
  const kinds = Object.entries(list.byType).map(([type, count]) => `${count} ${type}`);
  return [
    `Base relocations (${kinds.length === 0 ? 'none' : kinds.join(', ')})`,
    ...(list.entries ?? []).map(({ rva, type }) => `  ${hex8(rva)}  ${type}`),
  ];
}

function debug({ debug: entries = [], exDllCharacteristics, tls }: ImageDescription): string[] {
  const lines = [`Debug directory (${entries.length} entr${entries.length === 1 ? 'y' : 'ies'})`];
  for (const entry of entries) {
    const { codeView } = entry;
    const detail =
      codeView !== undefined
        ? `${codeView.pdbFileName}  {${codeView.guid}} age ${codeView.age}`
        : entry.exDllCharacteristicsNames !== undefined
          ? flags(entry.exDllCharacteristics ?? 0, entry.exDllCharacteristicsNames)
          : `${hex(entry.sizeOfData)} bytes`;
    lines.push(field(entry.type.toLowerCase().replaceAll('_', ' '), detail));
  }
  if (exDllCharacteristics?.value === 0) lines.push(field('hotpatch compatible', 'not said'));
  if (tls)
    lines.push(
      field(
        'TLS',
        `${hex(tls.startAddressOfRawData)}..${hex(tls.endAddressOfRawData)}, ${tls.callBacks.length} callbacks`,
      ),
    );
  return lines;
}

/** The longest field name of the load configuration. */
const LOAD_CONFIG_WIDTH = 40;

function loadConfig(image: ImageDescription): string[] {
  const { loadConfig: config, guard, hybrid } = image;
  if (!config) return ['Load configuration (none)'];
  const {
    rva,
    directorySize,
    guardFlagsNames,
    size: length,
    ...fields
  } = config as typeof config & { size: number };
  const lines = [
    `Load configuration at ${hex(rva)} (${hex(length)} bytes, directory says ${hex(directorySize)})`,
  ];
  for (const [name, value] of Object.entries(fields)) {
    if (name === 'guardFlags')
      lines.push(field(name, flags(Number(value), guardFlagsNames), LOAD_CONFIG_WIDTH));
    else if (Number(value) !== 0 || name === 'hotPatchTableOffset')
      lines.push(field(name, hex(value as number | bigint), LOAD_CONFIG_WIDTH));
  }
  if (guard !== undefined) {
    const counts = Object.entries(guard).flatMap(([name, entry]) =>
      typeof entry === 'object' && entry.count > 0 ? [`${entry.count} ${name}`] : [],
    );
    lines.push(
      field(
        'guard tables',
        counts.length === 0 ? 'empty' : `${counts.join(', ')}; stride ${4 + guard.extraBytes}`,
        LOAD_CONFIG_WIDTH,
      ),
    );
    for (const entry of [...(guard.functions.entries ?? [])]) {
      lines.push(field('', `${hex8(entry.rva)}${entry.flags === 0 ? '' : `  flags ${hex(entry.flags)}`}`));
    }
  }
  for (const r of image.dynamicRelocations ?? []) {
    lines.push(
      field(
        'dynamic relocations',
        `${r.name ?? `symbol ${hex(r.symbol)}`}: ${r.fixups + r.functionOverrides} entries, ${hex(r.size)} bytes`,
      ),
    );
  }
  for (const range of hybrid?.codeRanges ?? []) {
    lines.push(field('code range', `${hex8(range.rva)}..${hex8(range.rva + range.length)}  ${range.type}`));
  }
  return lines;
}

function unwind({ functionTable }: ImageDescription): string[] {
  if (functionTable === undefined) return [];
  const lines = [`Function table (${functionTable.count} entries)`];
  for (const entry of functionTable.entries ?? []) {
    if ('endAddress' in entry) {
      const { unwind: info } = entry as typeof entry & {
        unwind: { codes: readonly { op: string }[]; sizeOfProlog: number };
      };
      lines.push(
        `  ${hex8(entry.beginAddress)}..${hex8(entry.endAddress)}  prolog ${hex(info.sizeOfProlog)}  ${info.codes.map(({ op }) => op).join(' ')}`,
      );
    } else
      lines.push(
        `  ${hex8(entry.beginAddress)}  ${hex(entry.unwind.functionLength)} bytes  ${entry.unwind.form}`,
      );
  }
  return lines;
}

function hotPatch({ hotPatch: found, problems }: ImageDescription): string[] {
  if (found === null) {
    return [
      problems.some(({ part }) => part === 'hotpatch table')
        ? 'Hotpatch table (cannot be read)'
        : 'Hotpatch table (none)',
    ];
  }
  const lines = [
    `Hotpatch table at ${hex(found.rva)} (version ${found.version}, ${hex(found.size)} bytes)`,
    field('sequence number', `${found.sequenceNumber}`),
    field('min sequence number', `${found.minSequenceNumber}`),
    field('flags', flags(found.flags, found.flagsNames)),
    field(
      'extra patch size',
      `${found.extraPatchSize} dword${found.extraPatchSize === 1 ? '' : 's'} of original bytes in each record`,
    ),
  ];
  for (const [i, base] of found.bases.entries()) lines.push(...basePart(base, i));
  for (const { severity, place, message, rule, status } of found.findings) {
    lines.push(`  ${severity}: ${place}: ${message} (${rule}, ${status.name})`);
  }
  return lines;
}

function basePart(base: HotPatchDescription['bases'][number], index: number): string[] {
  const lines = [
    `  base ${index}`,
    field('  sequence number', `${base.sequenceNumber}`),
    field('  flags', flags(base.flags, base.flagsNames)),
    field('  original time stamp', time(base.originalTimeDateStamp)),
    field('  original check sum', hex(base.originalCheckSum)),
    ...(base.hashes === undefined
      ? []
      : [field('  SHA-256', base.hashes.sha256), field('  SHA-1', base.hashes.sha1)]),
  ];
  for (const [i, chunk] of base.chunks.entries()) {
    const [from, to] = chunk.direction === 'forward' ? ['base', 'patch'] : ['patch', 'base'];
    const own = chunk.direction === 'backward' ? 0 : 1;
    lines.push(
      `    chunk ${i}  ${chunk.direction} ${chunk.type}${chunk.obligatory ? ' OBLIGATORY' : ''}, ${chunk.records.length} record${chunk.records.length === 1 ? '' : 's'}: ${from} location -> ${to} target`,
    );
    for (const [j, record] of chunk.records.entries()) {
      const name =
        record.symbol === undefined
          ? ['', '']
          : own === 0
            ? [` ${record.symbol}`, '']
            : ['', ` ${record.symbol}`];
      const original =
        record.originalBytes === ''
          ? ''
          : `   original ${record.originalBytes.match(/../g)?.join(' ') ?? ''}`;
      lines.push(
        `      ${`${j}`.padStart(4)}  ${hex8(record.rva)}${name[0]} -> ${hex8(record.target)}${name[1]}${original}`,
      );
    }
  }
  return lines;
}
