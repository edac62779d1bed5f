import type { LoadedImage, Thread } from '../../loader/index.js';
import type { View } from '../view.js';
import { PROGRAM, symbolFileName } from './host-files.js';
import { targetDescription } from './target-description.js';

/** The documents, XML but for the name of the program, that GDB reads by `qXfer:OBJECT:read`; undefined for other objects. */
export function document(object: string, annex: string, view: View): string | undefined {
  switch (object) {
    case 'features':
      return annex === 'target.xml' ? targetDescription(view.architecture.name) : undefined;
    case 'exec-file':
      return PROGRAM;
    case 'libraries':
      return libraryList(view.images);
    case 'memory-map':
      return memoryMap(view);
    case 'threads':
      return `<?xml version="1.0"?><threads>${view.kernel.threads.map((thread) => threadElement(view, thread)).join('')}</threads>`;
    default:
      return undefined;
  }
}

function libraryList(images: readonly LoadedImage[]): string {
  const libraries = images.map(
    (image) =>
      `<library name="${escapeXml(symbolFileName(image))}"><segment address="${hex(image.dllBase)}"/></library>`,
  );
  return `<?xml version="1.0"?><library-list>${libraries.join('')}</library-list>`;
}

/** The ranges of the page tables; what is committed in them changes as images come and go. */
function memoryMap(view: View): string {
  const { returnAddress } = view.architecture;
  const stackEnd = { start: returnAddress, end: returnAddress + 0x1000n };
  const ranges = [...view.space.tables.map(({ range }) => range), stackEnd].map(
    (range) => `<memory type="ram" start="${hex(range.start)}" length="${hex(range.end - range.start)}"/>`,
  );
  return `<?xml version="1.0"?><memory-map>${ranges.join('')}</memory-map>`;
}

function threadElement(view: View, thread: Thread): string {
  const core = thread.processor === undefined ? '' : ` core="${thread.processor.index}"`;
  return `<thread id="${thread.id.toString(16)}"${core} name="${escapeXml(thread.name)}">${escapeXml(threadText(view, thread))}</thread>`;
}

/** What `info threads` shows behind the name. */
export function threadText(view: View, thread: Thread): string {
  const where = thread.processor === undefined ? thread.state : `on processor ${thread.processor.index}`;
  return `${thread.process.name}, ${where}, IRQL ${thread.irql}, ${view.run.executed(thread)} instructions`;
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
