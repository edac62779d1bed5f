import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../../', import.meta.url));
const isImage = (file: string) => /\.(dll|exe|sys|node)$/.test(file);

function imagesUnder(folder: string): string[] {
  const root = join(repository, folder);
  if (!existsSync(root)) return [];
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter(isImage)
    .map((file) => join(folder, file))
    .sort();
}

export const inRepository = (file: string): string => join(repository, file);

/** Microsoft's conpty.dll and OpenConsole.exe (signed), winpty and .node modules of MSVC, for x64 and ARM64. */
export const nodePtyImages: readonly string[] = ['win32-x64', 'win32-arm64'].flatMap((folder) =>
  imagesUnder(`node_modules/node-pty/prebuilds/${folder}`),
);

/** Drivers and DLLs of clang and lld, and hotpatches for them. */
export const fixtureImages: readonly string[] = imagesUnder('test/fixtures');

/** What scripts/build-image-fixtures.ts built. */
export const variousImages: readonly string[] = imagesUnder('test/image/fixtures');

/** What scripts/fetch-test-images.ts fetched. */
export const fetchedImages: readonly string[] = imagesUnder('test/.cache/images');
if (fetchedImages.length === 0) {
  console.warn(
    'SKIPPED: images of Rust, MSVC and x86; fetch them with: npx tsx scripts/fetch-test-images.ts',
  );
}
