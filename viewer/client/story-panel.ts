import { byId } from './dom.js';
import type { Player } from './player.js';

/** What the present step is, in words. */
export function storyPanel(player: Player): () => void {
  const { scene } = player;
  const title = byId('story-title');
  const text = byId('story-text');
  const code = byId('story-code');
  const detail = byId('story-detail');
  const where = byId('story-where');
  const box = byId('story');
  return () => {
    const told = scene.story.tell();
    box.setAttribute('aria-live', player.isPlaying ? 'off' : 'polite');
    title.textContent = told.title;
    text.textContent = told.text;
    code.textContent = told.code ?? '';
    code.hidden = told.code === undefined;
    detail.textContent = told.detail ?? '';
    detail.hidden = told.detail === undefined;
    where.textContent = whereWords(player);
  };
}

function whereWords({ scene, moment }: Player): string {
  const { replay, head } = scene;
  const step = `Step ${moment.toLocaleString('en')} of ${head.entries.toLocaleString('en')}`;
  const slice = replay.slice();
  if (slice === undefined) return step;
  const thread = head.threads[slice.thread];
  const processor = head.processors[slice.processor];
  if (scene.story.event(moment - 1) !== undefined) return `${step} · event after position ${replay.position}`;
  return `${step} · thread ${thread?.id} (${thread?.name}) on processor ${processor?.index} · position ${replay.position}`;
}
