import type { EventFacts } from '../recording/format.js';
import { byId, classes, el } from './dom.js';
import type { Player } from './player.js';

/** Lines that are in the page at once; a run can have tens of thousands. */
const WINDOW = 400;

/** The transcript: each event leads to its moment. */
export function eventsPanel(player: Player): () => void {
  const list = byId('events');
  const { events } = player.scene.head;
  let first = -1;
  let marked: Element | undefined;

  const fill = (start: number) => {
    first = start;
    const shown = events.slice(start, start + WINDOW);
    list.replaceChildren(...shown.map((event) => eventLine(player, event)));
  };

  return () => {
    const current = lastEventAt(events, player.moment);
    const wanted = Math.max(0, Math.min(current - WINDOW / 2, events.length - WINDOW));
    if (first < 0 || current < first || current >= first + WINDOW) fill(Math.max(0, wanted));
    marked?.removeAttribute('aria-current');
    marked = list.children[current - first];
    if (marked === undefined) return;
    const isExact = events[current]?.entry === player.moment - 1;
    marked.setAttribute('aria-current', isExact ? 'step' : 'true');
    scrollInto(list, marked);
  };
}

function eventLine(player: Player, event: EventFacts): HTMLElement {
  const kind = classes({
    [event.kind]: true,
    entry: event.store?.target === 'entry',
    inner: event.text.startsWith('  '),
  });
  const button = el('button', { type: 'button', class: kind }, event.text.trim());
  button.addEventListener('click', () => player.goTo(event.entry + 1));
  return el('li', {}, button);
}

/** Without moving the page. */
function scrollInto(list: HTMLElement, line: Element): void {
  const top = line.getBoundingClientRect().top - list.getBoundingClientRect().top;
  if (top >= 0 && top < list.clientHeight - 48) return;
  list.scrollTop += top - list.clientHeight / 3;
}

function lastEventAt(events: readonly EventFacts[], moment: number): number {
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((events[middle]?.entry ?? 0) < moment) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
