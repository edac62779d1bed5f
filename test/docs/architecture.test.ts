import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
const picture = readFileSync(join(root, 'docs/architecture.svg'), 'utf8');

/** What looks like a path of this repository: `engine/modern/apply.ts`, `loader/exports/`. */
const paths = (text: string) => [
  ...new Set([...text.matchAll(/\b[a-z-]+\/[a-z0-9./-]*/g)].map(([path]) => path.replace(/\.$/, ''))),
];

/** The tables of the loader and of the engine name what is inside them. */
const exists = (path: string) => ['', 'loader', 'engine'].some((room) => existsSync(join(root, room, path)));

describe('references of the sources to docs/fidelity.md', () => {
  const fidelity = readFileSync(join(root, 'docs/fidelity.md'), 'utf8');
  const slug = (heading: string) =>
    heading
      .toLowerCase()
      .replace(/[^a-z0-9 -]/g, '')
      .replaceAll(' ', '-');
  const anchors = new Set([
    ...[...fidelity.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => slug(heading)),
    ...[...fidelity.matchAll(/<a id="([^"]+)">/g)].map(([, id = '']) => id),
  ]);
  const sources = execFileSync('git', ['ls-files', '*.ts'], { cwd: root, encoding: 'utf8' })
    .trim()
    .split('\n');
  const references = sources.flatMap((file) =>
    [...readFileSync(join(root, file), 'utf8').matchAll(/docs\/fidelity\.md#([a-z0-9-]+)/g)].map(
      ([, anchor = '']) => ({ file, anchor }),
    ),
  );

  it('lead to an anchor', () => {
    expect(references.length).toBeGreaterThan(40);
    expect(references.filter(({ anchor }) => !anchors.has(anchor))).toEqual([]);
  });
});

describe('docs/architecture.md', () => {
  const inPage = paths([...page.matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code).join('\n'));

  it('names paths', () => expect(inPage.length).toBeGreaterThan(25));

  it.each(inPage)('%s exists', (path) => expect(exists(path)).toBe(true));

  it('has the five answers of a stranger', () => {
    const answers = page.match(/^- \*\*(Where|What) .*\?\*\*/gm) ?? [];
    expect(answers.length).toBe(5);
  });

  it('has a picture whose files exist', () => {
    const files = [...picture.matchAll(/class="path"[^>]*>([^<]+)</g)].map(([, file = '']) => file);
    expect(files.length).toBe(8);
    for (const file of files)
      expect({ file, exists: existsSync(join(root, file)) }).toEqual({ file, exists: true });
  });
});
