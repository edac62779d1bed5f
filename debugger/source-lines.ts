import type { LoadedImage } from '../loader/index.js';
import { shortPlace, sourceFrames } from './source.js';
import type { View } from './view.js';

/** What of a source line is shown beside its number. */
function textOf(view: View, image: LoadedImage, file: Parameters<typeof shortPlace>[0]): string {
  const lines = image.symbols.lines;
  const text = lines && view.session.sources.text(file.file, lines);
  return text?.lines[file.line - 1]?.trim() ?? '';
}

/** `> demo.c:42    return b * 3;`, one for each function that was inlined there, innermost first; none without lines. */
export function sourceLines(view: View, address: bigint): string[] {
  const image = view.imageAt(address);
  if (image === undefined) return [];
  const frames = sourceFrames(image, address);
  return frames.map((frame) => {
    const what = frame.inlinee === undefined ? '' : ` (${frame.inlinee}, inlined)`;
    return `> ${shortPlace(frame)}${what}    ${textOf(view, image, frame)}`.trimEnd();
  });
}

/** ` [demo.c @ 42]`, as WinDbg puts it behind a place of code; empty without lines. */
export function placeSuffix(view: View, address: bigint): string {
  const [frame] = sourceFrames(view.imageAt(address), address).slice(-1);
  return frame === undefined ? '' : ` [${shortPlace(frame).replace(/:(\d+)$/, ' @ $1')}]`;
}

/** Lines around `line` of the file that this place of code is from, its own marked. */
export function sourceAround(
  view: View,
  address: bigint,
  before: number,
  count: number,
): string[] | undefined {
  const image = view.imageAt(address);
  const frame = sourceFrames(image, address)[0];
  const lines = image?.symbols.lines;
  if (frame === undefined || lines === undefined) return undefined;
  const text = view.session.sources.text(frame.file, lines);
  if (text === undefined)
    return [`${frame.file.name} is not here: .srcpath names the folder that it is in (line ${frame.line})`];
  const first = Math.max(1, frame.line - before);
  const shown = text.lines.slice(first - 1, first - 1 + count).map((line, index) => {
    const number = first + index;
    return `${number === frame.line ? '>' : ' '}${String(number).padStart(5)}: ${line}`;
  });
  const warning =
    text.isSame === false ? [`${text.path} is not what was compiled: its checksum differs`] : [];
  return [...warning, ...shown];
}
