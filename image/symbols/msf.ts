import { ByteReader } from '../reader.js';
import { hex } from '../text.js';

const MAGIC = 'Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0';
const OLD_MAGIC = 'Microsoft C/C++ program database 2.00\r\n\x1aJG';
const NIL_STREAM = 0xffffffff;

/**
 * The container of a PDB (multi-stream file): a file cut into blocks, and a directory that says which blocks
 * make up which stream. https://llvm.org/docs/PDB/MsfFile.html
 */
export class MsfFile {
  readonly blockSize: number;
  /** Bytes of each stream; a stream that does not exist has none. */
  readonly streamSizes: readonly number[];
  readonly #file: ByteReader;
  readonly #blocks: readonly Uint32Array[];
  readonly #streams = new Map<number, Uint8Array>();

  static isMsf(bytes: Uint8Array): boolean {
    return startsWith(bytes, MAGIC);
  }

  /** @throws ImageError `msf.magic`, `msf.blockSize`, `msf.directory`, `truncated` */
  constructor(bytes: Uint8Array, file?: string) {
    const whole = new ByteReader(bytes, 'PDB file', file);
    if (!MsfFile.isMsf(bytes)) {
      const old = startsWith(bytes, OLD_MAGIC);
      throw whole.error(
        'msf.magic',
        old ? 'a PDB of Visual C++ 2–6, which is not supported' : 'not a PDB file',
        0,
      );
    }
    this.#file = whole;
    this.blockSize = whole.u32At(32);
    if (this.blockSize < 512 || this.blockSize > 0x10000 || (this.blockSize & (this.blockSize - 1)) !== 0) {
      throw whole.error('msf.blockSize', `blocks of ${hex(this.blockSize)} bytes`, 32);
    }
    const directory = new ByteReader(this.#readDirectory(), 'PDB stream directory', file);
    const count = directory.u32();
    directory.need(4, count * 4);
    const sizes: number[] = [];
    for (let i = 0; i < count; i++) {
      const size = directory.u32();
      sizes.push(size === NIL_STREAM ? 0 : size);
    }
    this.streamSizes = sizes;
    this.#blocks = this.#readBlockLists(directory, sizes);
  }

  /** The stream's bytes, put together at the first request. Views of the file where its blocks are adjacent. */
  stream(index: number): Uint8Array {
    const known = this.#streams.get(index);
    if (known) return known;
    const blocks = this.#blocks[index];
    if (!blocks) {
      throw this.#file.error('msf.stream', `there is no stream ${index} among ${this.#blocks.length}`, 0);
    }
    const bytes = this.#join(blocks, this.streamSizes[index] ?? 0);
    this.#streams.set(index, bytes);
    return bytes;
  }

  /** Superblock: block size +32, directory size +44, and at +52 the blocks that list the directory's blocks. */
  #readDirectory(): Uint8Array {
    const size = this.#file.u32At(44);
    if (size > this.#file.length) {
      throw this.#file.error(
        'msf.directory',
        `a directory of ${hex(size)} bytes does not fit into the file`,
        44,
      );
    }
    const listSize = Math.ceil(size / this.blockSize) * 4;
    const listBlocks = u32s(this.#file, 52, Math.ceil(listSize / this.blockSize));
    const list = new ByteReader(this.#join(listBlocks, listSize), 'PDB block map', this.#file.file);
    return this.#join(u32s(list, 0, listSize / 4), size);
  }

  #readBlockLists(directory: ByteReader, sizes: readonly number[]): Uint32Array[] {
    let left = Math.ceil(this.#file.length / this.blockSize);
    return sizes.map((size, stream) => {
      const count = Math.ceil(size / this.blockSize);
      left -= count;
      if (left < 0) {
        throw directory.error(
          'msf.directory',
          `stream ${stream} takes more blocks than the file has`,
          4 + stream * 4,
        );
      }
      const blocks = u32s(directory, directory.position, count);
      directory.skip(count * 4);
      return blocks;
    });
  }

  #join(blocks: Uint32Array, size: number): Uint8Array {
    const { blockSize } = this;
    const first = blocks[0] ?? 0;
    if (blocks.every((block, i) => block === first + i)) return this.#file.bytesAt(first * blockSize, size);
    const bytes = new Uint8Array(size);
    blocks.forEach((block, i) => {
      const length = Math.min(blockSize, size - i * blockSize);
      bytes.set(this.#file.bytesAt(block * blockSize, length), i * blockSize);
    });
    return bytes;
  }
}

function u32s(reader: ByteReader, offset: number, count: number): Uint32Array {
  reader.need(offset, count * 4);
  return Uint32Array.from({ length: count }, (_, i) => reader.u32At(offset + i * 4));
}

function startsWith(bytes: Uint8Array, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[i] !== text.charCodeAt(i)) return false;
  return true;
}
