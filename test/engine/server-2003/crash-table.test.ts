import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { crashTable } from './crash-table.js';

const DOCUMENT = new URL('../../../docs/two-generations.md', import.meta.url);
const BEGIN = '<!-- measured by test/engine/server-2003/crash-table.test.ts -->\n';
const END = '\n<!-- end of crashes -->';

describe('a power failure at every operation of the disk', () => {
  it('leaves all files of one hotfix, old or new, as the document says; HOTPATCH_WRITE_DOCS=1 writes it', () => {
    const { text, broken } = crashTable();
    expect(broken.slice(0, 5)).toEqual([]);
    const document = readFileSync(DOCUMENT, 'utf8');
    const [before = '', rest = ''] = document.split(BEGIN);
    const [, after = ''] = rest.split(END);
    const written = `${before}${BEGIN}${text}${END}${after}`;
    if (process.env.HOTPATCH_WRITE_DOCS !== undefined) writeFileSync(DOCUMENT, written);
    expect(document.includes(BEGIN)).toBe(true);
    expect(written).toBe(readFileSync(DOCUMENT, 'utf8'));
  });
});
