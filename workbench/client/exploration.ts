import { byId, el } from './dom.js';

export interface Exploration {
  readonly states: number;
  readonly transitions: number;
  readonly complete: boolean;
  readonly violations: readonly {
    readonly rule: string;
    readonly text: string;
    readonly count: number;
    readonly lines: readonly string[];
  }[];
}

/** Ways to store, the engine's own first; the others are wrong in one way each, or not for images that have padding. */
export const PROTOCOLS: readonly { readonly name: string; readonly text: string }[] = [
  { name: 'windows', text: 'as Windows does it' },
  { name: 'padding-after-entry', text: 'padding after entry' },
  { name: 'entry-in-halves', text: 'entry in halves' },
  { name: 'data-slot-after-entry', text: 'data slot after entry' },
  { name: 'code-slot-after-entry', text: 'code slot after entry' },
  { name: 'no-serialisation', text: 'no serialisation' },
  { name: 'byte-by-byte', text: 'a long jump, byte by byte' },
  { name: 'one-store', text: 'a long jump in one store' },
];

/** What was found, and the shortest schedule that breaks something as lanes: one for the engine, one for each processor. */
export function showExploration({ states, transitions, complete, violations }: Exploration): void {
  const end = complete ? 'every reachable state was visited' : 'not complete: it was ended early';
  byId('exploration').replaceChildren(
    el('div', {}, `${states} states, ${transitions} transitions; ${end}`),
    violations.length === 0
      ? el('div', { class: 'good' }, 'No property is broken, in any order.')
      : el(
          'div',
          { class: 'bad' },
          violations.length === 1 ? 'One thing breaks.' : `${violations.length} things break.`,
        ),
    ...violations
      .slice(0, 3)
      .flatMap(({ rule, text, count, lines }) => [
        el('div', {}, el('strong', {}, rule), `: ${text}; ${count} time(s). The shortest schedule:`),
        lanes(lines),
      ]),
  );
}

const LINE = /^\s*(\d+)\s+(engine|cpu \d+)\s+(.*)$/;

function lanes(lines: readonly string[]): HTMLElement {
  const steps = lines.flatMap((line) => {
    const [, number = '', who = '', text = ''] = LINE.exec(line) ?? [];
    return number === '' ? [] : [{ number, who, text }];
  });
  const names = ['engine', ...new Set(steps.map(({ who }) => who).filter((who) => who !== 'engine'))].sort(
    (a, b) => Number(a !== 'engine') - Number(b !== 'engine') || a.localeCompare(b),
  );
  const grid = el('div', { class: 'lanes' });
  grid.style.gridTemplateColumns = `repeat(${names.length}, minmax(0, 1fr))`;
  grid.append(...names.map((name) => el('div', { class: 'lane-name' }, name)));
  for (const [index, { number, who, text }] of steps.entries()) {
    const isLast = index === steps.length - 1;
    const step = el('div', { class: `step ${who === 'engine' ? 'engine' : ''}${isLast ? ' last' : ''}` });
    step.append(el('span', {}, number), text.replace(/\s{2,}/g, '  '));
    step.style.gridColumn = String(names.indexOf(who) + 1);
    grid.append(step);
  }
  return grid;
}
