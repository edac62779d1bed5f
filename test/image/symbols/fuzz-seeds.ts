import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { SymbolSeed } from '../../../campaign/fuzz/symbols.js';
import { architectures, build, fixtures, haveCompiler, nodePty } from './builds.js';

/** Small files of lld where there is a compiler, maps of the fixtures always, else one PDB of MSVC. */
export function fuzzSeeds(): SymbolSeed[] {
  const seed = (kind: SymbolSeed['kind']) => (path: string) => ({
    name: basename(path),
    kind,
    bytes: readFileSync(path),
  });
  const builds = haveCompiler ? architectures.map((architecture) => build(architecture)) : [];
  const pdbs = haveCompiler
    ? builds.map(({ pdb }) => pdb)
    : nodePty(/^conpty_console_list\.pdb$/).slice(0, 1);
  return [
    ...pdbs.map(seed('pdb')),
    ...pdbs.map(seed('pdb')),
    ...builds.flatMap(({ objects }) => objects.slice(0, 1)).map(seed('obj')),
    ...builds
      .map(({ image }) => image.replace(/dll$/, 'lib'))
      .slice(0, 1)
      .map(seed('lib')),
    ...[...builds.map(({ map }) => map), ...fixtures(/demo\.map$/)].slice(0, 3).map(seed('map')),
  ];
}
