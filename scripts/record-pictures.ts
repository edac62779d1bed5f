/**
 * Takes the pictures of the recording page for the documentation, in Chromium: `npx tsx scripts/record-pictures.ts`.
 * They show the first trampoline scenario in the middle of the first call of the patched function.
 */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { loadScenario } from '../cli/scenario-file.js';
import { launchChromium } from '../test/viewer/chromium.js';
import { recordScenario, renderPage } from '../viewer/index.js';

const LARGEST = 300_000;
const PICTURES = [
  { name: 'recording-desktop.png', width: 1360, height: 900, colorScheme: 'light', deviceScaleFactor: 1 },
  { name: 'recording-phone.png', width: 390, height: 844, colorScheme: 'dark', deviceScaleFactor: 1.5 },
] as const;

const root = new URL('../', import.meta.url);
const scenario = await loadScenario(fileURLToPath(new URL('scenarios/first-trampoline.ts', root)));
const { recording, result } = await recordScenario(scenario);
if (result.error !== undefined) throw result.error;

const folder = mkdtempSync(join(tmpdir(), 'hotpatch-pictures-'));
const file = join(folder, 'page.html');
writeFileSync(file, await renderPage(recording));
const browser = await launchChromium();
try {
  for (const { name, width, height, ...look } of PICTURES) {
    const context = await browser.newContext({
      viewport: { width, height },
      reducedMotion: 'reduce',
      ...look,
    });
    const page = await context.newPage();
    await page.goto(pathToFileURL(file).href);
    await page.waitForSelector('html[data-ready]');
    await page.keyboard.press('t');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    const path = fileURLToPath(new URL(`docs/pictures/${name}`, root));
    await page.screenshot({ path });
    const { size } = statSync(path);
    if (size > LARGEST) throw new Error(`${name} has ${size} bytes, more than ${LARGEST}`);
    console.log(`docs/pictures/${name}: ${size} bytes`);
    await context.close();
  }
} finally {
  await browser.close();
  rmSync(folder, { recursive: true });
}
