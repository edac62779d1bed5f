import { accessSync, constants } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const USUAL_PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Path of a Chromium: the one that CHROMIUM names, or one that the system has. */
export function findChromium(): string | undefined {
  const named = process.env.CHROMIUM;
  return (named === undefined ? USUAL_PLACES : [named]).find(isExecutable);
}

/** @throws Error when there is no Chromium; tests that may be skipped ask {@link findChromium} first */
export function launchChromium(): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === undefined)
    throw new Error('there is no Chromium: install it, or name one by the environment variable CHROMIUM');
  return chromium.launch({ executablePath, args: ARGUMENTS, headless: true });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
