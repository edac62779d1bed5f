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

/** How the scenario ended. */
function verdict({ error, limit, expectations }: Player['scene']['head']): string {
  if (error !== undefined) return `the scenario ended with an error: ${error}`;
  if (limit !== undefined) return 'the recording ends here, the run went on';
  return `the scenario has ended: ${expectations} expectation${expectations === 1 ? '' : 's'} held`;
}

function whereWords({ scene, moment }: Player): string {
  const { replay, head } = scene;
  const count = `Step ${moment.toLocaleString('en')} of ${head.entries.toLocaleString('en')}`;
  const step = moment === head.entries ? `${count} · ${verdict(head)}` : count;
  const slice = replay.slice();
  if (slice === undefined) return step;
  const thread = head.threads[slice.thread];
  const processor = head.processors[slice.processor];
  if (scene.story.event(moment - 1) !== undefined) return `${step} · event after position ${replay.position}`;
  return `${step} · thread ${thread?.id} (${thread?.name}) on processor ${processor?.index} · position ${replay.position}`;
}
