import { ByteReader } from '../reader.js';
import { hex } from '../text.js';

const LF_FUNC_ID = 0x1601;
const LF_MFUNC_ID = 0x1602;
const HEADER_SIZE = 56;

/**
 * The IPI stream (stream 4) or an object's `.debug$T`, of which only the names of functions are of interest here.
 * https://llvm.org/docs/PDB/TpiStream.html
 */
export class ItemIds {
  readonly #reader: ByteReader;
  readonly #first: number;
  /** Offset of each record. */
  readonly #offsets: readonly number[];

  /** @throws ImageError `ipi.record`, `truncated` */
  static fromStream(bytes: Uint8Array, file?: string): ItemIds {
    const header = new ByteReader(bytes, 'PDB IPI stream', file);
    const start = header.u32At(4);
    if (start < HEADER_SIZE) throw header.error('ipi.record', `a header of ${hex(start)} bytes`, 4);
    return new ItemIds(header.slice(start, header.u32At(16), 'PDB IPI records'), header.u32At(8));
  }

  constructor(records: ByteReader, firstIndex: number) {
    this.#reader = records;
    this.#first = firstIndex;
    const offsets: number[] = [];
    for (let at = 0; at < records.length; ) {
      const length = records.u16At(at);
      if (length < 2) throw records.error('ipi.record', `a record of ${hex(length)} bytes`, at);
      offsets.push(at);
      at += 2 + length;
    }
    this.#offsets = offsets;
  }

  /** Name of the LF_FUNC_ID or LF_MFUNC_ID with this index, without its class or namespace. */
  functionName(index: number): string | undefined {
    const at = this.#offsets[index - this.#first];
    if (at === undefined) return undefined;
    const leaf = this.#reader.u16At(at + 2);
    if (leaf !== LF_FUNC_ID && leaf !== LF_MFUNC_ID) return undefined;
    return this.#reader.cStringAt(at + 12, undefined, 'utf-8');
  }
}
