import type { LoadedImage } from './loaded-image.js';

const LONGEST_INSTRUCTION = 15;

/**
 * `inside the instruction at demo!fib+0x4`, when an address is in the code of an image and no instruction begins there,
 * neither in the code as it was loaded nor as it is now; counted from the symbol before it.
 */
export function insideInstruction(image: LoadedImage, address: bigint): string | undefined {
  const rva = image.rva(address);
  const near = image.symbols.byAddress(rva);
  const section = image.executableSections.find(
    ({ virtualAddress, virtualSize }) => rva >= virtualAddress && rva < virtualAddress + virtualSize,
  );
  if (near === undefined || section === undefined || near.offset === 0) return undefined;
  const start = rva - near.offset;
  if (start < section.virtualAddress) return undefined;
  const length = Math.min(
    near.offset + LONGEST_INSTRUCTION,
    section.virtualAddress + section.virtualSize - start,
  );
  const codes = [
    image.section.layout.subarray(start, start + length),
    image.domain.addressSpace.read(image.address(start), length),
  ];
  const around = codes.map((code) => instructionAround(image, code, start, near.offset));
  const [first] = around;
  if (first === undefined || around.includes(undefined)) return undefined;
  return `inside the instruction at ${image.describe(image.address(start + first))}`;
}

/** Offset of the instruction that `offset` is inside of; undefined when one begins there. */
function instructionAround(
  image: LoadedImage,
  code: Uint8Array,
  start: number,
  offset: number,
): number | undefined {
  const { architecture } = image.domain;
  for (let at = 0; at < offset; ) {
    const length = architecture.instructionLength(code.subarray(at), image.address(start + at));
    if (at + length > offset) return at;
    at += Math.max(1, length);
  }
  return undefined;
}
