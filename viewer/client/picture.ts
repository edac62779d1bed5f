import { hexBytes, plainText } from '../recording/code-book.js';
import type { KnownTrampoline } from '../recording/names.js';
import type { PartKind, PartState, TrampolineState } from '../recording/trampolines.js';
import { byId, classes, el, svg } from './dom.js';
import { type Arrow, type Box, type Caller, type Group, layOut } from './picture-layout.js';
import type { Player } from './player.js';
import type { Scene } from './scene.js';

const NARROW = '(max-width: 760px)';
const LONGEST_TEXT = 32;

/** The way of a call through a trampoline, as a picture that lights up where the run is. */
export function picturePanel(player: Player): () => void {
  const { scene } = player;
  const panel = byId('trampoline-panel');
  const place = byId('picture');
  const chooser = byId('trampoline-choice') as HTMLSelectElement;
  const narrow = matchMedia(NARROW);
  panel.hidden = scene.trampolines.all.length === 0;
  chooser.append(el('option', { value: '' }, 'follow the run'));
  for (const { index, facts, image } of scene.trampolines.all)
    chooser.append(el('option', { value: index }, `${facts.symbol}${whereWords(scene, image)}`));

  const render = () => {
    const { trampoline } = scene;
    if (trampoline === undefined) return;
    const state = scene.trampolines.state(trampoline);
    place.replaceChildren(picture(scene, state, narrow.matches));
    byId('trampoline-name').textContent = trampoline.facts.symbol;
    const badge = byId('trampoline-live');
    badge.textContent = state.isLive ? 'patched' : 'not patched';
    badge.className = state.isLive ? 'state applied' : 'state';
  };
  chooser.addEventListener('change', () => {
    scene.chosenTrampoline = chooser.value === '' ? undefined : scene.trampolines.all[Number(chooser.value)];
    player.goTo(player.moment);
  });
  narrow.addEventListener('change', render);
  return render;
}

/** A DLL may be patched in many processes. */
function whereWords(scene: Scene, image: number): string {
  const domain = scene.head.domains[scene.head.images[image]?.domain ?? 0];
  return domain === undefined || domain.kind === 'driver' ? '' : ` (${domain.name})`;
}

function picture(scene: Scene, state: TrampolineState, isNarrow: boolean): SVGElement {
  const layout = layOut(new Set(state.parts.keys()), isNarrow);
  const margin = 8;
  return svg(
    'svg',
    {
      viewBox: `${-margin} ${-margin} ${layout.width + 2 * margin} ${layout.height + 2 * margin}`,
      role: 'img',
      'aria-label': inWords(scene, state),
    },
    svg('defs', {}, ...['idle', 'set', 'lit'].map(arrowHead)),
    ...layout.groups.map((group) => frame(scene, state.trampoline, state, group)),
    callers(state, layout.caller),
    ...layout.arrows.map((arrow) => arrowOf(state, arrow)),
    ...layout.boxes.flatMap((box) => {
      const part = state.parts.get(box.kind);
      return part === undefined ? [] : [station(scene, state, part, box)];
    }),
  );
}

function arrowHead(name: string): SVGElement {
  return svg(
    'marker',
    {
      id: `head-${name}`,
      class: `head ${name}`,
      viewBox: '0 0 8 8',
      refX: 7,
      refY: 4,
      markerWidth: 11,
      markerHeight: 11,
      markerUnits: 'userSpaceOnUse',
      orient: 'auto',
    },
    svg('path', { d: 'M 0 0 L 8 4 L 0 8 z' }),
  );
}

function frame(scene: Scene, trampoline: KnownTrampoline, state: TrampolineState, group: Group): SVGElement {
  const { x, y, width, height } = group;
  return svg(
    'g',
    { class: `frame ${group.name}` },
    svg('rect', { x, y, width, height, rx: 10 }),
    svg('text', { x: x + 14, y: y + 21, class: 'frame-title' }, frameTitle(scene, trampoline, state, group)),
  );
}

function frameTitle(
  scene: Scene,
  trampoline: KnownTrampoline,
  { target }: TrampolineState,
  { name }: Group,
): string {
  const image = scene.head.images[trampoline.image];
  const kind = (isPatch: boolean | undefined) => (isPatch === true ? 'patch image' : 'base image');
  if (name === 'base') return `${image?.name} · ${kind(image?.isPatch)}`;
  if (name === 'hpat') return `HPAT behind ${image?.name}`;
  const other =
    target === undefined
      ? undefined
      : scene.names.imageAt(image?.domain ?? 0, target, scene.replay.moment)?.facts;
  return other === undefined ? kind(image?.isPatch !== true) : `${other.name} · ${kind(other.isPatch)}`;
}

function arrowOf({ parts }: TrampolineState, { from, to, path, reads }: Arrow): SVGElement {
  const start = parts.get(from);
  const end = parts.get(to);
  const isLit = isReached(start) && isReached(end);
  const isSet = start?.isSet === true && (to !== 'target' || end?.address !== 0n);
  const look = isLit ? 'lit' : isSet ? 'set' : 'idle';
  return svg('path', {
    d: path,
    class: classes({ arrow: true, [look]: true, reads }),
    'marker-end': `url(#head-${look})`,
  });
}

function callers({ parts }: TrampolineState, { path, x, y }: Caller): SVGElement {
  const isLit = isReached(parts.get('entry'));
  const look = isLit ? 'lit' : 'set';
  return svg(
    'g',
    {},
    svg('path', { d: path, class: `arrow ${look}`, 'marker-end': `url(#head-${look})` }),
    svg('text', { x, y, class: 'frame-title' }, 'call'),
  );
}

function isReached(part: PartState | undefined): boolean {
  return part !== undefined && (part.isRunning || part.isOnTrail);
}

function station(
  scene: Scene,
  state: TrampolineState,
  part: PartState,
  { x, y, width, height }: Box,
): SVGElement {
  const lines = stationLines(scene, state, part);
  const look = classes({
    station: true,
    [part.kind]: true,
    set: part.isSet,
    changed: part.changed,
    running: part.isRunning,
    trail: part.isOnTrail,
    left: part.kind === 'body' && state.isLive,
  });
  return svg(
    'g',
    { class: look, 'data-part': part.kind },
    svg('rect', { x, y, width, height, rx: 7 }),
    svg('text', { x: x + 11, y: y + 18, class: 'station-title' }, lines.title),
    svg('text', { x: x + 11, y: y + 36, class: 'station-bytes' }, lines.bytes),
    svg('text', { x: x + 11, y: y + 52, class: 'station-text' }, shorten(lines.text)),
  );
}

const TITLES: Readonly<Record<PartKind, string>> = {
  padding: 'padding before the function',
  entry: 'entry of the function',
  body: 'old code of the function',
  codeSlot: 'code slot',
  retpoline: 'retpoline page',
  dataSlot: 'data slot',
  target: 'new function',
};

/** Of a function that the patch image has a copy of, but does not change. */
const BACKWARD_TITLES: Partial<Record<PartKind, string>> = {
  body: "the patch image's own copy",
  target: 'function of the base',
};

function stationLines(
  scene: Scene,
  state: TrampolineState,
  part: PartState,
): { readonly title: string; readonly bytes: string; readonly text: string } {
  const { kind, bytes, address, isSet } = part;
  const { slot, symbol } = state.trampoline.facts;
  const hasSlot = kind === 'codeSlot' || kind === 'dataSlot';
  const own = (state.isBackward ? BACKWARD_TITLES[kind] : undefined) ?? TITLES[kind];
  const title = hasSlot ? `${own} ${slot}` : own;
  const image = scene.head.images[state.trampoline.image];
  const describe = (at: bigint) => scene.names.describe(image?.domain ?? 0, at, scene.replay.moment);
  switch (kind) {
    case 'body':
      return {
        title,
        bytes: symbol,
        text: bodyWords(state),
      };
    case 'retpoline':
      return { title, bytes: describe(address), text: 'finds the data slot, returns to its target' };
    case 'target':
      return state.target === undefined
        ? { title, bytes: 'nothing leads here yet', text: '' }
        : { title, bytes: describe(address), text: scene.format(address) };
    case 'dataSlot':
      return {
        title,
        bytes: bytes.length === 0 ? 'no memory yet' : hexBytes(bytes),
        text: state.target === undefined ? '' : `→ ${describe(state.target)}`,
      };
    default:
      return {
        title,
        bytes: bytes.length === 0 ? 'no memory yet' : hexBytes(bytes),
        text: kind === 'codeSlot' && !isSet ? '' : instructionAt(scene, state, part),
      };
  }
}

function bodyWords({ isLive, isBackward }: TrampolineState): string {
  if (!isLive) return 'runs after the entry';
  return isBackward ? 'never runs' : 'for whoever was inside';
}

function instructionAt(scene: Scene, state: TrampolineState, { kind, address, isSet }: PartState): string {
  if (kind === 'padding' && !isSet) return 'filler, never executed';
  const domain = scene.head.images[state.trampoline.image]?.domain ?? 0;
  const range = scene.code.at(domain, address);
  const line = range === undefined ? undefined : scene.code.line(range, address, scene.replay);
  return plainText(line?.text ?? '');
}

function shorten(text: string): string {
  return text.length <= LONGEST_TEXT ? text : `${text.slice(0, LONGEST_TEXT - 1)}…`;
}

function inWords(scene: Scene, state: TrampolineState): string {
  const { symbol } = state.trampoline.facts;
  if (!state.isLive) return `${symbol} is not patched: calls run its own code.`;
  const target = state.target;
  const image = scene.head.images[state.trampoline.image];
  const name =
    target === undefined ? 'nowhere' : scene.names.describe(image?.domain ?? 0, target, scene.replay.moment);
  const running = [...state.parts.values()].find((part) => part.isRunning)?.kind;
  return `${symbol} is patched: its calls lead through the HPAT to ${name}.${running === undefined ? '' : ` Now at: ${TITLES[running]}.`}`;
}
