import { readPdb } from '../../image/index.js';

const MAGIC = 'Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0';

/** A PDB with these streams. `scattered` lays no two blocks of a stream side by side. */
export function writeMsf(streams: readonly Uint8Array[], blockSize: number, scattered = false): Uint8Array {
  const blocks = (size: number) => Math.ceil(size / blockSize);
  // Block 0 is the superblock, 1 and 2 are the free page maps.
  let used = 3;
  const take = (size: number) => {
    const list = Array.from({ length: blocks(size) }, () => used++);
    return scattered ? list.reverse() : list;
  };
  const lists = streams.map((stream) => take(stream.length));
  const directory = new Uint32Array([
    streams.length,
    ...streams.map(({ length }) => length),
    ...lists.flat(),
  ]);
  const directoryBytes = new Uint8Array(directory.buffer);
  const directoryList = new Uint32Array(take(directoryBytes.length));
  const directoryListBytes = new Uint8Array(directoryList.buffer);
  const mapList = take(directoryListBytes.length);
  const file = new Uint8Array(used * blockSize);
  const put = (bytes: Uint8Array, list: ArrayLike<number>) => {
    for (let i = 0; i < list.length; i++) {
      file.set(bytes.subarray(i * blockSize, (i + 1) * blockSize), (list[i] ?? 0) * blockSize);
    }
  };
  streams.forEach((stream, i) => {
    put(stream, lists[i] ?? []);
  });
  put(directoryBytes, directoryList);
  put(directoryListBytes, mapList);
  file.set([...MAGIC].map((character) => character.charCodeAt(0)));
  const superblock = new Uint32Array([blockSize, 1, used, directoryBytes.length, 0, ...mapList]);
  file.set(new Uint8Array(superblock.buffer), 32);
  return file;
}

/** The bytes of every stream of a PDB. */
export function streamsOf(bytes: Uint8Array): Uint8Array[] {
  const pdb = readPdb(bytes);
  return Array.from({ length: pdb.streamCount }, (_, index) => pdb.stream(index));
}
