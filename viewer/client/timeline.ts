import { byId } from './dom.js';
import type { Player } from './player.js';

/** Pixels of the rows: events above, one lane for each processor below. */
const EVENT_ROW = 12;
const LANE = 9;
const LANE_GAP = 3;
/** Half the slider's thumb: its middle cannot go further to the sides. */
const INSET = 7;

/** The whole run at a glance: which processor ran when, and where the events and trampolines are. */
export function timeline(player: Player): () => void {
  const canvas = byId('timeline') as HTMLCanvasElement;
  const slider = byId('position') as HTMLInputElement;
  const { head } = player.scene;
  slider.max = String(head.entries);
  slider.addEventListener('input', () => player.goTo(Number(slider.value)));
  canvas.style.height = `${EVENT_ROW + head.processors.length * (LANE + LANE_GAP)}px`;

  const redraw = () => {
    const context = prepared(canvas);
    if (context !== undefined) drawRun(context, player);
  };
  new ResizeObserver(redraw).observe(canvas);
  new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ['data-theme'] });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);

  return () => {
    slider.value = String(player.moment);
    slider.setAttribute('aria-valuetext', `step ${player.moment} of ${head.entries}`);
  };
}

function prepared(canvas: HTMLCanvasElement): CanvasRenderingContext2D | undefined {
  const { width, height } = canvas.getBoundingClientRect();
  const context = canvas.getContext('2d');
  if (context === null || width === 0) return undefined;
  canvas.width = Math.round(width * devicePixelRatio);
  canvas.height = Math.round(height * devicePixelRatio);
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  return context;
}

function drawRun(context: CanvasRenderingContext2D, player: Player): void {
  const { head } = player.scene;
  const width = context.canvas.getBoundingClientRect().width - 2 * INSET;
  const scale = width / Math.max(1, head.entries);
  context.translate(INSET, 0);
  const colours = getComputedStyle(document.documentElement);
  const colour = (name: string) => colours.getPropertyValue(name).trim();
  const laneAt = (processor: number) => EVENT_ROW + processor * (LANE + LANE_GAP);

  context.fillStyle = colour('--lane');
  for (const processor of head.processors.keys()) context.fillRect(0, laneAt(processor), width, LANE);
  context.fillStyle = colour('--run');
  for (const [index, { from, processor }] of head.slices.entries()) {
    const end = endOfSlice(player, index);
    context.fillRect(from * scale, laneAt(processor), Math.max(1, (end - from) * scale), LANE);
  }
  context.fillStyle = colour('--event');
  for (const { entry } of head.events) context.fillRect(entry * scale, 4, 1, EVENT_ROW - 6);
  context.fillStyle = colour('--change');
  for (const { entry, store } of head.events)
    if (store?.target === 'entry') context.fillRect(entry * scale - 1, 0, 3, EVENT_ROW - 2);
  context.fillStyle = colour('--hop');
  for (const hop of player.hops)
    for (const processor of head.processors.keys())
      if (player.scene.replay.slice(hop + 1)?.processor === processor)
        context.fillRect(hop * scale - 1, laneAt(processor) - 1, 3, LANE + 2);
}

/** The entry behind a slice's last instruction. */
function endOfSlice({ scene }: Player, index: number): number {
  const { slices, entries } = scene.head;
  const next = slices[index + 1]?.from ?? entries;
  const from = slices[index]?.from ?? 0;
  const executed = scene.replay.instructions(next) - scene.replay.instructions(from);
  return Math.min(next, from + executed + 1);
}
