import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { defineScenario, Lab } from 'hotpatch-lab';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Recording, Replay, recordScenario, renderPage } from '../../viewer/index.js';
import { demoScenario } from '../debugger/debug.js';
import { fixture } from '../support.js';
import { findChromium, launchChromium } from './chromium.js';

const NASTY = '</script><img src=x onerror=alert(1)> & "quotes"';

const leafScenario = defineScenario(NASTY, async ({ say }) => {
  const lab = await Lab.boot({ architecture: 'x64' });
  await lab.loadImage(fixture('x64/hpimport.dll'));
  const demo = await lab.loadImage(fixture('x64/base/demo.dll'));
  say(`<b>${NASTY}</b>`);
  lab.call(demo.symbol('leaf_opaque'));
  await lab.loadHotPatch(fixture('x64/patch/demo_hp.dll'));
  lab.call(demo.symbol('leaf_opaque'));
});

const browserIsNeeded = process.env.CI === 'true';
const hasBrowser = findChromium() !== undefined;
if (!hasBrowser && !browserIsNeeded)
  console.warn('the page is not tested: there is no Chromium (install it, or set CHROMIUM to one)');

describe.skipIf(!hasBrowser && !browserIsNeeded)('the page, in Chromium', () => {
  const folder = mkdtempSync(join(tmpdir(), 'hotpatch-page-'));
  const recordings = new Map<string, Recording>();
  let browser: Browser;

  beforeAll(async () => {
    for (const [name, scenario] of [
      ['leaf', leafScenario],
      ['x64', demoScenario('x64')],
      ['arm64', demoScenario('arm64')],
      ['x86', demoScenario('x86')],
    ] as const) {
      const { recording } = await recordScenario(scenario);
      recordings.set(name, recording);
      writeFileSync(join(folder, `${name}.html`), await renderPage(recording));
    }
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true });
  });

  function recordingOf(name: string): Recording {
    const recording = recordings.get(name);
    if (recording === undefined) throw new Error(`there is no recording ${name}`);
    return recording;
  }

  /** Opens a page, and fails when it complains or asks for anything but itself. */
  async function open(
    name: string,
    options: { readonly moment?: number } & BrowserContextOptions = {},
  ): Promise<{ page: Page; [Symbol.asyncDispose](): Promise<void> }> {
    const { moment = 0, ...context } = options;
    const opened = await browser.newContext({ viewport: { width: 1440, height: 1000 }, ...context });
    const page = await opened.newPage();
    const complaints: string[] = [];
    const requests: string[] = [];
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('dialog', (dialog) => complaints.push(`dialog: ${dialog.message()}`));
    page.on('request', (request) => requests.push(request.url()));
    const url = `${pathToFileURL(join(folder, `${name}.html`)).href}#${moment}`;
    await page.goto(url);
    await page.waitForSelector('html[data-ready]');
    return {
      page,
      [Symbol.asyncDispose]: async () => {
        expect(complaints).toEqual([]);
        const [own] = url.split('#');
        expect(requests.filter((each) => !each.startsWith('data:') && each.split('?')[0] !== own)).toEqual(
          [],
        );
        await opened.close();
      },
    };
  }

  async function momentOf(page: Page): Promise<number> {
    return Number(await page.inputValue('#position'));
  }

  function entryStore(name: string, symbol: string): number {
    const event = recordingOf(name).head.events.find(
      ({ store }) => store?.target === 'entry' && store.symbol === symbol,
    );
    if (event === undefined) throw new Error(`${symbol} is not patched in ${name}`);
    return event.entry;
  }

  it('shows what data says as text, never as markup', async () => {
    await using opened = await open('leaf');
    const { page } = opened;
    expect(await page.textContent('h1')).toBe(NASTY);
    expect(await page.title()).toContain(NASTY);
    await page.getByText(`<b>${NASTY}</b>`).click();
    expect(await page.textContent('#story-text')).toBe(`<b>${NASTY}</b>`);
    expect(await page.locator('img').count()).toBe(0);
  });

  it('steps forward and back, by buttons and keys', async () => {
    await using opened = await open('leaf');
    const { page } = opened;
    const { entries } = recordingOf('leaf').head;
    const press = async (key: string, moment: number) => {
      await page.keyboard.press(key);
      expect(await momentOf(page), key).toBe(moment);
    };
    await press('ArrowRight', 1);
    await press('ArrowRight', 2);
    await press('ArrowLeft', 1);
    await press('End', entries);
    await press('ArrowRight', entries);
    await press('Home', 0);
    await page.getByRole('button', { name: 'One step forward' }).click();
    expect(await momentOf(page)).toBe(1);
    await page.getByRole('button', { name: 'To the end' }).click();
    await page.getByRole('button', { name: 'One step back' }).click();
    expect(await momentOf(page)).toBe(entries - 1);
    expect(await page.textContent('#story-where')).toContain(`Step ${entries - 1} of ${entries}`);
  });

  it('opens at the first call of a patched function, and its address names the step that is shown', async () => {
    await using opened = await open('leaf');
    const { page } = opened;
    await page.goto(`${page.url().split('#')[0]}?`);
    await page.waitForSelector('html[data-ready]');
    expect(await page.textContent('#story-title')).toBe('Hop 1: the patched entry');
    const moment = await momentOf(page);
    await page.keyboard.press('ArrowRight');
    await expect.poll(() => page.url().split('#')[1]).toBe(`step=${moment + 1}`);
    await page.goto(`${page.url().split('#')[0]}#step=3`);
    await expect.poll(() => momentOf(page)).toBe(3);
  });

  it('slow motion ends at the arrival, and gives the speed back', async () => {
    await using opened = await open('leaf');
    const { page } = opened;
    const speed = await page.inputValue('#speed');
    await page.click('#show-trampoline');
    expect(await page.inputValue('#speed')).toBe('0');
    await expect
      .poll(() => page.textContent('#story-title'), { timeout: 15_000 })
      .toBe('Arrived: the new function');
    await expect.poll(() => page.getAttribute('#play', 'aria-pressed'), { timeout: 5000 }).toBe('false');
    expect(await page.inputValue('#speed')).toBe(speed);
  });

  it('the help stops what plays, and the end says how the scenario ended', async () => {
    await using opened = await open('leaf');
    const { page } = opened;
    await page.keyboard.press(' ');
    await page.keyboard.press('?');
    expect(await page.getAttribute('#play', 'aria-pressed')).toBe('false');
    await page.click('#close-help');
    await page.keyboard.press('End');
    expect(await page.textContent('#story-where')).toMatch(/the scenario has ended: \d+ expectations? held/);
  });

  it('jumps to events: by the list, by keys, and by the address', async () => {
    const store = entryStore('leaf', 'demo!leaf_opaque');
    await using opened = await open('leaf', { moment: store });
    const { page } = opened;
    expect(await momentOf(page)).toBe(store);
    await page.keyboard.press('n');
    expect(await momentOf(page)).toBe(store + 1);
    expect(await page.textContent('#story-title')).toBe('Store: the entry. The patch goes live');
    expect(await page.textContent('#events [aria-current="step"]')).toContain('stores eb f9');
    await page.keyboard.press('n');
    await page.keyboard.press('Shift+ArrowLeft');
    expect(await momentOf(page)).toBe(store + 1);
    await page.locator('#events .entry').first().click();
    expect(await page.textContent('#story-title')).toBe('Store: the copy in the patch image leads back');
  });

  it('shows the function that was touched last, also after a jump', async () => {
    await using opened = await open('leaf', { moment: recordingOf('leaf').head.entries });
    const { page } = opened;
    expect(await page.textContent('#trampoline-name')).toBe('demo!leaf_opaque');
    const first = recordingOf('leaf').head.trampolines.find(({ symbol }) => symbol.startsWith('demo!'));
    await page.keyboard.press('Home');
    expect(first?.symbol).not.toBe('demo!leaf_opaque');
    expect(await page.textContent('#trampoline-name')).toBe(first?.symbol);
  });

  it('marks the bytes that a store changes, and later those that are not the original ones', async () => {
    const store = entryStore('leaf', 'demo!leaf_opaque');
    await using opened = await open('leaf', { moment: store });
    const { page } = opened;
    const bytes = (name: string) => page.locator(`#base-code .bytes .${name}`).allTextContents();
    await page.selectOption('#base-choice', { label: 'demo!leaf_opaque' });
    await page.locator('#story').focus();
    expect(await page.textContent('#base-place')).toBe('demo!leaf_opaque');
    const before = await bytes('d');
    await page.keyboard.press('ArrowRight');
    expect(await bytes('c')).toEqual(['eb', 'f9']);
    expect(await bytes('d')).toEqual([...before, 'eb', 'f9']);
    expect(before.length).toBe(5);
    expect(await page.locator('.station.entry.changed').count()).toBe(1);
    await page.keyboard.press('ArrowRight');
    expect(await bytes('c')).toEqual([]);
    expect(await bytes('d')).toEqual([...before, 'eb', 'f9']);
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('ArrowLeft');
    expect(await bytes('d')).toEqual(before);
  });

  it('lights the stations of the picture up, one after the other', async () => {
    await using opened = await open('leaf');
    const { page } = opened;
    await page.keyboard.press('t');
    const running = () =>
      page
        .locator('.station.running')
        .evaluateAll((parts) => parts.map((part) => part.getAttribute('data-part')));
    const ways: (string | null)[][] = [];
    for (let step = 0; step < 4; step++) {
      ways.push(await running());
      await page.keyboard.press('ArrowRight');
    }
    expect(ways).toEqual([['entry'], ['padding'], ['codeSlot', 'dataSlot'], ['target']]);
    expect(await page.locator('.arrow.lit').count()).toBe(5);
    expect(await page.getByRole('img', { name: /is patched: its calls lead through the HPAT/ }).count()).toBe(
      1,
    );
  });

  it.each(['x64', 'arm64', 'x86'])(
    '%s: shows the registers of every processor as they were recorded',
    async (name) => {
      await using opened = await open(name);
      const { page } = opened;
      const recording = recordingOf(name);
      const replay = new Replay(recording);
      for (const part of [0.25, 0.5, 0.8, 1]) {
        const moment = Math.floor(recording.head.entries * part);
        await page.locator('#position').fill(String(moment));
        replay.goTo(moment);
        const acting = replay.slice()?.processor ?? 0;
        const shown = await page
          .locator('#registers dd')
          .evaluateAll((cells) =>
            cells.map((cell) => [
              cell.getAttribute('data-register'),
              cell.querySelector('.value')?.textContent,
            ]),
          );
        const values = shown.map(([register, value]) => [register, BigInt(`0x${value?.replace('`', '')}`)]);
        const expected = recording.head.processors[acting]?.registers.map((register) => [
          register,
          replay.register(acting, register),
        ]);
        expect(values).toEqual(expected);
        await expect
          .poll(() => page.locator('#processors [aria-pressed="true"]').textContent())
          .toBe(`Processor ${acting}`);
      }
    },
  );

  it('can be pinned to one processor', async () => {
    await using opened = await open('x64', { moment: 60 });
    const { page } = opened;
    await page.getByRole('button', { name: 'Processor 1' }).click();
    await page.keyboard.press('End');
    expect(await page.locator('#processors [aria-pressed="true"]').textContent()).toBe('Processor 1');
    await page.getByRole('button', { name: 'Processor 1' }).click();
    expect(await page.textContent('#processor-thread')).toContain('Follows the schedule');
  });

  it('plays to the end and stops there; a step stops it too', async () => {
    await using opened = await open('leaf');
    const { page } = opened;
    const { entries } = recordingOf('leaf').head;
    const buttons = (name: string) => page.getByRole('button', { name }).count();
    // Slowly at first, so that it is still playing when it is looked at.
    await page.selectOption('#speed', '0');
    await page.locator('#story').focus();
    await page.keyboard.press('Space');
    await expect.poll(() => buttons('Pause')).toBe(1);
    await page.selectOption('#speed', '5');
    await expect.poll(() => momentOf(page), { timeout: 20_000 }).toBe(entries);
    await expect.poll(() => buttons('Play')).toBe(1);
    await page.selectOption('#speed', '0');
    await page.getByRole('button', { name: 'Play' }).click();
    await page.keyboard.press('ArrowRight');
    await expect.poll(() => buttons('Play')).toBe(1);
  });

  it('shows memory at a name, the HPAT with its owners, the undo table and the address space', async () => {
    await using opened = await open('leaf');
    const { page } = opened;
    await page.keyboard.press('End');
    await page.fill('#memory-address', 'demo!leaf_opaque');
    await page.getByRole('button', { name: 'Show', exact: true }).click();
    expect(await page.textContent('#memory')).toContain('ebf9');
    await page.fill('#memory-address', 'demo!nosuch');
    await page.keyboard.press('Enter');
    expect(await page.textContent('#memory-place')).toContain('neither an address nor a name');
    expect(await page.textContent('#hpat')).toContain('demo!leaf_opaque→ demo_hp!leaf_opaque');
    expect(await page.textContent('#undo')).toContain('demo!leaf_opaquewas b8 2a');
    expect(await page.textContent('#patches')).toContain('demo_hp.dllapplied');
    await page.locator('#map-panel summary').click();
    // The panel is filled when it is told that it is open, which is later (HTML: the toggle event is queued).
    await expect.poll(() => page.textContent('#map')).toContain('demo.dll · HPAT codePAGE_EXECUTE_READ');
    const map = await page.textContent('#map');
    expect(map).toContain('demo.dll · HPAT dataPAGE_READONLY');
    expect(map).toMatch(/stack of thread \d+PAGE_READWRITE/);
  });

  it.each([390, 360, 768])(
    'fits a screen of %d pixels without scrolling sideways, with large enough targets',
    async (width) => {
      await using opened = await open('x64', { viewport: { width, height: 800 }, moment: 120 });
      const { page } = opened;
      await page.locator('#map-panel summary').click();
      for (const key of ['t', 'End', 'Home', 'n']) {
        await page.keyboard.press(key);
        expect(await page.evaluate('document.documentElement.scrollWidth'), key).toBeLessThanOrEqual(width);
      }
      for (const button of await page.locator('.buttons button, .tools button').all()) {
        const box = await button.boundingBox();
        expect(box?.height).toBeGreaterThanOrEqual(40);
        expect((box?.x ?? 0) + (box?.width ?? 0)).toBeLessThanOrEqual(width);
      }
    },
  );

  it.each(['light', 'dark'] as const)(
    '%s: all text has a contrast of 4.5 to 1 or more',
    async (colorScheme) => {
      await using opened = await open('leaf', { colorScheme, reducedMotion: 'reduce' });
      const { page } = opened;
      const store = entryStore('leaf', 'demo!leaf_opaque');
      for (const moment of [0, store + 1, store + 8]) {
        await page.locator('#position').fill(String(moment));
        expect(await page.evaluate(WEAK_TEXT)).toEqual([]);
      }
      await page.keyboard.press('t');
      await page.keyboard.press('ArrowRight');
      expect(await page.evaluate(WEAK_TEXT)).toEqual([]);
    },
  );

  it('changes between light and dark by a key and a button', async () => {
    await using opened = await open('leaf', { colorScheme: 'dark' });
    const { page } = opened;
    const ground = () => page.evaluate<string>('getComputedStyle(document.body).backgroundColor');
    const dark = await ground();
    await page.keyboard.press('d');
    const light = await ground();
    expect(light).not.toBe(dark);
    await page.getByRole('button', { name: 'Light or dark' }).click();
    expect(await ground()).toBe(dark);
  });

  it('explains its keys, and leaves typing alone', async () => {
    await using opened = await open('leaf');
    const { page } = opened;
    await page.keyboard.press('?');
    expect(await page.getByRole('dialog', { name: 'Keys' }).isVisible()).toBe(true);
    await page.keyboard.press('Escape');
    await page.locator('#memory-address').focus();
    await page.keyboard.type('n t');
    expect(await page.inputValue('#memory-address')).toBe('n t');
    expect(await momentOf(page)).toBe(0);
  });

  it('says so when its data is damaged', async () => {
    const page = await browser.newPage();
    const html = await renderPage(recordingOf('leaf'));
    await page.setContent(html.replace(/(id="recording">)[^<]{40}/, '$1'));
    await expect.poll(() => page.textContent('#failure')).toContain('This recording cannot be shown');
    await page.close();
  });
});

/** The texts whose colour is too close to that of the ground behind them; an expression for the page. */
const WEAK_TEXT = `(() => {
  const channels = (colour) => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d');
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (colour) => channels(colour).slice(0, 3)
    .map((c) => c / 255).map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const groundOf = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const rect = at.tagName === 'g' ? at.querySelector(':scope > rect') : null;
      if (rect) return getComputedStyle(rect).fill;
      const colour = getComputedStyle(at).backgroundColor;
      if (channels(colour)[3] === 255) return colour;
    }
    return 'white';
  };
  return [...document.querySelectorAll('main *, header *, footer *')]
    .filter((element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== ''))
    .filter((element) => element.checkVisibility() && element.closest('[aria-disabled="true"], option, .visually-hidden, .skip') === null)
    .flatMap((element) => {
      const style = getComputedStyle(element);
      const ink = element instanceof SVGElement ? style.fill : style.color;
      const [a, b] = [luminance(ink), luminance(groundOf(element))].sort((x, y) => y - x);
      const contrast = (a + 0.05) / (b + 0.05);
      return contrast >= 4.5 ? [] : [element.textContent.slice(0, 40) + ' ' + contrast.toFixed(2)];
    });
})()`;
