import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildHotPatch } from '../../builder/index.js';
import { findSymbols, readImage } from '../../image/index.js';
import { type Architecture, buildImage } from '../corpus/toolchain.js';

export const SOURCE = `static volatile int lengths[4] = {4, 8, 15, 16};

__attribute__((noinline)) int receive(int index, int length) {
  int room = lengths[index & 3];
#ifdef FIXED
  if (length > room)
    return -1;
#endif
  lengths[index & 3] = room - length;
  return room - length;
}

__declspec(dllexport) int entry(int index, int length) {
  int first = receive(index, length);
  int second = receive(index, 1);
  return first * 100 + second;
}

__declspec(dllexport) int crash(int *where) {
  return *where;
}

int __stdcall _DllMainCRTStartup(void *m, unsigned r, void *p) { return 1; }
`;

/** Number of the first line that contains `text`. */
export const lineOf = (text: string) => SOURCE.split('\n').findIndex((line) => line.includes(text)) + 1;

export interface BuiltNip {
  readonly base: string;
  readonly patch: string;
}

/** The base, and a hotpatch of it beside the PDB that it names. */
export function buildNip(folder: string, architecture: Architecture): BuiltNip {
  const file = join(folder, 'nip.c');
  writeFileSync(file, SOURCE);
  const image = (name: string, ...flags: string[]) =>
    buildImage({
      architecture,
      folder: join(folder, name),
      image: 'nip.dll',
      sources: [{ file, flags, ...(name === 'fixed' ? { marked: ['receive'] } : {}) }],
      linkerFlags: [`/pdbsourcepath:${folder}`],
    });
  const [base, fixed] = [image('base'), image('fixed', '-DFIXED')];
  // Beside the PDB that the fixed image names.
  const patch = join(folder, 'fixed', 'nip_hp.dll');
  writeFileSync(patch, buildHotPatch({ base: sourceOf(base), fixed: sourceOf(fixed) }).bytes);
  return { base, patch };
}

function sourceOf(path: string) {
  const image = readImage(readFileSync(path), { file: path });
  const { table, pdb } = findSymbols({ image, path });
  return { image, symbols: table, ...(pdb === undefined ? {} : { pdb }) };
}
