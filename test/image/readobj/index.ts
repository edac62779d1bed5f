import { applyArm64xFixups, type PeImage, readImage } from '../../../image/index.js';
import {
  writeBaseRelocations,
  writeDebugDirectory,
  writeExports,
  writeImports,
  writeLoadConfig,
  writeTls,
} from './directories.js';
import { writeFileHeaders, writeSections } from './headers.js';
import { writeChpeMetadata, writeDynamicRelocations } from './hybrid.js';
import { Lines } from './text.js';
import { writeUnwind } from './unwind.js';

/** The options of llvm-readobj whose whole output `renderReadobj` reproduces. */
export const READOBJ_OPTIONS = [
  '--file-headers',
  '--sections',
  '--coff-imports',
  '--coff-exports',
  '--coff-basereloc',
  '--coff-load-config',
  '--coff-debug-directory',
  '--coff-tls-directory',
  '--unwind',
];

/** What llvm-readobj would print, from what our reader found; without the five lines that name the file. */
export function renderReadobj(image: PeImage): string[] {
  const out = new Lines();
  writeImage(out, image);
  const asArm64ec = applyArm64xFixups(image);
  if (asArm64ec !== undefined) {
    out.group('HybridObject', () => {
      out.field('Format', 'COFF-ARM64EC');
      out.field('Arch', 'aarch64');
      out.field('AddressSize', '64bit');
      writeImage(out, readImage(asArm64ec));
    });
  }
  return out.lines;
}

function writeImage(out: Lines, image: PeImage): void {
  writeFileHeaders(out, image);
  writeSections(out, image);
  writeUnwind(out, image);
  writeImports(out, image);
  writeExports(out, image);
  writeBaseRelocations(out, image);
  writeDebugDirectory(out, image);
  writeTls(out, image);
  writeLoadConfig(out, image);
  writeChpeMetadata(out, image);
  writeDynamicRelocations(out, image);
}
