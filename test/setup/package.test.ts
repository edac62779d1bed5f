import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { ROOMS } from '../../scripts/setup/rooms.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const { sideEffects } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  sideEffects: string[];
};
/** `*` stands for one name of a path. */
const patterns = sideEffects.map(
  (glob) =>
    new RegExp(
      `^${glob
        .replace(/^\.\/dist\//, '')
        .replaceAll('.', '\\.')
        .replaceAll('*', '[^/]+')}$`,
    ),
);
const isListed = (file: string) => patterns.some((pattern) => pattern.test(file.replace(/\.ts$/, '.js')));

const sources = ROOMS.flatMap((room) =>
  readdirSync(join(root, room), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(room, file).replaceAll('\\', '/')),
);

/** `import './x.js'`: for what x does, not for what it exports. */
const BARE_IMPORT = /^import '(\..*)\.js';$/gm;

// A bundler leaves out every other module of which nothing is used (https://webpack.js.org/guides/tree-shaking/).
it('lists every module that is imported for what it does, and who imports it', () => {
  const missing: string[] = [];
  let count = 0;
  for (const file of sources)
    for (const [, path = ''] of readFileSync(join(root, file), 'utf8').matchAll(BARE_IMPORT)) {
      count++;
      const target = new URL(`${path}.ts`, `file:///${file}`).pathname.slice(1);
      missing.push(...[file, target].filter((module) => !isListed(module)));
    }
  expect(count).toBeGreaterThan(0);
  expect(missing).toEqual([]);
});

it('lists what users import for what it does, and nothing of the library of images but its room', () => {
  expect(isListed('lab/vitest.ts')).toBe(true);
  expect(sources.filter((file) => file.startsWith('image/') && isListed(file))).toEqual(['image/index.ts']);
});
