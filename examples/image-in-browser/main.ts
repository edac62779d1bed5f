import { ImageError, type PeImage, readImage, symbolsFromFile, symbolsInImage } from 'hotpatch-lab/image';

const result = document.querySelector('#result') as HTMLElement;
const drop = document.querySelector('#drop') as HTMLElement;
const files = document.querySelector('#files') as HTMLInputElement;

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

function add<K extends keyof HTMLElementTagNameMap>(
  parent: HTMLElement,
  tag: K,
  text = '',
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  element.textContent = text;
  parent.append(element);
  return element;
}

function row(table: HTMLElement, cell: 'td' | 'th', ...texts: string[]): void {
  const line = add(table, 'tr');
  for (const text of texts) add(line, cell, text);
}

function show(image: PeImage, name: string, nameOf: (rva: number) => string): void {
  add(result, 'h2', name);
  const { hotPatch, machine, optionalHeader, fileHeader } = image;
  add(
    result,
    'p',
    `${machine}, checksum ${hex(optionalHeader.checkSum)}, timestamp ${hex(fileHeader.timeDateStamp)}`,
  );
  if (hotPatch === undefined) {
    add(result, 'p', 'This is no hotpatch image: it has no hotpatch table.');
    return;
  }
  add(
    result,
    'p',
    `Hotpatch table of version ${hotPatch.version}, sequence number ${hotPatch.sequenceNumber}`,
  );
  for (const base of hotPatch.bases) {
    add(
      result,
      'p',
      `for the base with checksum ${hex(base.originalCheckSum)} and timestamp ${hex(base.originalTimeDateStamp)}`,
    );
    const table = add(result, 'table');
    row(table, 'th', 'direction', 'type', 'location', 'leads to');
    for (const { direction, type, records } of base.chunks)
      for (const { rva, target } of records) {
        // Forward records name the base first, backward ones this image.
        const [here, there] =
          direction === 'forward' ? [hex(rva), nameOf(target)] : [nameOf(rva), hex(target)];
        row(table, 'td', direction, type, here, there);
      }
  }
}

async function inspect(list: Iterable<File>): Promise<void> {
  result.replaceChildren();
  const given = await Promise.all(
    [...list].map(async (file) => ({ name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) })),
  );
  const isImage = ({ bytes }: { bytes: Uint8Array }) => bytes[0] === 0x4d && bytes[1] === 0x5a;
  for (const { name, bytes } of given.filter(isImage)) {
    try {
      const image = readImage(bytes, { file: name });
      let symbols = symbolsInImage(image).table;
      for (const other of given.filter((file) => !isImage(file)))
        symbols = symbolsFromFile(image, other.bytes, other.name).table;
      show(image, name, (rva) => symbols.byAddress(rva)?.symbol.name ?? hex(rva));
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      add(result, 'p', error.message).className = 'error';
    }
  }
  if (!given.some(isImage))
    add(result, 'p', 'None of these is an image (.dll, .sys, .exe).').className = 'error';
}

drop.addEventListener('dragover', (event) => {
  event.preventDefault();
  drop.classList.add('over');
});
drop.addEventListener('dragleave', () => drop.classList.remove('over'));
drop.addEventListener('drop', (event) => {
  event.preventDefault();
  drop.classList.remove('over');
  void inspect(event.dataTransfer?.files ?? []);
});
files.addEventListener('change', () => void inspect(files.files ?? []));
