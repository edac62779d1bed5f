import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { BuildError, buildHotPatch, buildHotPatch2003 } from '../../../builder/index.js';
import { findSymbols, readImage } from '../../../image/index.js';
import { fixture, fixtureBytes } from '../../support.js';
import { measureBoth, tableOf } from './compare-generations.js';

const DOCUMENT = new URL('../../../docs/two-generations.md', import.meta.url);
const BEGIN = '<!-- measured by test/engine/server-2003/two-generations.test.ts -->\n';
const END = '\n<!-- end -->';

describe('the same fix through both generations', () => {
  it('measures what the document says; HOTPATCH_WRITE_DOCS=1 writes it', async () => {
    const table = tableOf(await measureBoth());
    const text = readFileSync(DOCUMENT, 'utf8');
    const [before = '', rest = ''] = text.split(BEGIN);
    const [, after = ''] = rest.split(END);
    const written = `${before}${BEGIN}${table}${END}${after}`;
    if (process.env.HOTPATCH_WRITE_DOCS !== undefined) writeFileSync(DOCUMENT, written);
    expect(text.includes(BEGIN)).toBe(true);
    expect(written).toBe(readFileSync(DOCUMENT, 'utf8'));
  });
});

describe('a fix that needs a new import', () => {
  const source = (path: string) => {
    const image = readImage(fixtureBytes(path), { file: path });
    return { image, symbols: findSymbols({ image, path: fixture(path) }).table };
  };
  const builds = { base: source('x64/base/demo.dll'), fixed: source('x64/fixed/demo.dll') };

  it('is a hotpatch of the modern generation', () =>
    expect(buildHotPatch(builds).bytes.length).toBeGreaterThan(0));

  it('is refused in the 2003 one', () => {
    const refused = () => buildHotPatch2003(builds);
    expect(refused).toThrow(BuildError);
    expect(refused).toThrow(/import that the base has not/);
  });
});
