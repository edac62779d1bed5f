import { byId } from './dom.js';
import { type Player, SPEEDS } from './player.js';

/** The buttons that move through the run. */
export function transport(player: Player): () => void {
  const actions: Readonly<Record<string, () => void>> = {
    'to-start': () => player.goTo(0),
    'event-back': () => player.toEvent(-1),
    'step-back': () => player.step(-1),
    play: () => player.toggle(),
    'step-forward': () => player.step(1),
    'event-forward': () => player.toEvent(1),
    'to-end': () => player.goTo(player.scene.head.entries),
  };
  for (const [id, action] of Object.entries(actions)) byId(id).addEventListener('click', action);
  const show = byId('show-trampoline');
  show.hidden = player.hops.length === 0;
  show.addEventListener('click', () => player.showTrampoline());
  const speed = byId('speed') as HTMLSelectElement;
  speed.addEventListener('change', () => {
    player.speed = Number(speed.value);
  });

  const play = byId('play');
  return () => {
    play.setAttribute('aria-pressed', String(player.isPlaying));
    play.setAttribute('aria-label', player.isPlaying ? 'Pause' : 'Play');
    play.classList.toggle('playing', player.isPlaying);
    speed.value = String(player.speed);
    const isStart = player.moment === 0;
    const isEnd = player.moment === player.scene.head.entries;
    for (const [id, isOff] of [
      ['to-start', isStart],
      ['step-back', isStart],
      ['step-forward', isEnd],
      ['to-end', isEnd],
    ] as const)
      byId(id).setAttribute('aria-disabled', String(isOff));
    byId('speed').title = `${SPEEDS[player.speed]} steps a second`;
  };
}
