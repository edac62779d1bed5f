import type { ByteReader } from '../../reader.js';
import { ByteReader as Reader } from '../../reader.js';

/** CV_SourceChksum_t, in the order of its numbers. */
const CHECKSUM_KINDS = ['none', 'MD5', 'SHA1', 'SHA256'] as const;

/** A source file that code was compiled from. */
export interface SourceFile {
  /** As the compiler was given it; with lld an absolute path unless `-fdebug-prefix-map` says otherwise. */
  readonly name: string;
  /** Of the file's bytes when it was compiled. */
  readonly checksumKind: (typeof CHECKSUM_KINDS)[number];
  /** In hexadecimal; empty for `none`. */
  readonly checksum: string;
}

const STRING_TABLE_SIGNATURE = 0xeffe_effe;
const STRING_TABLE_HEADER = 12;

/** The strings of the PDB's stream `/names`, by their offsets. https://llvm.org/docs/PDB/GlobalStream.html */
export class StringTable {
  readonly #strings: ByteReader;

  /** @throws ImageError `names.signature`, `truncated` */
  constructor(bytes: Uint8Array, file?: string) {
    const whole = new Reader(bytes, 'PDB string table', file);
    if (whole.u32At(0) !== STRING_TABLE_SIGNATURE) {
      throw whole.error('names.signature', 'the stream /names is no string table', 0);
    }
    this.#strings = whole.slice(STRING_TABLE_HEADER, whole.u32At(8), 'PDB string table');
  }

  /** The string at an offset. */
  at(offset: number): string {
    return this.#strings.cStringAt(offset, undefined, 'utf-8');
  }
}

/** The files of one module's DEBUG_S_FILECHKSMS, by the offsets that its lines name them by. */
export function readSourceFiles(data: ByteReader, strings: StringTable): Map<number, SourceFile> {
  const files = new Map<number, SourceFile>();
  while (data.remaining > 0) {
    const offset = data.position;
    const name = strings.at(data.u32());
    const size = data.u8();
    const kind = CHECKSUM_KINDS[data.u8()] ?? 'none';
    const checksum = Array.from(data.take(size), (byte) => byte.toString(16).padStart(2, '0')).join('');
    files.set(offset, { name, checksumKind: kind, checksum });
    data.align(4);
  }
  return files;
}
