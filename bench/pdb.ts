/**
 * Reading PDBs of Microsoft's linker: everything that has a name and an address, from bytes to both look-ups.
 * Goal: 300 ms for 5 MB, in a fresh process.
 *
 *     npx tsx bench/pdb.ts
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Bench } from 'tinybench';
import { type Pdb, readPdb } from '../image/index.js';

const prebuilds = fileURLToPath(new URL('../node_modules/node-pty/prebuilds/', import.meta.url));
const files = ['win32-x64/winpty.pdb', 'win32-x64/conpty.pdb', 'win32-arm64/conpty.pdb'];

export function pdbBench(): Bench {
  const bench = new Bench({ name: 'PDB', time: 500 });
  for (const file of files) {
    const bytes = readFileSync(prebuilds + file);
    const size = `${(bytes.length / 1e6).toFixed(1)} MB`;
    bench.add(`${file} (${size}): publics only`, () => void readPdb(bytes).publics);
    bench.add(`${file} (${size}): section contributions`, () => void readPdb(bytes).sectionContributions);
    bench.add(`${file} (${size}): all symbols`, () => lookUp(readPdb(bytes)));
  }
  return bench;
}

function lookUp(pdb: Pdb): void {
  pdb.symbols.byName('DllMain');
  pdb.symbols.byAddress(0x1000);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const file of files) {
    const bytes = readFileSync(prebuilds + file);
    const started = performance.now();
    lookUp(readPdb(bytes));
    console.log(`first time: ${file} ${(performance.now() - started).toFixed(0)} ms`);
  }
  const bench = pdbBench();
  await bench.run();
  console.table(bench.table());
}
