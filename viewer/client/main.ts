import { codePanel } from './code-panel.js';
import { byId } from './dom.js';
import { eventsPanel } from './events-panel.js';
import { hotpatchPanel } from './hotpatch-panel.js';
import { keyboard } from './keyboard.js';
import { loadRecording } from './load.js';
import { mapPanel } from './map-panel.js';
import { memoryPanel } from './memory-panel.js';
import { picturePanel } from './picture.js';
import { Player } from './player.js';
import { registersPanel } from './registers-panel.js';
import { Scene } from './scene.js';
import { stackPanel } from './stack-panel.js';
import { storyPanel } from './story-panel.js';
import { toggleTheme } from './theme.js';
import { timeline } from './timeline.js';
import { transport } from './transport.js';

async function start(): Promise<void> {
  const scene = new Scene(await loadRecording(byId('recording').textContent));
  const player = new Player(scene);
  const panels = [
    storyPanel(player),
    picturePanel(player),
    codePanel(player, 'base'),
    codePanel(player, 'patch'),
    registersPanel(player),
    stackPanel(player),
    memoryPanel(player),
    hotpatchPanel(player),
    mapPanel(player),
    eventsPanel(player),
    timeline(player),
    transport(player),
  ];
  player.onChange(() => {
    for (const render of panels) render();
  });
  keyboard(player);
  byId('theme').addEventListener('click', toggleTheme);
  addEventListener('hashchange', () => player.goTo(momentOfAddress() ?? player.opening));
  player.goTo(momentOfAddress() ?? player.opening);
  keepAddress(player);
  // Milliseconds since the page was opened.
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
}

/** `…#step=120` opens the page at step 120; `#120` as well. */
function momentOfAddress(): number | undefined {
  const [, moment] = /^#(?:step=)?(\d{1,15})$/.exec(location.hash) ?? [];
  return moment === undefined ? undefined : Number(moment);
}

/** Browsers take so many changes of an address, and no more. */
const ADDRESS_DELAY = 250;

/** The address names the step that is shown, once it has been shown for a moment. */
function keepAddress(player: Player): void {
  let timer: number | undefined;
  player.onChange(() => {
    clearTimeout(timer);
    if (player.isPlaying) return;
    timer = setTimeout(() => history.replaceState(null, '', `#step=${player.moment}`), ADDRESS_DELAY);
  });
}

function fail(error: unknown): void {
  const box = byId('failure');
  box.hidden = false;
  box.textContent = `This recording cannot be shown: ${error instanceof Error ? error.message : String(error)}`;
}

start().catch(fail);
