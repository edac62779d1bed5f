import { byId } from './dom.js';
import type { Player } from './player.js';
import { toggleTheme } from './theme.js';

/** Keys that a text field or a chooser needs itself. */
const EDITING = 'input:not([type=range]), select, textarea, dialog';

/** What each key does; the page's help lists them. */
export function keyboard(player: Player): void {
  const help = byId('help') as HTMLDialogElement;
  const showHelp = () => {
    player.pause();
    help.showModal();
  };
  byId('show-help').addEventListener('click', showHelp);
  byId('close-help').addEventListener('click', () => help.close());
  const actions: Readonly<Record<string, () => void>> = {
    ArrowRight: () => player.step(1),
    ArrowLeft: () => player.step(-1),
    'Shift+ArrowRight': () => player.toEvent(1),
    'Shift+ArrowLeft': () => player.toEvent(-1),
    n: () => player.toEvent(1),
    p: () => player.toEvent(-1),
    t: () => player.toHop(1),
    'Shift+T': () => player.toHop(-1),
    Home: () => player.goTo(0),
    End: () => player.goTo(player.scene.head.entries),
    ' ': () => player.toggle(),
    '+': () => {
      player.speed++;
    },
    '-': () => {
      player.speed--;
    },
    d: toggleTheme,
    '?': showHelp,
  };
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.target instanceof Element)) return;
    if (event.target.closest(EDITING) !== null) return;
    if (event.key === ' ' && event.target.closest('button, summary') !== null) return;
    const isShifted = event.shiftKey && event.key.length > 1;
    const key = isShifted || event.key === 'T' ? `Shift+${event.key}` : event.key;
    const action = actions[key];
    if (action === undefined) return;
    event.preventDefault();
    action();
  });
}
