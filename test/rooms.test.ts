import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const source = fileURLToPath(new URL('../', import.meta.url));

/** The rooms from the ground up: each may import those above it in this list. `cpu` and `image` stand side by side. */
const ROOMS = ['cpu', 'image', 'loader', 'engine', 'builder', 'lab', 'proof', 'debugger', 'viewer', 'cli'];

function allowed(from: string, to: string): boolean {
  if (from === to) return true;
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
  return relative(source, path).split('/')[0] ?? '';
}

const files = ROOMS.flatMap((room) =>
  readdirSync(join(source, room), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(source, room, file)),
);

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

/** `threads` of `loader/threads/dpc.ts`; '' of what stands at the top of the loader, or in another room. */
function subRoomOf(path: string): string {
  const [room, sub = '', rest] = path.split('/');
  return room === 'loader' && rest !== undefined ? sub : '';
}

describe('the house plan', () => {
  it('finds the imports that it is to judge', () => {
    expect(imports.length).toBeGreaterThan(100);
    expect(imports.some(({ from, to }) => from === 'engine' && to === 'loader')).toBe(true);
  });

  it('is what the root of the repository shows', () => {
    const beside = ['bench', 'bin', 'docs', 'editors', 'examples', 'scenarios', 'scripts', 'test'];
    const kept = execFileSync('git', ['ls-files'], { cwd: source, encoding: 'utf8' }).split('\n');
    const folders = kept.filter((file) => /^[^.].*\//.test(file)).map((file) => file.split('/')[0]);
    expect([...new Set(folders)].sort()).toEqual([...ROOMS, ...beside].sort());
  });

  it('imports only downwards', () => {
    expect(
      imports
        .filter(({ from, to }) => !allowed(from, to))
        .map(({ file, target }) => `${file} imports ${target}`),
    ).toEqual([]);
  });

  it('opens each room by its index.ts', () => {
    const trespassing = imports.filter(({ from, to, target }) => from !== to && target !== `${to}/index.js`);
    expect(trespassing.map(({ file, target }) => `${file} imports ${target}`)).toEqual([]);
  });

  it("opens each of the loader's rooms by its index.ts", () => {
    const roomsOf = imports.filter(({ file, target }) => subRoomOf(file) !== subRoomOf(target));
    const trespassing = roomsOf.filter(
      ({ target }) => subRoomOf(target) !== '' && !target.endsWith(`/${subRoomOf(target)}/index.js`),
    );
    expect(roomsOf.length).toBeGreaterThan(100);
    expect(trespassing.map(({ file, target }) => `${file} imports ${target}`)).toEqual([]);
  });
});
