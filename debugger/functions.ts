import { instructionLength } from '../cpu/index.js';
import { isExecutable, isX64Entry, readUnwindInfoArm64, type SymbolInfo } from '../image/index.js';
import type { LoadedImage } from '../loader/index.js';

/** What linkers leave between functions. */
const PADDING = new Set([0xcc, 0x00, 0x90]);

/**
 * First RVA behind a function or variable: by its symbol's size, its unwind data, or the next symbol without the padding
 * before it.
 */
export function symbolEnd(image: LoadedImage, { rva, size }: SymbolInfo): number {
  if (size !== undefined && size > 0) return rva + size;
  const entry = image.image.functionTable.find((candidate) => candidate.beginAddress === rva);
  if (entry !== undefined && isX64Entry(entry)) return entry.endAddress;
  if (entry !== undefined) return rva + readUnwindInfoArm64(image.image, entry).functionLength;
  return trimmedEnd(image, rva, nextSymbol(image, rva));
}

function nextSymbol(image: LoadedImage, rva: number): number {
  const section = image.image.sectionAt(rva);
  const sectionEnd = section === undefined ? image.sizeOfImage : section.virtualAddress + section.virtualSize;
  return Math.min(image.symbols.all.find((symbol) => symbol.rva > rva)?.rva ?? sectionEnd, sectionEnd);
}

function trimmedEnd(image: LoadedImage, rva: number, next: number): number {
  const bytes = image.section.layout.subarray(rva, next);
  let end = bytes.length;
  while (end > 1 && PADDING.has(bytes[end - 1] ?? -1)) end--;
  return rva + endOfInstruction(image, rva, bytes, end);
}

/** `ret 0Ch` is C2 0C 00: what looks like padding may be the end of an instruction. */
function endOfInstruction(image: LoadedImage, rva: number, bytes: Uint8Array, end: number): number {
  const section = image.image.sectionAt(rva);
  if (section === undefined || !isExecutable(section)) return end;
  const { name } = image.domain.architecture;
  let at = 0;
  while (at < end)
    at += Math.max(1, instructionLength(name, bytes.subarray(at, at + 15), image.address(rva + at)));
  return Math.min(at, bytes.length);
}
