import { bytesOf, hexBytes } from '../recording/code-book.js';
import type { UndoChange } from '../recording/format.js';
import { lastUntil } from '../recording/replay.js';
import { byId, classes, el } from './dom.js';
import type { Player } from './player.js';
import type { Scene } from './scene.js';

/** The patches, each image's Hotpatch Address Table, and the undo tables. */
export function hotpatchPanel({ scene }: Player): () => void {
  const patches = byId('patches');
  const tables = byId('hpat');
  const undo = byId('undo');
  // Systems of 2003 have neither.
  const hasTables = scene.head.images.some(({ hpat }) => hpat !== undefined);
  for (const part of [tables, undo, byId('undo-heading')]) part.hidden = !hasTables;
  byId('hotpatch-heading').textContent = hasTables ? 'Hotpatch Address Tables' : 'Hotpatches';
  byId('patches-heading').hidden = !hasTables;
  return () => {
    patches.replaceChildren(...patchLines(scene));
    tables.replaceChildren(...hpatTables(scene));
    undo.replaceChildren(...undoLines(scene));
  };
}

function patchLines(scene: Scene): HTMLElement[] {
  const change = lastUntil(scene.head.patches, scene.replay.moment);
  const known = change?.patches ?? [];
  const begun = scene.head.events.findLast(
    ({ kind, entry }) => kind === 'applyBegun' && entry < scene.replay.moment,
  );
  if (known.length === 0 && begun !== undefined && begun.entry >= (change?.from ?? 0))
    return [el('li', {}, el('span', { class: 'name' }, begun.text.trim()))];
  if (known.length === 0) return [el('li', { class: 'empty' }, 'no patch is loaded')];
  return known.map(({ name, sequence, state, status }) =>
    el(
      'li',
      {},
      el('span', { class: 'name' }, name),
      el('span', { class: `state ${state}` }, state),
      el('span', { class: 'small' }, sequence === undefined ? status : `sequence ${sequence} · ${status}`),
    ),
  );
}

function hpatTables(scene: Scene): HTMLElement[] {
  const { moment } = scene.replay;
  const visible = scene.names.images.filter(
    ({ facts, hpat }) =>
      hpat !== undefined && facts.from <= moment && moment < (facts.to ?? Number.POSITIVE_INFINITY),
  );
  if (visible.length === 0) return [el('p', { class: 'empty' }, 'no image with an HPAT is loaded')];
  return visible.map((image) => {
    const { facts, hpat, index } = image;
    const domain = scene.head.domains[facts.domain];
    const isCommitted = scene.replay.page(domain?.space ?? 0, hpat?.base ?? 0n).state === 'committed';
    const where = domain?.kind === 'driver' ? '' : ` in ${domain?.name}`;
    const head = el('h3', {}, `${facts.name}${where}`);
    if (!isCommitted)
      return el('div', { class: 'table' }, head, el('p', { class: 'empty' }, 'reserved, without memory'));
    const rows = scene.trampolines.all
      .filter((candidate) => candidate.image === index)
      .flatMap((trampoline) => slotRow(scene, trampoline));
    const empty = rows.length === 0 ? [el('p', { class: 'empty' }, 'memory, but no slot in use')] : [];
    return el('div', { class: 'table' }, head, ...empty, el('ul', { class: 'slots' }, ...rows));
  });
}

function slotRow(scene: Scene, trampoline: Scene['trampolines']['all'][number]): HTMLElement[] {
  const state = scene.trampolines.state(trampoline);
  const data = state.parts.get('dataSlot');
  const code = state.parts.get('codeSlot');
  if (state.target === undefined || data === undefined) return [];
  const image = scene.head.images[trampoline.image];
  const target = scene.names.describe(image?.domain ?? 0, state.target, scene.replay.moment);
  const name = classes({ c: data.changed || code?.changed === true, running: data.isRunning });
  return [
    el(
      'li',
      { class: name || undefined },
      el('span', { class: 'slot' }, String(trampoline.facts.slot)),
      el('span', { class: 'owner' }, trampoline.facts.symbol),
      el('span', { class: 'target' }, `→ ${target}`),
      el('span', { class: 'small' }, state.isLive ? 'live' : 'entry not redirected'),
    ),
  ];
}

function undoLines(scene: Scene): HTMLElement[] {
  const { moment } = scene.replay;
  const table = new Map<string, UndoChange>();
  for (const change of scene.head.undo) {
    if (change.from > moment) break;
    const key = `${change.image} ${change.slot}`;
    if (change.rva === undefined) table.delete(key);
    else table.set(key, change);
  }
  if (table.size === 0) return [el('li', { class: 'empty' }, 'empty')];
  return [...table.values()].map((change) => {
    const image = scene.names.images[change.image];
    const address = (image?.base ?? 0n) + BigInt(change.rva ?? 0);
    const name = scene.names.describe(image?.facts.domain ?? 0, address, moment);
    const padding =
      change.paddingBytes === '' ? '' : `, padding ${hexBytes(bytesOf(change.paddingBytes ?? ''))}`;
    return el(
      'li',
      { class: change.from === moment ? 'c' : undefined },
      el('span', { class: 'slot' }, String(change.slot)),
      el('span', { class: 'owner' }, name),
      el('span', { class: 'target' }, `was ${hexBytes(bytesOf(change.entryBytes ?? ''))}${padding}`),
    );
  });
}
