import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { installCommands, Page, pagePaths, root, typeErrors } from './page.js';

/** `UPDATE_DOCS=1 npm run test:whole -- test/docs` writes what was printed into the pages. */
const update = process.env.UPDATE_DOCS === '1';
const only = process.env.DOCS_PAGE;
const pages = pagePaths()
  .filter((path) => only === undefined || path.includes(only))
  .map((path) => new Page(path));

/** The pages run the package as users do: what was built, not the sources. */
function build(): void {
  const built = join(root, 'dist', '.tsbuildinfo');
  const { include } = JSON.parse(readFileSync(join(root, 'tsconfig.build.json'), 'utf8')) as {
    include: string[];
  };
  const newest = Math.max(
    ...include.flatMap((room) =>
      readdirSync(join(root, room), { recursive: true, encoding: 'utf8' }).map(
        (path) => statSync(join(root, room, path)).mtimeMs,
      ),
    ),
  );
  if (existsSync(built) && statSync(built).mtimeMs >= newest) return;
  spawnSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: 'inherit' });
}

describe.skipIf(process.platform === 'win32')('the documentation', () => {
  beforeAll(() => {
    if (process.env.HOTPATCH_DOCS_NO_BUILD !== '1') build();
    installCommands();
    for (const page of pages) page.prepare();
  }, 300_000);

  it.concurrent.each(pages)(
    '$path: every command prints what the page shows',
    async (page) => {
      const mistakes = await page.run({ update });
      expect(mistakes.map(({ line, text }) => `${page.path}:${line}: ${text}`).join('\n\n'), page.path).toBe(
        '',
      );
    },
    600_000,
  );

  it.each(pages)('$path: every link leads somewhere', (page) => {
    expect(page.brokenLinks()).toEqual([]);
  });

  it('shows TypeScript that compiles', () => {
    expect(typeErrors(pages)).toBe('');
  }, 120_000);
});
