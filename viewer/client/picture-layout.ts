import type { PartKind } from '../recording/trampolines.js';

/** A box of the picture: a station of the way, in the unit of the picture's view box. */
export interface Box {
  readonly kind: PartKind;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** One image, or its HPAT: a frame around its boxes. */
export interface Group {
  readonly name: 'base' | 'hpat' | 'patch';
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Arrow {
  readonly from: PartKind;
  readonly to: PartKind;
  readonly path: string;
  /** Data is read, nothing runs there. */
  readonly reads: boolean;
}

/** Where callers come in. */
export interface Caller {
  readonly path: string;
  readonly x: number;
  readonly y: number;
}

export interface PictureLayout {
  readonly caller: Caller;
  readonly width: number;
  readonly height: number;
  readonly groups: readonly Group[];
  readonly boxes: readonly Box[];
  readonly arrows: readonly Arrow[];
}

const BOX = { width: 232, height: 62, gap: 14 };
const FRAME = { side: 14, head: 34, foot: 14 };
/** Room beside the boxes of the base image, for the arrow from the entry up to the padding. */
const BEND = 34;
const BETWEEN = 56;
/** Room on the left for those who call the function. */
const CALLERS = 44;

const GROUPS: readonly (readonly [Group['name'], readonly PartKind[]])[] = [
  ['base', ['padding', 'entry', 'body']],
  ['hpat', ['codeSlot', 'retpoline', 'dataSlot']],
  ['patch', ['target']],
];

/** Places the stations that a trampoline has: groups side by side, or one below the other where it is narrow. */
export function layOut(kinds: ReadonlySet<PartKind>, isNarrow: boolean): PictureLayout {
  const groups: Group[] = [];
  const boxes: Box[] = [];
  let x = CALLERS;
  let y = 0;
  for (const [name, stations] of GROUPS) {
    const present = stations.filter((kind) => kinds.has(kind));
    const bend = name === 'base' || isNarrow ? BEND : 0;
    const width = BOX.width + 2 * FRAME.side + bend;
    const height = FRAME.head + FRAME.foot + present.length * (BOX.height + BOX.gap) - BOX.gap;
    groups.push({ name, x, y, width, height });
    for (const [index, kind] of present.entries())
      boxes.push({
        kind,
        x: x + FRAME.side,
        y: y + FRAME.head + index * (BOX.height + BOX.gap),
        width: BOX.width,
        height: BOX.height,
      });
    if (isNarrow) y += height + BOX.gap;
    else x += width + BETWEEN;
  }
  const size = {
    width: Math.max(...groups.map((group) => group.x + group.width)),
    height: Math.max(...groups.map((group) => group.y + group.height)),
  };
  const same = isNarrow ? groups : groups.map((group) => ({ ...group, height: size.height }));
  const entry = boxes.find(({ kind }) => kind === 'entry');
  const middle = (entry?.y ?? 0) + BOX.height / 2;
  const caller = { path: `M 4 ${middle} L ${(entry?.x ?? 0) - 3} ${middle}`, x: 4, y: middle - 9 };
  return { ...size, groups: same, boxes, arrows: arrows(boxes, isNarrow), caller };
}

function arrows(boxes: readonly Box[], isNarrow: boolean): Arrow[] {
  const way = WAY.flatMap((kind) => boxes.filter((box) => box.kind === kind));
  return way.slice(1).flatMap((to, index) => {
    const from = way[index];
    if (from === undefined) return [];
    const reads = to.kind === 'dataSlot';
    return [{ from: from.kind, to: to.kind, reads, path: path(from, to, isNarrow) }];
  });
}

const WAY: readonly PartKind[] = ['entry', 'padding', 'codeSlot', 'retpoline', 'dataSlot', 'target'];

function path(from: Box, to: Box, isNarrow: boolean): string {
  const right = from.x + from.width;
  const fromMiddle = from.y + from.height / 2;
  const toMiddle = to.y + to.height / 2;
  if (from.x !== to.x) {
    const bend = (to.x - right) / 2;
    return `M ${right} ${fromMiddle} C ${right + bend} ${fromMiddle}, ${to.x - bend} ${toMiddle}, ${to.x - 3} ${toMiddle}`;
  }
  const isBelow = to.y > from.y;
  const isNext = isBelow && to.y - (from.y + from.height) <= BOX.gap;
  if (isNext) {
    const middle = from.x + from.width / 2;
    return `M ${middle} ${from.y + from.height} L ${middle} ${to.y - 3}`;
  }
  const bend = BEND + (isNarrow ? 2 : 0);
  const end = isBelow ? to.y + 14 : toMiddle + 12;
  const start = isBelow ? fromMiddle - 10 : fromMiddle;
  return `M ${right} ${start} C ${right + bend} ${start}, ${right + bend} ${end}, ${right + 3} ${end}`;
}
