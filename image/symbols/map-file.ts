import { ImageError } from '../error.js';
import { baseName, namesOf } from './names.js';
import { type SymbolInfo, type SymbolTable, symbolTable } from './symbol-table.js';

/** What a linker's map says. */
export interface MapFile {
  /** First line: the image's name without extension. */
  readonly name: string;
  /** Seconds since 1970 as in the image's file header; undefined when the map says `Repro mode` or nothing. */
  readonly timeDateStamp?: number;
  /** ImageBase that it was linked for. */
  readonly preferredLoadAddress: bigint;
  /** The list of chunks, in order. */
  readonly sections: readonly MapSection[];
  /** Undefined: the map names none. */
  readonly entryPoint?: MapAddress;
  /** All symbols that it lists. */
  readonly symbols: SymbolTable;
}

/** A one-based section of the image and the offset in it. Section 0: no section of the image. */
export interface MapAddress {
  /** One-based; 0: none. */
  readonly section: number;
  /** Bytes from the section's start. */
  readonly offset: number;
}

/** One line of the `Start Length Name Class` list: a run of chunks with the same name, such as `.text$mn`. */
export interface MapSection extends MapAddress {
  /** Bytes. */
  readonly length: number;
  /** Of the chunks: `.text$mn`. */
  readonly name: string;
  /** `CODE` or `DATA`. */
  readonly class: string;
}

const sectionLine = /^ *([0-9a-f]{4}):([0-9a-f]{8}) ([0-9a-f]{8})H (\S+) +(CODE|DATA)\s*$/i;
// MSVC puts ` f` (function) and ` i` (from an import library) between the address and the object; lld five blanks.
// The look-behind keeps a line full of blanks from being tried once per blank.
const symbolLine =
  /^ *([0-9a-f]{4}):([0-9a-f]{8}) +(\S.*?)(?<! ) +([0-9a-f]{16}|[0-9a-f]{8}) ([ f]) ([ i]) ?(?: ?(\S.*))?$/i;
const entryLine = /^ *entry point at +([0-9a-f]{4}):([0-9a-f]{8})/i;

/**
 * Reads a linker map, as `lld-link /map` and MSVC's `link /MAP` write it.
 *
 * A map knows no sizes. Absolute symbols (counts, flags) have no address in the image and are left out.
 * @param options.decoratesNames whether C names have their calling convention around them, as on x86; by default told from the map itself.
 * @throws ImageError `map.format` when the text is no such map.
 */
export function readMapFile(
  text: string,
  options: { file?: string; decoratesNames?: boolean } = {},
): MapFile {
  const lines = text.split(/\r\n|\r|\n/);
  const preferred = firstMatch(lines, /^ *Preferred load address is ([0-9a-f]{8,16})\s*$/i)?.[1];
  if (preferred === undefined) {
    throw new ImageError({
      rule: 'map.format',
      place: 'line 1',
      message: 'no line "Preferred load address is …": not a map file of link.exe or lld-link',
      file: options.file,
    });
  }
  const preferredLoadAddress = BigInt(`0x${preferred}`);
  const sections = lines.flatMap(readSection);
  const decoratesNames = options.decoratesNames ?? hasDecoratedNames(lines);
  const hasFunctionColumn = lines.some((line) => symbolLine.exec(line)?.[5] === 'f');
  const kindOf = kindsBySection(sections, hasFunctionColumn ? 'public' : 'function');
  const symbols: SymbolInfo[] = [];
  let isStatic = false;
  let entryPoint: MapAddress | undefined;
  for (const line of lines) {
    if (/^ *Static symbols\s*$/i.test(line)) isStatic = true;
    if (/^ *(?:Exports|Line numbers for|FIXUPS:)/i.test(line)) break;
    const entry = entryLine.exec(line);
    if (entry) entryPoint = addressOf(entry[1], entry[2]);
    const match = symbolLine.exec(line);
    if (!match) continue;
    const rva = BigInt(`0x${match[4]}`) - preferredLoadAddress;
    if (rva < 0n || rva > 0xffffffffn) continue;
    symbols.push({
      ...namesOf(match[3] ?? '', decoratesNames),
      rva: Number(rva),
      kind: match[5] === 'f' ? 'function' : kindOf(addressOf(match[1], match[2])),
      ...moduleOf(match[7]),
      isStatic,
    });
  }
  const stamp = firstMatch(lines, /^ *Timestamp is ([0-9a-f]{8})(?! \(Repro)/i)?.[1];
  return {
    name: (lines[0] ?? '').trim(),
    ...(stamp === undefined ? {} : { timeDateStamp: Number.parseInt(stamp, 16) }),
    preferredLoadAddress,
    sections,
    ...(entryPoint ? { entryPoint } : {}),
    symbols: symbolTable(symbols),
  };
}

function readSection(line: string): MapSection[] {
  const match = sectionLine.exec(line);
  if (!match) return [];
  return [
    {
      ...addressOf(match[1], match[2]),
      length: Number.parseInt(match[3] ?? '', 16),
      name: match[4] ?? '',
      class: (match[5] ?? '').toUpperCase(),
    },
  ];
}

/** Without MSVC's `f` column the section's class is all that tells a function from a variable. */
function kindsBySection(
  sections: readonly MapSection[],
  inCode: SymbolInfo['kind'],
): (address: MapAddress) => SymbolInfo['kind'] {
  const classes = new Map<number, Set<string>>();
  for (const { section, class: name } of sections) {
    classes.set(section, (classes.get(section) ?? new Set()).add(name));
  }
  const kinds = new Map<number, SymbolInfo['kind']>();
  for (const [section, names] of classes) {
    if (names.size === 1) kinds.set(section, names.has('CODE') ? inCode : 'data');
  }
  return ({ section }) => kinds.get(section) ?? 'public';
}

/**
 * MSVC writes addresses of x86 with eight digits, lld always with sixteen. Linkers define `__guard_flags`, which is
 * `___guard_flags` where C names are decorated; failing that, x86 has no name without decoration.
 */
function hasDecoratedNames(lines: readonly string[]): boolean {
  const guard = firstMatch(
    lines,
    /^ *[0-9a-f]{4}:[0-9a-f]{8} +(___?)(?:guard_flags|guard_fids_table|ImageBase) /i,
  );
  if (guard) return guard[1] === '___';
  const matches = lines.map((line) => symbolLine.exec(line)).filter((match) => match !== null);
  return (
    matches.some((match) => match[4]?.length === 8) ||
    matches.every((match) => /^[_?@.]/.test(match[3] ?? ''))
  );
}

function firstMatch(lines: readonly string[], pattern: RegExp): RegExpExecArray | undefined {
  for (const line of lines) {
    const match = pattern.exec(line);
    if (match) return match;
  }
  return undefined;
}

function addressOf(section = '', offset = ''): MapAddress {
  return { section: Number.parseInt(section, 16), offset: Number.parseInt(offset, 16) };
}

/** `demo.obj`, `library:member.obj`; names in angle brackets (`<linker-defined>`) stand for no object. */
function moduleOf(text: string | undefined): { module?: string } {
  const module = text?.trim();
  return module === undefined || module.startsWith('<') ? {} : { module: baseName(module) };
}
