import { type Page, PROTECTIONS } from '../recording/entry.js';
import { byId, classes, el } from './dom.js';
import type { Player } from './player.js';
import type { Scene } from './scene.js';

const PAGE_SIZE = 0x1000n;

interface Region {
  readonly start: bigint;
  pages: number;
  readonly what: string;
  readonly how: string;
  isChanged: boolean;
}

/** What is where in the address space of the thread that is shown: stretches of pages of one use and protection. */
export function mapPanel({ scene }: Player): () => void {
  const rows = byId('map');
  const details = byId('map-panel') as HTMLDetailsElement;
  const title = byId('map-space');
  const render = () => {
    title.textContent = scene.head.spaces[scene.space]?.name ?? '';
    if (!details.open) return;
    rows.replaceChildren(...regions(scene).map((region) => regionLine(scene, region)));
  };
  details.addEventListener('toggle', render);
  return render;
}

function regionLine(scene: Scene, { start, pages, what, how, isChanged }: Region): HTMLElement {
  const size = pages * 4;
  return el(
    'li',
    { class: classes({ c: isChanged, reserved: how === 'reserved' }) || undefined },
    el('span', { class: 'offset' }, scene.format(start)),
    el('span', { class: 'size' }, size < 1024 ? `${size} KB` : `${Math.round(size / 1024)} MB`),
    el('span', { class: 'what' }, what),
    el('span', { class: 'how' }, how),
  );
}

function regions(scene: Scene): Region[] {
  const { replay, space } = scene;
  const found: Region[] = [];
  for (const table of replay.tablesOf(space)) {
    const changed = new Set(
      replay.last?.pages.filter((change) => change.table === table).map(({ page }) => page),
    );
    const first = scene.head.tables[table]?.firstPage ?? 0;
    for (const [number, page] of replay.pages(table)) {
      const start = BigInt(number) * PAGE_SIZE;
      const what = useOf(scene, start, page);
      const how = protectionOf(page);
      const last = found.at(-1);
      const isNext = last !== undefined && last.start + BigInt(last.pages) * PAGE_SIZE === start;
      const isChanged = changed.has(number - first);
      if (isNext && last.what === what && last.how === how) {
        last.pages++;
        last.isChanged ||= isChanged;
      } else found.push({ start, pages: 1, what, how, isChanged });
    }
  }
  return found.sort((a, b) => (a.start < b.start ? -1 : 1));
}

function useOf(scene: Scene, address: bigint, page: Page): string {
  if (page.service) return 'simulated exports';
  const image = scene.names.imageAt(scene.domain, address, scene.replay.moment);
  if (image !== undefined) {
    const { facts, hpat, base } = image;
    if (hpat !== undefined && address >= hpat.base && address < hpat.end) {
      const isCode = facts.hpat?.layout === 'pairs' && ((address - hpat.base) / PAGE_SIZE) % 2n === 0n;
      return `${facts.name} · HPAT ${isCode ? 'code' : 'data'}`;
    }
    if (image.retpoline === address) return `${facts.name} · retpoline page`;
    const rva = Number(address - base);
    const section = facts.sections.find(
      (candidate) => rva >= candidate.rva && rva < candidate.rva + candidate.size,
    );
    return `${facts.name} · ${section?.name ?? 'headers'}`;
  }
  const thread = scene.head.threads.find(({ stack: [start, size] }) => {
    const base = BigInt(start);
    return address >= base && address < base + BigInt(size);
  });
  return thread === undefined ? 'other memory' : `stack of thread ${thread.id}`;
}

function protectionOf(page: Page): string {
  if (page.state === 'reserved') return 'reserved';
  const extra = [
    page.copyOnWrite ? 'copy-on-write' : '',
    page.guard ? 'guard' : '',
    page.frame === undefined ? 'untouched' : '',
  ];
  return [PROTECTIONS[page.protection], ...extra].filter((word) => word !== '').join(', ');
}
