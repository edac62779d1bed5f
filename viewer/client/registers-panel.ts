import { byId, classes, el } from './dom.js';
import type { Player } from './player.js';
import type { Scene } from './scene.js';

const X86_FLAGS = [
  ['OF', 11],
  ['SF', 7],
  ['ZF', 6],
  ['PF', 2],
  ['CF', 0],
] as const;
const ARM64_FLAGS = [
  ['N', 31],
  ['Z', 30],
  ['C', 29],
  ['V', 28],
] as const;

/** The registers of one processor; which one, the schedule decides, or the user. */
export function registersPanel(player: Player): () => void {
  const { scene } = player;
  const list = byId('registers');
  const tabs = byId('processors');
  const thread = byId('processor-thread');
  const isOneMachine = new Set(scene.head.processors.map(({ machine }) => machine)).size === 1;
  const buttons = scene.head.processors.map((facts, processor) => {
    const machine = isOneMachine ? '' : `Machine ${facts.machine + 1}, processor `;
    const button = el('button', { type: 'button' }, `${machine || 'Processor '}${facts.index}`);
    button.addEventListener('click', () => {
      scene.chosenProcessor = scene.chosenProcessor === processor ? undefined : processor;
      player.goTo(player.moment);
    });
    return button;
  });
  tabs.replaceChildren(...buttons);
  return () => {
    buttons.forEach((button, processor) => {
      button.setAttribute('aria-pressed', String(processor === scene.processor));
      button.classList.toggle('acting', processor === scene.actingProcessor);
    });
    thread.textContent = threadWords(scene);
    const names = scene.head.processors[scene.processor]?.registers ?? [];
    list.replaceChildren(...names.flatMap((name, index) => registerLine(scene, name, index)));
  };
}

function threadWords(scene: Scene): string {
  const { thread } = scene;
  const mode = scene.chosenProcessor === undefined ? 'Follows the schedule' : 'Pinned; press again to follow';
  return thread === undefined ? `${mode}.` : `Thread ${thread.id} (${thread.name}). ${mode}.`;
}

function registerLine(scene: Scene, name: string, index: number): HTMLElement[] {
  const value = scene.replay.registerAt(scene.processor, index);
  const isChanged = scene.replay.registerChanged(scene.processor, index);
  const note = flagWords(name, value) ?? scene.nameOf(value);
  return [
    el('dt', {}, name),
    el(
      'dd',
      { class: classes({ c: isChanged, zero: value === 0n }) || undefined, 'data-register': name },
      el('span', { class: 'value' }, scene.format(value)),
      note === undefined ? undefined : el('span', { class: 'name' }, note),
    ),
  ];
}

function flagWords(register: string, value: bigint): string | undefined {
  const isX86 = register === 'rflags' || register === 'eflags';
  if (!isX86 && register !== 'nzcv') return undefined;
  const set = (isX86 ? X86_FLAGS : ARM64_FLAGS).filter(([, bit]) => ((value >> BigInt(bit)) & 1n) === 1n);
  return set.length === 0 ? 'none set' : set.map(([flag]) => flag).join(' ');
}
