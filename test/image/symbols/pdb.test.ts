import { readFileSync } from 'node:fs';
import { expect, describe as group, test } from 'vitest';
import { type Pdb, pdbMatches, readImage, readPdb } from '../../../image/index.js';
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

test('what the documentation of readPdb shows, on a library of MSVC', () => {
  const [file = ''] = nodePty(/^winpty\.pdb$/).filter((path) => path.includes('x64'));
  const pdb = readPdb(readFileSync(file), { file });
  expect(pdbMatches(readImage(readFileSync(file.replace(/pdb$/, 'dll'))), pdb)).toBe(true);

  const symbol = pdb.symbols.byName('winpty_open');
  expect(symbol).toMatchObject({ kind: 'function', isStatic: false, module: 'winpty.obj' });
  const { rva = 0, size = 0 } = symbol ?? {};
  expect(size).toBeGreaterThan(16);
  expect(pdb.symbols.byAddress(rva + 9)).toEqual({ symbol, offset: 9 });

  const records = pdb.modules.flatMap((module) => module.symbols.map((record) => ({ module, record })));
  const procedure = records.find(({ record }) => 'end' in record && record.name === 'winpty_open');
  expect(procedure?.record).toMatchObject({ kind: 'S_GPROC32', size });
  expect(procedure?.module.shortName).toBe('winpty.obj');
  expect(pdb.sectionContributions.some(({ dataCrc }) => dataCrc !== 0)).toBe(true);
  // Bytes, and not a Buffer, whose slices would be views.
  expect(Object.getPrototypeOf(pdb.stream(1))).toBe(Uint8Array.prototype);
});
