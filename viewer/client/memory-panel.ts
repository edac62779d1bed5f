import { byId, classes, el } from './dom.js';
import type { Player } from './player.js';
import type { Scene } from './scene.js';

const ROW = 8;
const ROWS = 12;

/** Bytes at an address that the user gives, or where the last step stored. */
export function memoryPanel(player: Player): () => void {
  const { scene } = player;
  const form = byId('memory-form') as HTMLFormElement;
  const input = byId('memory-address') as HTMLInputElement;
  const rows = byId('memory');
  const message = byId('memory-place');
  let chosen = '';

  const render = () => {
    const address = chosen === '' ? defaultAddress(scene) : parseAddress(scene, chosen);
    input.setAttribute('aria-invalid', String(address === undefined));
    if (address === undefined) {
      message.textContent = `'${chosen}' is neither an address nor a name that is loaded now`;
      return;
    }
    const start = address - (address % BigInt(ROW));
    message.textContent = `${scene.nameOf(address) ?? scene.format(address)}${chosen === '' ? ' · follows the run' : ''}`;
    const lines = memoryLines(scene, start);
    rows.replaceChildren(
      ...(lines.length > 0 ? lines : [el('li', { class: 'empty' }, 'no memory is committed here')]),
    );
  };

  const choose = (text: string) => {
    chosen = text.trim();
    input.value = chosen;
    render();
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    choose(input.value);
  });
  for (const [label, text] of presets(scene)) {
    const button = el('button', { type: 'button', class: 'chip' }, label);
    button.addEventListener('click', () => choose(text()));
    byId('memory-presets').append(button);
  }
  return render;
}

function presets(scene: Scene): [string, () => string][] {
  const ofTrampoline = (which: 'entry' | 'codeSlot' | 'dataSlot') => () => {
    const address = scene.trampoline?.[which];
    return address === undefined ? '' : scene.format(address);
  };
  return [
    ['follow', () => ''],
    ['stack', () => 'sp'],
    ...(scene.trampolines.all.length === 0
      ? []
      : ([
          ['entry', ofTrampoline('entry')],
          ['code slot', ofTrampoline('codeSlot')],
          ['data slot', ofTrampoline('dataSlot')],
        ] as [string, () => string][])),
  ];
}

function memoryLines(scene: Scene, start: bigint): HTMLElement[] {
  const { replay, space } = scene;
  const bytes = replay.read(space, start, ROW * ROWS);
  const changed = replay.changed(space, start, ROW * ROWS);
  const lines: HTMLElement[] = [];
  for (let at = 0; at < bytes.length; at += ROW) {
    const row = [...bytes.subarray(at, at + ROW)];
    lines.push(
      el(
        'li',
        {},
        el('span', { class: 'offset' }, scene.format(start + BigInt(at))),
        el(
          'span',
          { class: 'bytes' },
          ...row.map((byte, index) =>
            el(
              'span',
              { class: classes({ c: changed[at + index] === true, zero: byte === 0 }) || undefined },
              byte.toString(16).padStart(2, '0'),
            ),
          ),
        ),
        el('span', { class: 'characters', 'aria-hidden': 'true' }, row.map(character).join('')),
      ),
    );
  }
  return lines;
}

/** Where the last step stored, or else the stack. */
function defaultAddress(scene: Scene): bigint {
  const event = scene.story.event(scene.replay.moment - 1);
  return event?.store === undefined ? scene.sp : BigInt(event.store.address);
}

/** `sp`, a register, `module!name+0x12`, or an address with or without backtick. */
function parseAddress(scene: Scene, text: string): bigint | undefined {
  const processor = scene.head.processors[scene.processor];
  if (text === 'sp' || text === 'pc' || processor?.registers.includes(text))
    return scene.replay.register(scene.processor, text);
  const plain = text.replace(/`/g, '').replace(/^0x/i, '');
  if (/^[0-9a-f]{1,16}$/i.test(plain)) return BigInt(`0x${plain}`);
  const match = /^(?:([^!]+)!)?([^!+]+)(?:\+(?:0x)?([0-9a-f]+))?$/i.exec(text);
  if (match === null) return undefined;
  const [, module, name = '', offset = '0'] = match;
  for (const { facts, base, module: own } of scene.names.images) {
    if (module !== undefined && module.toLowerCase() !== own.toLowerCase()) continue;
    const symbol = facts.symbols.find(([, candidate]) => candidate === name);
    if (symbol !== undefined) return base + BigInt(symbol[0]) + BigInt(`0x${offset}`);
  }
  return undefined;
}

function character(byte: number): string {
  return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '·';
}
