import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ROOMS } from '../scripts/setup/rooms.js';

const source = fileURLToPath(new URL('../', import.meta.url));

/** Each room may import those above it in the list; `image` takes a type of `cpu`, and no more. */
function allowed(from: string, to: string): boolean {
  if (from === to) return true;
  return ROOMS.indexOf(to) < ROOMS.indexOf(from);
}

interface Import {
  readonly file: string;
  readonly from: string;
  readonly to: string;
  readonly target: string;
  /** Does it need nothing of the other file when the program runs? */
  readonly isType: boolean;
}

function roomOf(path: string): string {
  return relative(source, path).split('/')[0] ?? '';
}

const files = ROOMS.flatMap((room) =>
  readdirSync(join(source, room), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(source, room, file)),
);

/** `import … from '…'`, `export … from '…'`, `import '…'` and `import('…')` of files of the repository. */
const STATEMENT = /(?:(?:import|export)\s+([^;'"]*?)\s*from|import\s*\(?)\s*'(\.[^']+)'/g;

const imports: Import[] = files.flatMap((file) =>
  [...readFileSync(file, 'utf8').matchAll(STATEMENT)].map(([, names, specifier = '']) => {
    const target = resolve(dirname(file), specifier);
    return {
      file: relative(source, file),
      from: roomOf(file),
      to: roomOf(target),
      target: relative(source, target),
      isType: names !== undefined && isTypeOnly(names),
    };
  }),
);

/** `type { A, B }`, or `{ type A, type B }`. */
function isTypeOnly(names: string): boolean {
  if (/^type\b/.test(names)) return true;
  const [, list] = /^\{(.*)\}$/s.exec(names) ?? [];
  const given = list?.split(',').filter((name) => name.trim() !== '');
  return given?.every((name) => /^\s*type\s/.test(name)) ?? false;
}

/** The files that need each other, as strongly connected components of more than one file (Tarjan). */
function circlesOf(edges: readonly Import[]): string[][] {
  const next = new Map<string, string[]>();
  for (const { file, target } of edges)
    next.set(file, [...(next.get(file) ?? []), target.replace(/\.js$/, '.ts')]);
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const circles: string[][] = [];
  const visit = (file: string): void => {
    index.set(file, index.size);
    low.set(file, index.get(file) ?? 0);
    stack.push(file);
    for (const target of next.get(file) ?? []) {
      if (!index.has(target)) visit(target);
      if (stack.includes(target)) low.set(file, Math.min(low.get(file) ?? 0, low.get(target) ?? 0));
    }
    if (low.get(file) !== index.get(file)) return;
    const circle = stack.splice(stack.indexOf(file));
    if (circle.length > 1) circles.push(circle.sort());
  };
  for (const file of next.keys()) if (!index.has(file)) visit(file);
  return circles;
}

/** The loader's rooms from the ground up: each may import those above it in this list. */
const LOADER_ROOMS = [
  'common',
  'files',
  'memory',
  'images',
  'secure',
  'threads',
  'processes',
  'io',
  'dispatch',
  'services',
  'exports',
  'boot',
];

/** The folders of the other rooms, likewise; beside them stand files that all of them use, and those that use all of them. */
const FOLDERS: Readonly<Record<string, readonly string[]>> = {
  cpu: ['unicorn', 'encode', 'architecture', 'instruction', 'emulation', 'assembler'],
  image: ['hotpatch', 'symbols', 'unwind', 'write', 'hotp1', 'check', 'describe', 'memory'],
  engine: ['core', 'modern', 'server-2003'],
  builder: ['checks', 'server-2003', 'make'],
  proof: ['shapes', 'protocols', 'faults', 'refusals', 'hooks', 'explore', 'reduction'],
  debugger: ['commands', 'dump', 'gdb', 'dap', 'export'],
  viewer: ['styles', 'recording', 'recorder'],
  campaign: ['fuzz', 'programs', 'kinds', 'store', 'queue', 'report'],
};

/** `threads` of `loader/threads/dpc.ts`; '' of what stands at the top of its room. */
function folderOf(path: string): string {
  const [, folder = '', rest] = path.split('/');
  return rest === undefined ? '' : folder;
}

/** The folder of a file of the loader; '' of what stands at its top, or in another room. */
function subRoomOf(path: string): string {
  return path.startsWith('loader/') ? folderOf(path) : '';
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

  it('gives image nothing of cpu but types', () => {
    const taken = imports.filter(({ from, to }) => from === 'image' && to === 'cpu');
    expect(taken.length).toBeGreaterThan(0);
    expect(taken.filter(({ isType }) => !isType)).toEqual([]);
  });

  it.each(Object.entries(FOLDERS))(
    'imports only downwards between the folders of %s, types too',
    (room, order) => {
      const inside = imports.filter(({ from, to }) => from === room && to === room);
      const between = inside.filter(({ file, target }) => {
        const [from, to] = [folderOf(file), folderOf(target)];
        return from !== '' && to !== '' && from !== to && from !== 'client';
      });
      const folders = new Set(
        inside.map(({ file }) => folderOf(file)).filter((name) => !/^(client)?$/.test(name)),
      );
      expect([...folders].filter((folder) => !order.includes(folder))).toEqual([]);
      expect(between.length).toBeGreaterThan(0);
      const upwards = between.filter(
        ({ file, target }) => order.indexOf(folderOf(target)) > order.indexOf(folderOf(file)),
      );
      expect(upwards.map(({ file, target }) => `${file} imports ${target}`)).toEqual([]);
    },
  );

  it('opens the folders of engine by their index.ts, and keeps the two engines apart', () => {
    const between = imports.filter(
      ({ file, from, to, target }) =>
        from === 'engine' &&
        to === 'engine' &&
        folderOf(file) !== folderOf(target) &&
        folderOf(target) !== '',
    );
    expect(between.length).toBeGreaterThan(20);
    const trespassing = between.filter(({ target }) => !target.endsWith('/index.js'));
    const rivals = between.filter(({ file, target }) =>
      ['modern', 'server-2003'].every((engine) => [folderOf(file), folderOf(target)].includes(engine)),
    );
    expect([...trespassing, ...rivals].map(({ file, target }) => `${file} imports ${target}`)).toEqual([]);
  });

  it("opens each of the loader's rooms by its index.ts", () => {
    const roomsOf = imports.filter(({ file, target }) => subRoomOf(file) !== subRoomOf(target));
    const trespassing = roomsOf.filter(
      ({ target }) => subRoomOf(target) !== '' && !target.endsWith(`/${subRoomOf(target)}/index.js`),
    );
    expect(roomsOf.length).toBeGreaterThan(100);
    expect(trespassing.map(({ file, target }) => `${file} imports ${target}`)).toEqual([]);
  });

  it("imports only downwards between the loader's rooms, types too", () => {
    const between = imports.filter(
      ({ file, target }) => subRoomOf(file) !== '' && roomOf(join(source, target)) === 'loader',
    );
    const upwards = between.filter(({ file, target }) => {
      const [from, to] = [subRoomOf(file), subRoomOf(target)];
      return to !== from && (to === '' || LOADER_ROOMS.indexOf(to) > LOADER_ROOMS.indexOf(from));
    });
    const rooms = new Set(between.map(({ file }) => subRoomOf(file)));
    expect([...rooms].sort()).toEqual([...LOADER_ROOMS].sort());
    expect(upwards.map(({ file, target }) => `${file} imports ${target}`)).toEqual([]);
  });

  it('has no circle of files that need each other when the program runs', () => {
    expect(circlesOf(imports.filter(({ isType }) => !isType))).toEqual([]);
  });

  it("has circles of types only within one of the loader's rooms", () => {
    const places = circlesOf(imports)
      .map((circle) => [...new Set(circle.map((file) => file.split('/').slice(0, -1).join('/')))])
      .filter((folders) => folders.some((folder) => folder.startsWith('loader')))
      .map((folders) => new Set(folders.map((folder) => folder.split('/').slice(0, 2).join('/'))));
    expect(places.filter((rooms) => rooms.size > 1)).toEqual([]);
  });

  it('finds circles, and tells types from values', () => {
    const edge = (file: string, target: string) => ({ file, target, from: '', to: '', isType: false });
    const edges = [edge('a.ts', 'b.js'), edge('b.ts', 'c.js'), edge('c.ts', 'b.js'), edge('d.ts', 'a.js')];
    expect(circlesOf(edges)).toEqual([['b.ts', 'c.ts']]);
    expect(['type { A }', '{ type A, type B }', '{ type A, B }', '* as a', 'A'].map(isTypeOnly)).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });
});
