import { type CodeLine, type CodeRange, plainText } from '../recording/code-book.js';
import { byId, classes, el } from './dom.js';
import type { Player } from './player.js';
import type { Scene } from './scene.js';

/** One of the two listings: code of the base image and what else runs there, or of the patch image. */
export function codePanel(player: Player, side: 'base' | 'patch'): () => void {
  const { scene } = player;
  const chooser = byId(`${side}-choice`) as HTMLSelectElement;
  const place = byId(`${side}-place`);
  const lines = byId(`${side}-code`);
  const isPatch = side === 'patch';
  const own = scene.code.ranges.filter((range) => scene.isPatch(range) === isPatch && isFunction(range));
  chooser.append(el('option', { value: '' }, 'follow the run'));
  for (const range of own) chooser.append(el('option', { value: range.index }, range.facts.name));
  let shown: CodeRange | undefined;

  const render = () => {
    const chosen = chooser.value === '' ? undefined : scene.code.ranges[Number(chooser.value)];
    const range = chosen ?? followed(scene, isPatch) ?? shown ?? own[0];
    const isOther = range !== shown;
    shown = range;
    place.textContent = range?.facts.name ?? 'no code';
    if (range === undefined) return;
    const rendered = scene.code.lines(range, scene.replay).map((line) => codeLine(scene, range, line));
    lines.replaceChildren(
      ...(rendered.length > 0 ? rendered : [el('li', { class: 'empty' }, 'not loaded yet')]),
    );
    showCurrent(lines, isOther);
  };
  chooser.addEventListener('change', render);
  return render;
}

/** The function that the engine stores into, or that runs, or else the two ends of the trampoline in view. */
function followed(scene: Scene, isPatch: boolean): CodeRange | undefined {
  const stored = storedInto(scene);
  if (stored !== undefined && scene.isPatch(stored) === isPatch) return stored;
  const running = scene.runningCode;
  if (running !== undefined && isFunction(running) && scene.isPatch(running) === isPatch) return running;
  const { trampoline, trampolines } = scene;
  if (trampoline === undefined) return undefined;
  const ends = [trampolines.entryCode(trampoline), trampolines.targetCode(trampoline)];
  return ends.find((range) => range !== undefined && scene.isPatch(range) === isPatch);
}

/** The function, or the padding before it, that the event of this step stores into. */
function storedInto({ story, replay, code }: Scene): CodeRange | undefined {
  const { store } = story.event(replay.moment - 1) ?? {};
  if (store === undefined) return undefined;
  const address = BigInt(store.address);
  return code.ranges.find((range) => isFunction(range) && address >= range.start && address < range.end);
}

/** HPAT slots are in the picture. */
function isFunction({ facts }: CodeRange): boolean {
  return !facts.name.includes('!HPAT[');
}

function codeLine(scene: Scene, range: CodeRange, line: CodeLine): HTMLElement {
  const { address, bytes, text, differs, changed } = line;
  const offset = address - range.entry;
  const isNext = scene.pc === address;
  const name = classes({
    ran: scene.executed === address,
    next: isNext,
    padding: offset < 0n,
    differs: differs.includes(true),
  });
  const others = scene.head.processors.flatMap(({ index }, processor) =>
    processor !== scene.processor && scene.replay.register(processor, 'pc') === address ? [index] : [],
  );
  const marks = [...(isNext ? ['▶'] : []), ...others.map((index) => `P${index}`)].join(' ');
  return el(
    'li',
    { class: name === '' ? undefined : name, title: scene.format(address) },
    el('span', { class: 'mark', 'aria-label': isNext ? 'next instruction' : undefined }, marks),
    el(
      'span',
      { class: 'offset' },
      `${offset < 0n ? '−' : '+'}${(offset < 0n ? -offset : offset).toString(16)}`,
    ),
    bytesSpan(bytes, differs, changed),
    el('span', { class: 'text' }, shortText(text, range)),
  );
}

/** Bytes, with those marked that are not the original ones or have just changed. */
export function bytesSpan(
  bytes: Uint8Array,
  differs: readonly boolean[],
  changed: readonly boolean[],
): HTMLElement {
  const span = el('span', { class: 'bytes' });
  bytes.forEach((byte, index) => {
    const name = classes({ d: differs[index] === true, c: changed[index] === true });
    span.append(
      el('span', { class: name === '' ? undefined : name }, byte.toString(16).padStart(2, '0')),
      index + 1 < bytes.length ? ' ' : '',
    );
  });
  return span;
}

/** The name of the module that is shown would only take room. */
function shortText(text: string, { facts }: CodeRange): string {
  return plainText(text).replaceAll(`${facts.name.split('!')[0]}!`, '');
}

function showCurrent(list: HTMLElement, isOther: boolean): void {
  const current = list.querySelector('.ran') ?? list.querySelector('.next');
  if (current === null) {
    if (isOther) list.scrollTop = 0;
    return;
  }
  const top = current.getBoundingClientRect().top - list.getBoundingClientRect().top;
  if (top < 0 || top > list.clientHeight - 40) list.scrollTop += top - list.clientHeight / 3;
}
