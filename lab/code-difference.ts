import { type Disassembler, formatAddress } from '../cpu/index.js';
import { formatBytes, KernelError, type LoadedImage } from '../loader/index.js';

/** Bytes of an image's code that are not those it was loaded with. */
export interface CodeDifference {
  readonly rva: number;
  readonly original: Uint8Array;
  readonly found: Uint8Array;
}

/** Each stretch of an image's executable sections that has changed since it was loaded, by address; none spans the beginning of a symbol. */
export function codeDifferences(image: LoadedImage): CodeDifference[] {
  const original = image.codeBytesBeforePatch;
  const found = image.codeBytes();
  const beginnings = new Set(image.symbols.all.map(({ rva }) => rva));
  const differences: CodeDifference[] = [];
  let start = 0;
  for (const { virtualAddress, virtualSize } of image.executableSections) {
    const end = start + virtualSize;
    for (let at = start; at < end; at++) {
      if (original[at] === found[at]) continue;
      const first = at;
      const rva = (position: number) => virtualAddress + position - start;
      do at++;
      while (at < end && original[at] !== found[at] && !beginnings.has(rva(at)));
      differences.push({
        rva: rva(first),
        original: original.slice(first, at),
        found: found.slice(first, at),
      });
      at--;
    }
    start = end;
  }
  return differences;
}

/** The bytes that were loaded at an RVA of an executable section. */
export function originalCode(image: LoadedImage, rva: number, length: number): Uint8Array {
  const at = codeOffset(image, rva);
  return image.codeBytesBeforePatch.subarray(at, at + length);
}

/** Where an RVA is in what `codeBytes` gives. */
function codeOffset(image: LoadedImage, rva: number): number {
  let before = 0;
  for (const { virtualAddress, virtualSize } of image.executableSections) {
    if (rva >= virtualAddress && rva < virtualAddress + virtualSize) return before + rva - virtualAddress;
    before += virtualSize;
  }
  throw new KernelError({
    rule: 'code.address',
    status: 'STATUS_INVALID_PARAMETER',
    image: image.baseDllName,
    place: `RVA 0x${rva.toString(16)}`,
    message: 'is in no executable section',
  });
}

const LISTED = 8;
const LONGEST_INSTRUCTION = 15;

/** The differences as text: for each the place, both byte strings, and the instruction that begins there. */
export function describeDifferences(
  image: LoadedImage,
  differences: readonly CodeDifference[],
  disassemble: Disassembler,
): string {
  const { name } = image.domain.architecture;
  const original = image.codeBytesBeforePatch;
  const found = image.codeBytes();
  const lines = differences.slice(0, LISTED).flatMap(({ rva, original: before }) => {
    const address = image.address(rva);
    const side = (title: string, code: Uint8Array) => {
      const at = codeOffset(image, rva);
      const window = code.subarray(at, at + LONGEST_INSTRUCTION);
      const [first] = disassemble(name, window, address, { count: 1 });
      const bytes = formatBytes(window.subarray(0, before.length)).padEnd(24);
      return `    ${title} ${bytes} ${first?.text.replace(/\s+/g, ' ') ?? ''}`.trimEnd();
    };
    return [
      `  ${image.describe(address)} (${formatAddress(name, address)}), ${before.length} byte(s)`,
      side('original', original),
      side('found   ', found),
    ];
  });
  const rest = differences.length - LISTED;
  return [...lines, ...(rest > 0 ? [`  … and ${rest} more place(s)`] : [])].join('\n');
}
