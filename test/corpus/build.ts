/**
 * Builds the corpus programs with clang-22 and lld-link-22 for x64, ARM64 and x86 into
 * images/<architecture>/<program>/{base,fix1,…}/: image and map, small enough to be checked in.
 *
 * Usage: npx tsx test/corpus/build.ts [PROGRAM…]
 */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CorpusCase } from './case.js';
import { CASES } from './cases.js';
import { ARCHITECTURES, type Architecture, buildImage } from './toolchain.js';
import { imageName } from './victim.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));

function build(definition: CorpusCase, architecture: Architecture, fix: number): void {
  const { name, kind, marked } = definition;
  const image = imageName(definition);
  const work = mkdtempSync(join(tmpdir(), 'hotpatch-corpus-'));
  try {
    buildImage({
      architecture,
      folder: work,
      image,
      sources: [
        {
          file: join(HERE, 'programs', name, `${name}.c`),
          flags: [`-DHP_FIX=${fix}`],
          ...(fix === 0 ? {} : { marked }),
        },
      ],
      imports:
        kind === 'driver' ? [join(HERE, `programs/ntoskrnl${architecture === 'x86' ? '.x86' : ''}.def`)] : [],
    });
    const out = join(HERE, 'images', architecture, name, fix === 0 ? 'base' : `fix${fix}`);
    mkdirSync(out, { recursive: true });
    for (const file of [image, `${name}.map`]) copyFileSync(join(work, file), join(out, file));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

const wanted = process.argv.slice(2);
for (const definition of CASES)
  if (wanted.length === 0 || wanted.includes(definition.name))
    for (const architecture of ARCHITECTURES)
      for (const fix of [0, ...(definition.fixes ?? [1])]) build(definition, architecture, fix);
