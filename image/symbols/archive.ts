import { Budget } from '../budget.js';
import { ByteReader } from '../reader.js';
import { hex, latin1 } from '../text.js';

const MAGIC = '!<arch>\n';
const HEADER_SIZE = 60;
const IMPORT_HEADER_SIZE = 20;

/** IMPORT_OBJECT_HEADER of winnt.h: a member that stands for one import of a DLL instead of an object file. */
export interface ShortImport {
  /** IMAGE_FILE_MACHINE_*. */
  readonly machine: number;
  /** The symbol that the linker resolves, as decorated: `_Sleep@4`. */
  readonly symbolName: string;
  /** File name of the DLL. */
  readonly dll: string;
  /** Which of the two `nameType` says. */
  readonly ordinalOrHint: number;
  /** What is imported; a number is not known. */
  readonly type: 'code' | 'data' | 'const' | number;
  /** How the name in the DLL follows from the symbol. */
  readonly nameType: 'ordinal' | 'name' | 'noPrefix' | 'undecorate' | 'exportAs' | number;
}

/** A file in a library. */
export interface ArchiveMember {
  /** As the librarian stored it, often with a path. */
  readonly name: string;
  /** An object file for `readObject`, unless it is an import. */
  readonly data: Uint8Array;
  /** Undefined: it is an object file. */
  readonly shortImport?: ShortImport;
}

/**
 * Reads a library (`.lib`): its members in the file's order, without the linker's own index members.
 * https://learn.microsoft.com/windows/win32/debug/pe-format#archive-library-file-format
 * @throws ImageError `archive.magic`, `archive.header`, `truncated`, `string`
 */
export function readArchive(bytes: Uint8Array, options: { file?: string | undefined } = {}): ArchiveMember[] {
  const reader = new ByteReader(bytes, 'library', options.file);
  if (bytes.length < MAGIC.length || latin1(reader.bytesAt(0, MAGIC.length)) !== MAGIC) {
    throw reader.error('archive.magic', 'not a library of object files', 0);
  }
  reader.skip(MAGIC.length);
  // Members may share a long name.
  const budget = new Budget('library member names', 8 * bytes.length, options.file);
  const members: ArchiveMember[] = [];
  let longNames = reader.slice(0, 0, 'long names of the library');
  while (reader.remaining > 1) {
    const header = reader.slice(reader.position, HEADER_SIZE, `library member at ${hex(reader.position)}`);
    reader.skip(HEADER_SIZE);
    const size = decimal(header, 48, 10);
    const data = reader.take(size);
    if (reader.remaining > 0) reader.align(2);
    const stored = latin1(header.bytesAt(0, 16)).trimEnd();
    if (stored === '//') longNames = new ByteReader(data, 'long names of the library', options.file);
    else if (stored !== '/' && !stored.startsWith('/<')) {
      const name = memberName(stored, longNames);
      budget.spend(name.length);
      const shortImport = readShortImport(data, name, options.file);
      members.push({ name, data, ...(shortImport ? { shortImport } : {}) });
    }
  }
  return members;
}

/** `short.obj/`, or `/123`: an offset into the member of long names, where NUL or `/` and a newline end each. */
function memberName(stored: string, longNames: ByteReader): string {
  if (!/^\/\d+$/.test(stored)) return stored.replace(/\/$/, '');
  const offset = Number(stored.slice(1));
  longNames.need(offset, 1);
  const rest = longNames.bytes.subarray(offset);
  const end = rest.findIndex((byte) => byte === 0 || byte === 0x0a);
  return latin1(end < 0 ? rest : rest.subarray(0, end)).replace(/\/$/, '');
}

function readShortImport(data: Uint8Array, member: string, file?: string): ShortImport | undefined {
  const reader = new ByteReader(data, `import ${member}`, file);
  // A /bigobj object begins with the same signature, and with a version of 2 or more.
  if (reader.length < IMPORT_HEADER_SIZE || reader.u32At(0) !== 0xffff0000 || reader.u16At(4) !== 0)
    return undefined;
  const bits = reader.u16At(18);
  const type = bits & 3;
  const nameType = (bits >> 2) & 7;
  reader.skip(IMPORT_HEADER_SIZE);
  return {
    machine: reader.u16At(6),
    ordinalOrHint: reader.u16At(16),
    type: (['code', 'data', 'const'] as const)[type] ?? type,
    nameType: (['ordinal', 'name', 'noPrefix', 'undecorate', 'exportAs'] as const)[nameType] ?? nameType,
    symbolName: reader.cString(),
    dll: reader.cString(),
  };
}

function decimal(header: ByteReader, offset: number, length: number): number {
  const digits = latin1(header.bytesAt(offset, length)).trim();
  if (!/^\d+$/.test(digits)) throw header.error('archive.header', `"${digits}" is not a size`, offset);
  return Number(digits);
}
