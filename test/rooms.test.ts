import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const source = fileURLToPath(new URL('../src/', import.meta.url));

/** The rooms from the ground up: each may import those above it in this list. `cpu` and `image` stand side by side. */
const ROOMS = ['cpu', 'image', 'loader', 'engine', 'builder', 'proof', 'debugger', 'viewer', 'cli'];
/** Files outside the rooms: they compose them, and only the command line may use those. */
const COMPOSITION = 'composition';

function allowed(from: string, to: string): boolean {
  if (from === to) return true;
  if (to === COMPOSITION) return ROOMS.indexOf(from) >= ROOMS.indexOf('proof');
  if (from === COMPOSITION) return to !== 'cli';
  if (from === 'image') return false;
  return ROOMS.indexOf(to) < ROOMS.indexOf(from);
}

interface Import {
  readonly file: string;
  readonly from: string;
  readonly to: string;
  readonly target: string;
}

function roomOf(path: string): string {
  const [first = '', second] = relative(source, path).split('/');
  return second === undefined ? COMPOSITION : first;
}

const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => join(source, file));

const imports: Import[] = files.flatMap((file) =>
  [...readFileSync(file, 'utf8').matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map(
    ([, specifier = '']) => {
      const target = resolve(dirname(file), specifier);
      return {
        file: relative(source, file),
        from: roomOf(file),
        to: roomOf(target),
        target: relative(source, target),
      };
    },
  ),
);

describe('the house plan', () => {
  it('finds the imports that it is to judge', () => {
    expect(imports.length).toBeGreaterThan(100);
    expect(imports.some(({ from, to }) => from === 'engine' && to === 'loader')).toBe(true);
  });

  it('has no other rooms', () => {
    expect(
      [...new Set(files.map(roomOf))].filter((room) => room !== COMPOSITION && !ROOMS.includes(room)),
    ).toEqual([]);
  });

  it('imports only downwards', () => {
    expect(
      imports
        .filter(({ from, to }) => !allowed(from, to))
        .map(({ file, target }) => `${file} imports ${target}`),
    ).toEqual([]);
  });

  it('opens each room by its index.ts', () => {
    const trespassing = imports.filter(
      ({ from, to, target }) => from !== to && to !== COMPOSITION && target !== `${to}/index.js`,
    );
    expect(trespassing.map(({ file, target }) => `${file} imports ${target}`)).toEqual([]);
  });
});
