import type { PeImage } from '../image.js';
import { ByteReader } from '../reader.js';
import { IMAGE_DEBUG_TYPE } from '../winnt.js';
import type { Pdb } from './pdb.js';
import { guidText } from './pdb-info.js';

const DEBUG_DIRECTORY_SIZE = 28;
const RSDS = 0x53445352;

/** What the CodeView entry of an image's debug directory says about its PDB. */
export interface PdbReference {
  /** `FB9FB7D5-8AE2-47B9-9889-73DAF157F7AB` */
  readonly guid: string;
  readonly age: number;
  /** As given to the linker: often the path on the machine that built it. */
  readonly path: string;
}

/** The PDB that an image names, or undefined if it names none. */
export function pdbReference(image: PeImage): PdbReference | undefined {
  const directory = image.directory('debug');
  if (!directory) return undefined;
  const entries = image.readerAt(directory.virtualAddress, directory.size, 'debug directory');
  const file = new ByteReader(image.bytes, 'file', image.file);
  for (let at = 0; at + DEBUG_DIRECTORY_SIZE <= entries.length; at += DEBUG_DIRECTORY_SIZE) {
    if (entries.u32At(at + 12) !== IMAGE_DEBUG_TYPE.CODEVIEW) continue;
    const data = file.slice(entries.u32At(at + 24), entries.u32At(at + 16), 'CodeView reference');
    if (data.length < 24 || data.u32At(0) !== RSDS) continue;
    const path = data.cStringAt(24, undefined, 'utf-8');
    return { guid: guidText(data.bytesAt(4, 16)), age: data.u32At(20), path };
  }
  return undefined;
}

/** Whether the PDB is the one that the linker wrote together with the image: same GUID, same age. */
export function pdbMatches(image: PeImage, pdb: Pdb): boolean {
  const reference = pdbReference(image);
  return reference !== undefined && reference.guid === pdb.guid && reference.age === pdb.age;
}
