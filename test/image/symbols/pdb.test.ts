import { readFileSync } from 'node:fs';
import { expect, describe as group, test } from 'vitest';
import { type Pdb, pdbMatches, readImage, readPdb } from '../../../src/image/index.js';
import {
  architectures,
  type Build,
  build,
  fixtures,
  haveCompiler,
  haveTools,
  nodePty,
  shown,
} from './builds.js';
import { describe, describeContribution, pdbutil } from './pdbutil.js';

const builds: Build[] = haveCompiler ? architectures.map((architecture) => build(architecture)) : [];
const pdbs = [...builds.map(({ pdb }) => pdb), ...fixtures(/\.pdb$/), ...nodePty(/\.pdb$/)];

const open = (path: string): Pdb => readPdb(readFileSync(path), { file: path });

group.skipIf(!haveTools('llvm-pdbutil-22'))('a PDB says the same to llvm-pdbutil and to us', () => {
  test.each(pdbs.map((path) => [shown(path), path]))('%s', (_name, path) => {
    const pdb = open(path);
    const theirs = pdbutil(path);

    expect(theirs.summary).toMatchObject({
      'Block Size': String(pdb.blockSize),
      'Number of streams': String(pdb.streamCount),
      Signature: String(pdb.info.signature),
      Age: String(pdb.info.age),
      GUID: `{${pdb.guid}}`,
      'Is incrementally linked': String(pdb.dbi.isIncrementallyLinked),
      'Is stripped': String(pdb.dbi.isStripped),
    });
    expect(pdb.globals.map(describe)).toEqual(theirs.globals);
    expect(pdb.publics.map(describe)).toEqual(theirs.publics);
    expect(pdb.modules.map(({ name, symbols }) => ({ name, symbols: symbols.map(describe) }))).toEqual(
      theirs.modules,
    );
    expect(pdb.sectionContributions.map(describeContribution)).toEqual(theirs.contributions);
    expect(
      pdb.sections.map(({ name, virtualSize, virtualAddress }) => ({ name, virtualSize, virtualAddress })),
    ).toEqual(theirs.sections);
    expect(pdb.publics.length + pdb.globals.length).toBeGreaterThan(0);
  });
});

group('GUID and age', () => {
  const images = [...builds.map(({ image }) => image), ...nodePty(/\.(?:node|dll|exe)$/)].filter((image) =>
    pdbs.includes(image.replace(/\.\w+$/, '.pdb')),
  );
  test.each(images.map((path) => [shown(path), path]))(
    '%s belongs to the PDB beside it and to no other',
    (_name, path) => {
      const image = readImage(readFileSync(path));
      const beside = path.replace(/\.\w+$/, '.pdb');
      const matching = pdbs.filter((pdb) => pdbMatches(image, open(pdb)));
      expect(matching).toEqual([beside]);
    },
  );
});
