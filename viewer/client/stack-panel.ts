import { byId, classes, el } from './dom.js';
import type { Player } from './player.js';

const ROWS = 14;

/** The top of the stack of the thread that is shown, a pointer a row. */
export function stackPanel({ scene }: Player): () => void {
  const rows = byId('stack');
  return () => {
    const { sp, pointerSize, space, replay } = scene;
    const length = ROWS * pointerSize;
    const bytes = sp === 0n ? new Uint8Array() : replay.read(space, sp, length);
    const changed = replay.changed(space, sp, length);
    const lines: HTMLElement[] = [];
    for (let at = 0; at + pointerSize <= bytes.length; at += pointerSize) {
      const value = littleEndian(bytes.subarray(at, at + pointerSize));
      const name = value === 0n ? undefined : scene.nameOf(value);
      const isChanged = changed.slice(at, at + pointerSize).includes(true);
      lines.push(
        el(
          'li',
          {
            class: classes({ c: isChanged, top: at === 0 }) || undefined,
            title: scene.format(sp + BigInt(at)),
          },
          el('span', { class: 'offset' }, at === 0 ? 'sp' : `+${at.toString(16)}`),
          el('span', { class: 'value' }, scene.format(value)),
          el('span', { class: 'name' }, name ?? ''),
        ),
      );
    }
    rows.replaceChildren(
      ...(lines.length > 0 ? lines : [el('li', { class: 'empty' }, 'no thread runs yet')]),
    );
  };
}

function littleEndian(bytes: Uint8Array): bigint {
  return [...bytes].reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
