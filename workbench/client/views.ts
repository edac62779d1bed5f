import type { BuildOutcome, Mark } from '../protocol.js';
import { byId, type Child, el } from './dom.js';
import type { Facts } from './facts.js';
import type { Lesson } from './lessons.js';
import type {
  CallResult,
  Frame,
  Instruction,
  MachineState,
  Side,
  Table,
  ThreadState,
  Version,
} from './machine.js';

const SIDES: Readonly<Record<Side, string>> = {
  old: 'in old code',
  new: 'in new code',
  way: 'on the way',
  base: 'in the base',
  system: 'outside',
};

/** A thread is in old code as long as it will return there. */
export function sideOf({ frames }: ThreadState): Side {
  const sides = frames.map(({ side }) => side);
  if (sides[0] === 'way') return 'way';
  return sides.find((side) => side === 'old' || side === 'new') ?? sides[0] ?? 'system';
}

export function showThreads({ threads, thread }: MachineState, select: (id: number) => void): void {
  byId('threads').replaceChildren(
    ...threads.map((each) => {
      const side = sideOf(each);
      const [first, ...callers] = each.frames;
      const button = el(
        'button',
        { type: 'button', class: `thread ${side}`, 'aria-pressed': String(each.id === thread) },
        el('span', { class: 'who' }, `Thread ${each.id}`),
        el('span', { class: 'tag' }, SIDES[side]),
        el('span', { class: 'where' }, whereOf(first)),
        el('span', { class: 'chain' }, callers.map((frame) => `← ${whereOf(frame)}`).join(' ')),
      );
      button.addEventListener('click', () => select(each.id));
      return button;
    }),
  );
}

function whereOf(frame: Frame | undefined): string {
  if (frame === undefined) return '';
  return frame.place === undefined ? frame.text : `${frame.text} (${frame.place})`;
}

export function showStack({ threads, thread }: MachineState): void {
  const frames = threads.find(({ id }) => id === thread)?.frames ?? [];
  byId('stack').replaceChildren(
    ...(frames.length === 0 ? [empty('No thread is in a call.')] : []),
    ...frames.map(({ text, side, place, hop }) =>
      el('div', { class: `frame ${side}` }, text, el('span', {}, ` ${place ?? ''} ${hop ?? ''}`)),
    ),
  );
}

export function showRegisters({ registers }: MachineState, before: MachineState | undefined): void {
  const known = new Map(before?.registers.map(({ name, value }) => [name, value]));
  byId('registers').replaceChildren(
    el(
      'div',
      { class: 'regs' },
      ...registers.map(({ name, value, place }) => {
        const isChanged = known.has(name) && known.get(name) !== value;
        const title = place === undefined ? value : `${value} ${place}`;
        return el('div', { class: `reg${isChanged ? ' changed' : ''}`, title }, el('b', {}, name), value);
      }),
    ),
  );
}

export function showResults(results: readonly CallResult[]): void {
  byId('results').replaceChildren(
    ...(results.length === 0 ? [empty('None yet.')] : []),
    ...results.map(({ call, thread, state, text }) =>
      el(
        'div',
        { class: `result ${state}` },
        el('code', {}, call),
        el('span', { class: 'small' }, `thread ${thread}`),
        el('span', { class: 'value' }, state === 'running' ? '…' : (text ?? '')),
      ),
    ),
  );
}

export function showTables(tables: readonly Table[]): void {
  const rows = tables.flatMap(({ image, isCommitted, slots }) => [
    el('h3', {}, image),
    isCommitted
      ? el(
          'table',
          { class: 'slots' },
          ...slots.map(({ slot, owner, target, data }) =>
            el(
              'tr',
              { title: `data slot at ${data}` },
              el('td', {}, `[${slot}]`),
              el('td', {}, owner ?? ''),
              el('td', {}, `→ ${target}`),
            ),
          ),
        )
      : empty('Reserved; it gets memory with the first patch.'),
  ]);
  byId('tables').replaceChildren(...(rows.length === 0 ? [empty('None is in use.')] : rows));
}

export interface ListingOwner {
  /** The pointer is on an instruction of this line; undefined: it has left. */
  onLine(side: Version['side'], line: number | undefined): void;
}

export function showListings({ functions, threads, thread }: MachineState, owner: ListingOwner): void {
  const shown = functions.flatMap(({ name, versions }) => {
    const isPatched = versions.some(({ instructions }) => instructions.some(isEntryHop));
    return versions
      .filter((version, index) => isOfInterest(version, index === versions.length - 1 && isPatched, threads))
      .map((version) => listing(name, version, isPatched, threads, thread, owner));
  });
  byId('listings').replaceChildren(...shown);
  for (const row of document.querySelectorAll<HTMLElement>('.listing tr.at')) {
    const box = row.closest<HTMLElement>('.listing');
    if (box !== null) box.scrollTop = Math.max(0, row.offsetTop - box.clientHeight / 2);
  }
}

const isEntryHop = ({ hop }: Instruction): boolean => hop?.startsWith('patched entry') === true;

/** The base; what calls lead to now; and an older patch image as long as somebody stands there. */
function isOfInterest(version: Version, isInForce: boolean, threads: readonly ThreadState[]): boolean {
  const addresses = new Set(version.instructions.map(({ address }) => address));
  const isInside = threads.some(({ frames }) => frames.some(({ pc }) => addresses.has(pc)));
  return version.side === 'base' || isInForce || isInside;
}

function listing(
  name: string,
  { image, side, instructions }: Version,
  isPatched: boolean,
  threads: readonly ThreadState[],
  current: number,
  { onLine }: ListingOwner,
): HTMLElement {
  const kind = side === 'new' ? 'new' : isPatched ? 'old' : 'base';
  const rows = instructions.flatMap((each): HTMLElement[] => {
    const here = threads.filter(({ frames }) => frames[0]?.pc === each.address);
    const [standing] = here;
    const classes = [
      here.length > 0 ? `at ${standing?.frames[0]?.side ?? ''}` : '',
      each.isChanged === true ? 'changed' : '',
    ];
    const row = el(
      'tr',
      { class: classes.join(' ').trim(), 'data-line': each.line, 'data-side': side },
      el('td', { class: 'address' }, here.length === 0 ? each.shown.slice(-4) : `▶${names(here, current)}`),
      el('td', { class: 'line' }, each.line === undefined ? '' : String(each.line)),
      el('td', { class: 'bytes', title: each.bytes }, each.bytes),
      el('td', { class: 'text', title: each.text }, shortText(each.text)),
    );
    row.addEventListener('mouseenter', () => onLine(side, each.line));
    row.addEventListener('mouseleave', () => onLine(side, undefined));
    if (each.hop === undefined) return [row];
    return [el('tr', { class: 'hop-row' }, el('td', { colspan: 4 }, each.hop)), row];
  });
  return el(
    'div',
    { class: `card listing ${kind}` },
    el('h3', {}, `${image.replace(/\.\w+$/, '')}!${name} · ${kind}`),
    el('table', {}, el('tbody', {}, ...rows)),
  );
}

/** Without the address of what has a name. */
const shortText = (text: string): string => text.replace(/\s+/g, ' ').replace(/ \([\da-f`]{8,}\)/g, '');

const names = (threads: readonly ThreadState[], current: number): string =>
  threads.map(({ id }) => (id === current ? String(id) : `(${id})`)).join(' ');

/** Marks the instructions of a line. */
export function linkInstructions(side: Version['side'], line: number | undefined): void {
  for (const row of document.querySelectorAll<HTMLElement>('.listing tr[data-line]'))
    row.classList.toggle('linked', row.dataset.side === side && row.dataset.line === String(line));
}

/** Entry, padding, table, new function: the way of a call, and who is on it. */
export function showWay({ functions, threads, tables }: MachineState): void {
  const ways = functions.flatMap(({ name, versions }) => {
    const base = versions.find(({ side }) => side === 'base');
    const added = versions.findLast(({ side }) => side === 'new');
    const entry = base?.instructions.find(isEntryHop);
    if (base === undefined || entry === undefined) return [];
    const padding = base.instructions.find(({ hop }) => hop?.startsWith('pad jump') === true);
    const table = tables.find(({ image }) => image === base.image);
    const [, number] = /HPAT slot (\d+)/.exec(`${padding?.hop} ${entry.hop}`) ?? [];
    const slot = table?.slots.find((each) => String(each.slot) === number);
    const isAt = (test: (frame: Frame) => boolean) =>
      threads.some(({ frames }) => frames[0] !== undefined && test(frames[0]));
    const hops: Child[] = [
      hop(
        'entry',
        entry.bytes,
        entry.text,
        isAt(({ pc }) => pc === entry.address),
      ),
    ];
    if (padding !== undefined)
      hops.push(
        arrow(),
        hop(
          'padding',
          padding.bytes,
          padding.text,
          isAt(({ pc }) => pc === padding.address),
        ),
      );
    if (slot !== undefined)
      hops.push(
        arrow(),
        hop(
          `HPAT slot ${slot.slot}`,
          slot.data,
          `→ ${slot.target}`,
          isAt(({ text }) => text.includes('HPAT')),
        ),
      );
    if (added !== undefined)
      hops.push(
        arrow(),
        hop(
          'new function',
          added.image,
          '',
          isAt(({ side }) => side === 'new'),
        ),
      );
    return [
      el(
        'div',
        { class: 'card' },
        el('h3', {}, `The way of a call of ${name}`),
        el('div', { class: 'hops' }, ...hops),
      ),
    ];
  });
  byId('way').replaceChildren(...ways);
}

function hop(title: string, bytes: string, text: string, isHere: boolean): HTMLElement {
  return el(
    'div',
    { class: `hop${isHere ? ' here' : ''}` },
    el('b', {}, `${isHere ? '▶ ' : ''}${title}`),
    el('code', {}, bytes),
    el('code', {}, shortText(text)),
  );
}

const arrow = () => el('span', { class: 'arrow', 'aria-hidden': 'true' }, '→');

export function showOutcome(
  { verdict, text, marks, notes, milliseconds }: BuildOutcome,
  show: (mark: Mark) => void,
): void {
  byId('outcome').replaceChildren(
    el('div', { class: `verdict ${verdict}` }, `${text} (${(milliseconds / 1000).toFixed(1)} s)`),
    ...marks.map((mark) => {
      const where = `${mark.side === 'base' ? 'base' : 'fix'}:${mark.line}`;
      const button = el('button', { type: 'button', class: 'mark' }, el('b', {}, where), ` ${mark.message}`);
      button.addEventListener('click', () => show(mark));
      return button;
    }),
    ...notes.map((note) => el('div', { class: 'small' }, note)),
  );
}

export function showGuide({ about, steps, end }: Lesson, facts: Facts): void {
  const next = steps.findIndex(({ when }) => !facts.has(when));
  byId('guide').replaceChildren(
    el('p', {}, ...marked(about)),
    el(
      'ol',
      {},
      ...steps.map(({ text, when }, index) => {
        const isDone = facts.has(when);
        const name = isDone ? 'done' : index === next ? 'now' : '';
        return el(
          'li',
          { class: name, ...(index === next ? { 'aria-current': 'step' } : {}) },
          ...marked(text),
        );
      }),
    ),
    ...(next < 0 ? [el('p', { class: 'end' }, ...marked(end))] : []),
  );
}

/** Code between grave accents, strong words between two stars. */
function marked(text: string): Child[] {
  return text.split(/(`[^`]*`|\*\*[^*]*\*\*)/).map((part) => {
    if (part.startsWith('`')) return el('code', {}, part.slice(1, -1));
    if (part.startsWith('**')) return el('strong', {}, part.slice(2, -2));
    return part;
  });
}

export function empty(text: string): HTMLElement {
  return el('p', { class: 'empty' }, text);
}
