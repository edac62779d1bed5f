import { createHash, randomFillSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { readImage } from 'hotpatch-lab/image';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha1, sha256 } from '../../image/sha.js';
import { fixture } from '../support.js';
import { findChromium, launchChromium } from '../viewer/chromium.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const example = `${root}examples/image-in-browser`;

/** The page of the example, with `hotpatch-lab/image` as browsers get it. */
async function bundle() {
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    entryPoints: [`${example}/main.ts`],
    alias: { 'hotpatch-lab/image': `${root}image/portable.ts` },
    bundle: true,
    format: 'esm',
    platform: 'browser',
    metafile: true,
    write: false,
  });
  return { script: outputFiles[0]?.text ?? '', inputs: Object.keys(metafile.inputs) };
}

describe('hotpatch-lab/image in a browser', () => {
  it('bundles without Node, koffi, Unicorn or any other package', async () => {
    const { inputs, script } = await bundle();
    expect(inputs.filter((input) => !/^(image|examples\/image-in-browser)\//.test(input))).toEqual([]);
    expect(script).not.toMatch(/\brequire\(|from ['"]node:|\bBuffer\.|\bprocess\./);
  });

  it('is what the package gives to browsers', () => {
    const { exports } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as {
      exports: Record<string, { browser?: { default: string } }>;
    };
    expect(exports['./image']?.browser?.default).toBe('./dist/image/portable.js');
  });
});

describe('digests', () => {
  it.each([0, 1, 55, 56, 63, 64, 65, 119, 120, 1000, 100_003])('of %i bytes are those of Node', (length) => {
    const bytes = randomFillSync(new Uint8Array(length));
    for (const [name, own] of [
      ['sha1', sha1],
      ['sha256', sha256],
    ] as const)
      expect(Buffer.from(own(bytes)).toString('hex')).toBe(createHash(name).update(bytes).digest('hex'));
  });
});

describe.skipIf(findChromium() === undefined)('the page on which images are dropped', () => {
  let browser: Browser;
  let page: Page;
  beforeAll(async () => {
    browser = await launchChromium();
    const { script } = await bundle();
    page = await browser.newPage();
    const html = readFileSync(`${example}/index.html`, 'utf8');
    await page.setContent(html.replace('<script type="module" src="main.js"></script>', ''));
    await page.addScriptTag({ content: script, type: 'module' });
  });
  afterAll(() => browser.close());

  async function dropped(...paths: string[]): Promise<string> {
    const files = paths.map((path) => ({
      name: basename(path),
      base64: readFileSync(path).toString('base64'),
    }));
    await page.evaluate(`{
      const transfer = new DataTransfer();
      for (const { name, base64 } of ${JSON.stringify(files)})
        transfer.items.add(new File([Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))], name));
      document.querySelector('#drop').dispatchEvent(
        new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }));
    }`);
    await page.waitForFunction(`document.querySelector('#result').textContent !== ''`);
    const text = await page.innerText('#result');
    await page.evaluate(`document.querySelector('#result').replaceChildren()`);
    return text;
  }

  it.each(['x64', 'arm64', 'x86'])('shows every record of a hotpatch for %s', async (architecture) => {
    const path = fixture(`${architecture}/patch/demo_hp.dll`);
    const table = readImage(readFileSync(path)).hotPatch;
    const text = await dropped(path, fixture(`${architecture}/patch/demo_hp.map`));
    expect(text).toContain(`Hotpatch table of version ${table?.version}, sequence number 1`);
    const records = table?.bases.flatMap(({ chunks }) => chunks.flatMap((chunk) => chunk.records)) ?? [];
    expect(text.match(/^(forward|backward)\t/gm)).toHaveLength(records.length);
    expect(text).toMatch(/forward\tFUNCTION\t0x[0-9a-f]+\thp_entry/);
  });

  it('says what is none, and what is broken', async () => {
    expect(await dropped(fixture('x64/base/demo.dll'))).toContain('it has no hotpatch table');
    expect(await dropped(fixture('x64/base/demo.map'))).toContain('None of these is an image');
    const wrong = await dropped(fixture('x64/patch/demo_hp.dll'), fixture('x64/base/packets.map'));
    expect(wrong).toContain('the map is of another build');
  });
});
