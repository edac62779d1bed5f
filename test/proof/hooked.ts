import {
  appendHotPatchTable,
  encodeHotPatchTable,
  findSymbols,
  type PeImage,
  readImage,
} from 'hotpatch-lab/image';
import type { HookedProgram } from 'hotpatch-lab/proof';
import { fixture, fixtureBytes } from '../support.js';

/**
 * demo.dll with its hotpatch, and a second, cumulative one of the same contents.
 * @param options `originalBytes: false`: the records do not say what the entries were
 */
export function hookedDemo(
  architecture: 'x64' | 'x86' | 'arm64',
  { originalBytes = true } = {},
): HookedProgram {
  const described = (path: string, as = path) => {
    const image = readImage(fixtureBytes(`${architecture}/${path}`), { file: as });
    return { image, symbols: findSymbols({ image, path: fixture(`${architecture}/${path}`) }).table };
  };
  const first = described('patch/demo_hp.dll');
  const fixed = described('fixed/demo.dll');
  const table = first.image.hotPatch;
  if (table === undefined) throw new Error('the fixture has no hotpatch table');
  const bases = originalBytes
    ? table.bases
    : table.bases.map((base) => ({
        ...base,
        chunks: base.chunks.map((chunk) => ({
          ...chunk,
          records: chunk.records.map(({ rva, target }) => ({ rva, target })),
        })),
      }));
  const extraPatchSize = originalBytes ? table.extraPatchSize : 0;
  const patch = (sequenceNumber: number): PeImage =>
    readImage(
      appendHotPatchTable(
        fixed.image,
        encodeHotPatchTable({ ...table, bases, extraPatchSize, sequenceNumber }),
      ),
    );
  return {
    architecture,
    images: [
      { name: 'hpimport.dll', ...described('hpimport.dll') },
      { name: 'demo.dll', ...described('base/demo.dll') },
    ],
    patches: [
      { name: 'demo_hp.dll', image: patch(1), symbols: fixed.symbols },
      { name: 'demo_hp2.dll', image: patch(2), symbols: fixed.symbols },
    ],
    function: 'hp_entry',
    arguments: [0, 3, 4],
  };
}
