import { ImageError } from '../error.js';
import type { ImageArchitecture } from '../mapped-file.js';
import { alignUp } from '../text.js';
import { bytesOf, type Item, type Layout, type PlacedItem } from './items.js';

export const SECTION_ALIGNMENT = 0x1000;
export const FILE_ALIGNMENT = 0x200;

/** A section of an image under construction. */
export interface OutputSection {
  readonly name: string;
  readonly characteristics: number;
  readonly rva: number;
  readonly virtualSize: number;
  readonly pointerToRawData: number;
  readonly data: Uint8Array;
}

export interface PlaceInput {
  readonly architecture: ImageArchitecture;
  /** Characteristics by section name, in file order. */
  readonly sections: ReadonlyMap<string, number>;
  readonly items: readonly Item[];
  /** Names of places inside items. */
  readonly aliases: ReadonlyMap<string, { readonly item: string; readonly offset: number }>;
  readonly imageBase: bigint;
  readonly sizeOfHeaders: number;
}

export interface Placed {
  readonly sections: OutputSection[];
  readonly items: readonly PlacedItem[];
  readonly layout: Layout;
}

/** What link fills code with: int 3; zeros where words of them are no instructions. */
const CODE_FILL: Readonly<Record<ImageArchitecture, number>> = { x64: 0xcc, x86: 0xcc, arm64: 0 };

/** Gives every part its address and writes its bytes into its section. */
export function place(input: PlaceInput): Placed {
  const names = new Set([...input.items.map((item) => item.name), ...input.aliases.keys()]);
  const provisional = layoutOf(input.imageBase, names, () => ({
    rva: SECTION_ALIGNMENT,
    offset: 0,
    size: 0,
  }));
  const sized = input.items.map((item) => ({
    ...item,
    size: item.uninitialized ?? bytesOf(item.contents, provisional).length,
  }));

  const sections: OutputSection[] = [];
  const items: PlacedItem[] = [];
  let pointerToRawData = input.sizeOfHeaders;
  let rva = alignUp(input.sizeOfHeaders, SECTION_ALIGNMENT);
  for (const [name, characteristics] of input.sections) {
    const own = sized.filter((item) => item.section === name);
    if (own.length === 0) continue;
    let at = rva;
    let endOfData = rva;
    const inOrder = [
      ...own.filter((i) => i.uninitialized === undefined),
      ...own.filter((i) => i.uninitialized !== undefined),
    ];
    for (const item of inOrder) {
      at = alignUp(at + item.padding, item.alignment);
      items.push({ ...item, rva: at });
      at += item.size;
      if (item.uninitialized === undefined) endOfData = at;
    }
    const fill = name === '.text' ? CODE_FILL[input.architecture] : 0;
    const data = new Uint8Array(endOfData - rva).fill(fill);
    sections.push({ name, characteristics, rva, virtualSize: at - rva, pointerToRawData, data });
    pointerToRawData += alignUp(data.length, FILE_ALIGNMENT);
    rva = alignUp(Math.max(at, rva + 1), SECTION_ALIGNMENT);
  }

  const byName = new Map(items.map((item) => [item.name, item]));
  const sectionOf = new Map(sections.map((section) => [section.name, section]));
  const layout = layoutOf(input.imageBase, names, (name) => {
    const alias = input.aliases.get(name);
    const item = byName.get(alias?.item ?? name);
    const section = sectionOf.get(item?.section ?? '');
    const itemRva = (item?.rva ?? 0) + (alias?.offset ?? 0);
    return {
      rva: itemRva,
      offset: itemRva - (section?.rva ?? 0) + (section?.pointerToRawData ?? 0),
      size: item?.size ?? 0,
    };
  });
  for (const item of items) {
    if (item.uninitialized !== undefined) continue;
    const contents = bytesOf(item.contents, layout);
    if (contents.length !== item.size)
      throw new ImageError({
        rule: 'build.length',
        status: 'STATUS_INVALID_PARAMETER',
        place: item.name,
        message: `it had ${item.size} bytes before places were known, and has ${contents.length} now`,
      });
    const section = sectionOf.get(item.section);
    section?.data.set(contents, item.rva - section.rva);
  }
  return { sections, items, layout };
}

/** The section that follows the others. */
export function appendOutputSection(
  sections: OutputSection[],
  name: string,
  characteristics: number,
  data: Uint8Array,
  sizeOfHeaders: number,
): OutputSection {
  const last = sections.at(-1);
  const section = {
    name,
    characteristics,
    rva: alignUp(last === undefined ? sizeOfHeaders : last.rva + last.virtualSize, SECTION_ALIGNMENT),
    virtualSize: data.length,
    pointerToRawData:
      last === undefined ? sizeOfHeaders : last.pointerToRawData + alignUp(last.data.length, FILE_ALIGNMENT),
    data,
  };
  sections.push(section);
  return section;
}

function layoutOf(
  imageBase: bigint,
  names: ReadonlySet<string>,
  find: (name: string) => { rva: number; offset: number; size: number },
): Layout {
  const known = (name: string) => {
    if (!names.has(name))
      throw new ImageError({
        rule: 'build.unknown',
        status: 'STATUS_OBJECT_NAME_NOT_FOUND',
        place: name,
        message: 'the image has no part of that name',
      });
    return find(name);
  };
  return {
    rva: (name) => known(name).rva,
    address: (name) => imageBase + BigInt(known(name).rva),
    size: (name) => known(name).size,
    offset: (name) => known(name).offset,
  };
}
