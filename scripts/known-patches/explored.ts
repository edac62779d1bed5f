import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Explored } from './explore.js';

/** What explorations have found, kept from run to run: unlike the images it is committed. */
const FILE = fileURLToPath(new URL('explored.json', import.meta.url));

export function readExplored(): Explored[] {
  return JSON.parse(readFileSync(FILE, 'utf8')) as Explored[];
}

/** In place of what was found of the same fix before. */
export function keepExplored(one: Explored): void {
  const others = readExplored().filter((other) => keyOf(other) !== keyOf(one));
  const all = [...others, one].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  writeFileSync(FILE, `${JSON.stringify(all, undefined, 1)}\n`);
}

const keyOf = ({ package: name, file, architecture }: Explored): string => `${name} ${file} ${architecture}`;

/** A cell of the page: states of apply, repatch and revert with coherent and weak fetch, and seconds in all. */
export function exploredText(one: Explored | undefined): string {
  if (one === undefined) return 'not yet';
  if (one.why !== undefined) return one.why;
  const violations = [...new Set(one.cells.flatMap((cell) => cell.violations))];
  if (violations.length > 0) return `NOT RIGHT: ${violations.join('; ')}`;
  const bounds = [...new Set(one.cells.flatMap(({ bound }) => bound ?? []))];
  const sizes = (fetch: string) =>
    one.cells.flatMap((cell) => (cell.fetch === fetch ? cell.states : [])).join(' ');
  const seconds = Math.ceil(one.cells.reduce((sum, cell) => sum + cell.seconds, 0));
  const size = `\`${one.call ?? ''}\`, ${one.steps ?? 0} steps: ${sizes('coherent')}, weak ${sizes('weak')} states; ${seconds} s`;
  return bounds.length === 0 ? size : `not complete: ${bounds.join('; ')} (${size})`;
}

/** How many fixes each wrong way was tried on, and on how many of them it was caught. */
export function controlsText(all: readonly Explored[]): string {
  const names = [...new Set(all.flatMap(({ controls }) => Object.keys(controls)))];
  return names
    .map((name) => {
      const tried = all.flatMap(({ controls }) => (controls[name] === undefined ? [] : [controls[name]]));
      return `\`${name}\` ${tried.filter((rules) => rules.length > 0).length} of ${tried.length}`;
    })
    .join(', ');
}
