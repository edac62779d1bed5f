import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import type { Word } from './words.js';

/** An empty folder for each test, which is the working directory meanwhile. */
export function workFolder(): { readonly path: string } {
  const before = process.cwd();
  let top = '';
  let count = 0;
  let path = '';
  beforeAll(async () => {
    // It starts its service in the folder in which it was loaded, which must not be one that goes.
    await import('esbuild');
    top = mkdtempSync(join(tmpdir(), 'hotpatch-table-'));
  });
  beforeEach(() => {
    path = join(top, String(count++));
    mkdirSync(path);
    process.chdir(path);
  });
  afterAll(() => {
    process.chdir(before);
    rmSync(top, { recursive: true });
  });
  return {
    get path() {
      return path;
    },
  };
}

/** Puts the files of some words into a folder, and says the words with their paths. */
export function place(work: string, words: readonly Word[], folder = ''): string[] {
  mkdirSync(join(work, folder), { recursive: true });
  return words.map((word) => {
    if (typeof word === 'string') return word;
    const path = join(work, folder, word.name);
    if (word.kind === 'output') return path;
    if (word.contents === undefined) mkdirSync(path, { recursive: true });
    else writeFileSync(path, word.contents());
    for (const [name, contents] of Object.entries(word.beside))
      writeFileSync(join(word.contents === undefined ? path : join(work, folder), name), contents());
    return `${word.prefix}${path}`;
  });
}

/** Half-written files. */
export function leftovers(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.tmp'));
}
