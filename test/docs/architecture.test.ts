import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
const picture = readFileSync(join(root, 'docs/architecture.svg'), 'utf8');

/** What looks like a path of this repository: `engine/modern/apply.ts`, `loader/exports/`. */
const paths = (text: string) => [
  ...new Set([...text.matchAll(/\b[a-z-]+\/[a-z0-9/-]*(?:\.ts)?(?![\w.])/g)].map(([path]) => path)),
];

describe('docs/architecture.md', () => {
  const inPage = paths([...page.matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code).join('\n'));

  it('names paths', () => expect(inPage.length).toBeGreaterThan(25));

  it.each(inPage)('%s exists', (path) => expect(existsSync(join(root, path))).toBe(true));

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
