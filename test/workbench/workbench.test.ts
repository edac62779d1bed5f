import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { unzipSync } from 'fflate';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { missingForMake } from '../../builder/index.js';
import { BuiltCommand, type Ended, type Running } from '../cli/built.js';
import { findChromium, launchChromium } from '../viewer/chromium.js';

const isPossible = findChromium() !== undefined && missingForMake().length === 0;
const isNeeded = process.env.CI === 'true';
if (!isPossible && !isNeeded)
  console.warn('the workbench is not tested: there is no Chromium, or no clang (hotpatch doctor)');

const PATIENT = { timeout: 50_000 };
const SETTLED = 'html[data-phase=stopped], html[data-phase=idle]';
/** Where screenshots are put, to be looked at; nowhere when it is not set. */
const PICTURES = process.env.HOTPATCH_PICTURES;

describe.skipIf(!isPossible && !isNeeded)('the workbench, in Chromium', () => {
  const folder = mkdtempSync(join(tmpdir(), 'hotpatch-page-'));
  const complaints: string[] = [];
  const requests = new Set<string>();
  let command: BuiltCommand;
  let child: Running;
  let ended: Promise<Ended>;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let origin: string;

  beforeAll(async () => {
    command = await BuiltCommand.make();
    const [url, running] = await serve([]);
    ({ child, ended } = running);
    origin = new URL(url).origin;
    browser = await launchChromium();
    context = await browser.newContext({ viewport: { width: 1440, height: 1000 } });
    page = await open(url);
  }, 120_000);

  afterAll(async () => {
    await browser?.close();
    child?.kill('SIGINT');
    expect((await ended).code).toBe(0);
    command?.[Symbol.dispose]();
    rmSync(folder, { recursive: true });
  });

  /** Its link, and its process. */
  function serve(flags: readonly string[]): Promise<[string, { child: Running; ended: Promise<Ended> }]> {
    return new Promise((resolve, reject) => {
      const over = command.run(['workbench', '--port', '0', '--json', ...flags], {
        environment: { HOTPATCH_CACHE: join(folder, 'cache') },
        onStdout: (running, printed) => {
          const [, url] = /"url": "([^"]+)"/.exec(printed) ?? [];
          if (url !== undefined) resolve([url, { child: running, ended: over }]);
        },
      });
      over.then(({ stderr }) => reject(new Error(stderr)));
    });
  }

  async function open(url: string): Promise<Page> {
    const opened = await context.newPage();
    opened.setDefaultTimeout(50_000);
    opened.on('console', (message) => complaints.push(message.text()));
    opened.on('pageerror', (error) => complaints.push(error.message));
    opened.on('request', (request) => requests.add(new URL(request.url()).origin));
    await opened.goto(url);
    await opened.waitForSelector('html[data-ready], #failure:not([hidden])');
    expect(await opened.locator('#failure').innerText()).toBe('');
    expect(await opened.locator('#outcome .failed').allInnerTexts()).toEqual([]);
    await opened.waitForSelector(SETTLED);
    return opened;
  }

  const text = (selector: string) => page.innerText(selector);

  /** Presses a button, and waits until the machine stands still at another moment. */
  async function press(name: string): Promise<void> {
    const before = await text('#position');
    await page.getByRole('button', { name, exact: true }).click();
    await expect.poll(() => text('#position'), PATIENT).not.toBe(before);
    await page.waitForSelector(SETTLED);
  }

  async function edit(from: string, to: string): Promise<void> {
    const editor = page.getByLabel('Source as it shall be');
    await editor.locator('.cm-line', { hasText: from }).first().click();
    await page.keyboard.press('Home');
    await page.keyboard.press('Shift+End');
    await page.keyboard.type(to);
  }

  async function build(verdict: string): Promise<string> {
    await page.evaluate(`document.querySelector('#outcome').replaceChildren()`);
    await page.getByRole('button', { name: 'Build & apply' }).click();
    await page.waitForSelector(`#outcome .${verdict}`);
    await page.waitForSelector(SETTLED);
    return text('#outcome');
  }

  async function newMachine(call: string): Promise<void> {
    await page.fill('#call', call);
    await page.getByRole('button', { name: 'New machine' }).click();
    await expect.poll(() => text('#results'), PATIENT).toMatch(new RegExp(`^${call}\\s+thread \\d+\\s+…$`));
    await page.waitForSelector(SETTLED);
  }

  it('does the first lesson: a line is changed and patched in while a thread stands inside', async () => {
    expect(await text('#threads')).toContain('sensor!Sum (sensor.c:14)');
    for (let i = 0; i < 4 && !(await text('#threads')).includes('sensor.c:16'); i++) await press('Line');
    await press('Into');
    expect(await text('#threads')).toMatch(/in the base\s*sensor!Scale/);
    await edit('i <= count', 'for (int i = 0; i < count; i++)');
    expect(await build('patched')).toContain('A hotpatch of 1 function(s): Sum.');

    await page.waitForSelector('#threads .old');
    expect(await text('#threads')).toContain('in old code');
    expect(await text('#way')).toMatch(/entry\s*ebf9\s*jmp sensor!Sum-0x5/);
    expect(await text('#way')).toMatch(/HPAT slot 0[\s\S]*→ sensor_hp!Sum/);
    await press('Run');
    expect(await text('#results')).toContain('90 (0x5a)'); // 3 + 1 + 4 + 1, times ten
    await press('Call');
    const way: string[] = [];
    for (let i = 0; i < 3; i++) {
      await press('Instruction');
      way.push(await text('#threads'));
    }
    expect(way[0]).toContain('on the way');
    expect(way[1]).toContain('sensor!HPAT[0].code');
    expect(way[2]).toMatch(/in new code\s*sensor_hp!Sum/);
    await press('Run');
    expect(await text('#results')).toContain('80 (0x50)'); // 3 + 1 + 4, times ten
    expect(await page.locator('#guide li.done').count()).toBe(5);
    expect(await page.locator('#guide .end').count()).toBe(1);
  });

  it('goes back before the patch, where the entry is as it was, and takes the patch back', async () => {
    await press('Rewind');
    expect(await page.locator('#way .hop').count()).toBe(0);
    expect(await text('#listings')).toContain('push r14'); // the entry's first instruction, which the jump replaced
    await page.getByRole('button', { name: 'Apply now' }).click();
    await page.waitForSelector('#way .hop');
    await page.getByRole('button', { name: 'Revert' }).click();
    await expect.poll(() => page.locator('#way .hop').count(), PATIENT).toBe(0);
    // A click beside the line at which the call returns.
    const line = page.getByLabel('Source as it is').locator('.cm-line', { hasText: 'return sum;' });
    const [at, gutter] = [await line.boundingBox(), await page.locator('.breakpoints').first().boundingBox()];
    const toggle = () => page.mouse.click((gutter?.x ?? 0) + 6, (at?.y ?? 0) + 6);
    await toggle();
    await page.waitForSelector('#editors .breakpoint');
    await press('Run');
    expect(await text('#threads')).toContain('sensor.c:17');
    await toggle();
    await press('Run');
    expect(await text('#results')).toMatch(/90 \(0x5a\)[\s\S]*90 \(0x5a\)/);
  });

  it('does the second lesson: old and new code at once', async () => {
    await page.selectOption('#lesson', 'both');
    await newMachine('Sum 200');
    for (let i = 0; i < 4 && !(await text('#threads')).includes('sensor.c:16'); i++) await press('Line');
    await build('patched');
    await page.waitForSelector('#threads .old');
    await page.fill('#call', 'Sum 3');
    await page.getByRole('button', { name: 'Call', exact: true }).click();
    await page.waitForSelector('#threads .thread:nth-child(2)');
    await page.locator('#threads .thread').nth(1).click();
    await page.waitForSelector('#threads .thread:nth-child(2)[aria-pressed=true]');
    for (let i = 0; i < 8 && (await page.locator('#guide li.done').count()) < 3; i++)
      await press('Instruction');
    expect(await text('#threads')).toMatch(/in old code[\s\S]*in new code/);
    await press('Run');
    const results = await text('#results');
    expect(results).toContain('7780 ('); // 25 times all eight, which are 31, and 3: ten times that
    expect(results).toContain('80 (0x50)');
    expect(await page.locator('#guide li.done').count()).toBe(4);
  });

  it('does the third lesson: new code calls a function of the base', async () => {
    await page.selectOption('#lesson', 'backward');
    await newMachine('Sum 3');
    await build('patched');
    await page.waitForSelector('#way .hop');
    await press('Run');
    await press('Call');
    for (let i = 0; i < 8 && (await page.locator('#guide li.done').count()) < 3; i++) await press('Into');
    expect(await text('#threads')).toMatch(/sensor!Scale[\s\S]*← sensor_hp!Sum/);
    await press('Run');
  });

  it('answers the console, and links lines with instructions', async () => {
    await page.fill('#command', '!hpat');
    await page.press('#command', 'Enter');
    await expect.poll(() => text('#log'), PATIENT).toMatch(/HPAT of sensor\.dll: .* 1 of 512 slots used/);
    await page.fill('#command', 'nonsense!');
    await page.press('#command', 'Enter');
    await page.waitForSelector('#log .wrong');
    const row = page.locator('#listings tr[data-side=base]', { hasText: 'call sensor!Scale' });
    await row.hover();
    await page.waitForSelector('#editors .linked');
    expect(await text('#editors .linked')).toContain('sum += Scale');
  });

  it('marks what cannot be compiled, and what cannot be a hotpatch', async () => {
    await edit('static int calls', 'static long long calls;');
    expect(await build('refused')).toMatch(/fix:4 .*must keep its size/);
    await edit('static long long calls', 'static int calls');
    expect(await build('failed')).toMatch(/fix:6 expected ';'/);
    await page.waitForSelector('#editors .cm-lint-marker-error');
    await edit('static int calls', 'static int calls;');
    await build('patched');
  });

  it('explores: nothing breaks the order of Windows, and another order is broken', async () => {
    const explore = async (protocol: string, found: string) => {
      await page.selectOption('#protocol', protocol);
      await page.getByRole('button', { name: 'Explore', exact: true }).click();
      await page.waitForSelector(`#exploration .${found}`);
      return text('#exploration');
    };
    expect(await explore('windows', 'good')).toContain('every reachable state was visited');
    expect(await explore('padding-after-entry', 'bad')).toContain('engine');
    expect(await page.locator('.lanes .step').count()).toBeGreaterThan(3);
  });

  it('exports a scenario that runs', async () => {
    const downloading = page.waitForEvent('download');
    await page.selectOption('#export', 'scenario');
    const path = await (await downloading).path();
    const files = unzipSync(readFileSync(path));
    for (const [name, bytes] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), bytes);
    }
    const { code, stdout } = await command.run(['run', join(folder, 'sensor/scenario.ts')]);
    expect(stdout).toMatch(/had begun before returned 90/);
    expect(stdout).toMatch(/next one returned 80/);
    expect(code).toBe(0);
  });

  it('gives a link with both sources in it', async () => {
    await page.getByRole('button', { name: 'Copy link' }).click();
    await expect.poll(() => page.url(), PATIENT).toContain('#program=');
    const other = await open(page.url());
    expect(await other.getByLabel('Source as it shall be').innerText()).toContain('i < count');
    expect(await other.getByLabel('Source as it is').innerText()).toContain('i <= count');
    await other.close();
  });

  it('stops what runs without end', async () => {
    const endless = 'int Spin(int x)\n{\n    for (;;)\n        *(volatile int *)&x += 1;\n}\n';
    const [started, running] = await serve(['--seconds', '3']);
    const at = new URL(started).origin;
    const ask = async (path: string, body: object, key = '') => {
      const headers = { Origin: at, Authorization: `Bearer ${key}` };
      const answer = await fetch(at + path, { method: 'POST', headers, body: JSON.stringify(body) });
      return (await answer.json()) as { key: string; build: number };
    };
    const { key } = await ask('/api/open', { token: started.split('#open=')[1] });
    const { build } = await ask('/api/build', { name: 'spin', base: endless, fixed: endless }, key);
    const socket = new WebSocket(`${at.replace('http', 'ws')}/machine`, ['hotpatch', key], {
      headers: { Origin: at },
    });
    const seen: string[] = [];
    await new Promise<void>((resolve) => {
      const send = (seq: number, command: string, args: object) =>
        socket.send(JSON.stringify({ seq, type: 'request', command, arguments: args }));
      socket.on('message', (data: Buffer) => {
        const { event, body } = JSON.parse(String(data)) as { event?: string; body?: { reason?: string } };
        if (event === 'stopped' && seen.length === 0) send(4, 'continue', {});
        if (event === 'stopped' || event === 'workbench/limit') seen.push(`${event} ${body?.reason ?? ''}`);
        if (seen.length === 3) resolve();
      });
      socket.on('open', () => {
        send(1, 'initialize', {});
        send(2, 'launch', { build, call: 'Spin 1', processors: 1 });
        send(3, 'configurationDone', {});
      });
    });
    expect(seen).toEqual(['stopped entry', 'workbench/limit ', 'stopped pause']);
    socket.terminate();
    running.child.kill('SIGTERM');
    expect((await running.ended).code).toBe(0);
  });

  it.each([
    ['phone', 390, 844],
    ['tablet', 1024, 768],
    ['desktop', 1440, 900],
  ])('fits on a %s, light and dark', async (name, width, height) => {
    await page.setViewportSize({ width, height });
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      expect(await page.evaluate(`document.documentElement.scrollWidth`)).toBeLessThanOrEqual(width);
      for (const source of ['Source as it is', 'Source as it shall be']) {
        const { height: tall = 0 } = (await page.getByLabel(source).boundingBox()) ?? {};
        expect(tall).toBeGreaterThan(200);
      }
      if (PICTURES !== undefined)
        await page.screenshot({ path: join(PICTURES, `${name}-${colorScheme}.png`), fullPage: true });
    }
  });

  it('complains of nothing, and asks nobody else', () => {
    expect(complaints).toEqual([]);
    expect([...requests].filter((each) => !/^(?:null|data:|blob:)/.test(each))).toEqual([origin]);
  });
});
