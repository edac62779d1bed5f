import { byId, el } from './dom.js';

const MOST_LINES = 2000;

/** A line of the console; `asked`: what the user has typed, `event`: a line of the transcript. */
export function log(text: string, kind: 'asked' | 'answer' | 'event' | 'wrong'): void {
  const box = byId('log');
  for (const line of text.replace(/\n$/, '').split('\n')) box.append(el('div', { class: kind }, line));
  while (box.childElementCount > MOST_LINES) box.firstElementChild?.remove();
  box.scrollTop = box.scrollHeight;
}
