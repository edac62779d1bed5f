import { instructionFacts, retarget } from '../../cpu/index.js';
import type { CodeFunction, Program } from '../program.js';

/** A field of an instruction or of a constant that holds an address or a distance. */
export interface AddressField {
  /** RVA of the field. */
  readonly rva: number;
  /** `distance`: 32 bits from `end` to the target; `address`: a pointer with a base relocation. */
  readonly kind: 'distance' | 'address';
  /** RVA that a distance counts from: the end of the instruction. */
  readonly end: number;
  readonly target: number;
  /** How the instruction uses the target. */
  readonly use: 'call' | 'jump' | 'data';
}

/** A branch that leaves a function in one byte: nothing can lead it elsewhere. */
export class ShortBranch extends Error {
  constructor(
    readonly offset: number,
    readonly target: number,
  ) {
    super('a branch of one byte leaves the function');
  }
}

/** Every field of a function's code that leads out of the function. @throws ShortBranch */
export function codeFields(program: Program, code: CodeFunction): AddressField[] {
  const { image } = program;
  const { imageBase } = image.optionalHeader;
  return program.stream(code).instructions.flatMap(({ offset, length }): AddressField[] => {
    const rva = code.rva + offset;
    const end = rva + length;
    const bytes = image.read(rva, length);
    const at = imageBase + BigInt(rva);
    const { pcRelative, flow } = instructionFacts(image.architecture, bytes, at);
    const fields = program.relocationsIn(rva, length).map((field): AddressField => {
      const target = program.pointerTarget(field);
      return { rva: field, kind: 'address', end, target, use: 'data' };
    });
    if (pcRelative === undefined) return fields;
    const target = Number(pcRelative.target - imageBase);
    if (target >= code.rva && target < code.rva + code.size) return fields;
    const isBranch = pcRelative.kind === 'branch';
    const use = !isBranch ? 'data' : flow === 'call' ? 'call' : 'jump';
    return [
      ...fields,
      { rva: rva + displacementAt(program, bytes, at, offset, target), kind: 'distance', end, target, use },
    ];
  });
}

/** Pointers that a constant holds. */
export function constantFields(program: Program, rva: number, size: number): AddressField[] {
  return program.relocationsIn(rva, size).map((field) => ({
    rva: field,
    kind: 'address',
    end: field,
    target: program.pointerTarget(field),
    use: 'data',
  }));
}

/** Where in the instruction its 32-bit distance is: the first byte that another target changes. */
function displacementAt(
  { image }: Program,
  bytes: Uint8Array,
  at: bigint,
  offset: number,
  target: number,
): number {
  const WIDTH = 4;
  const ELSEWHERE = 0x0101_0101n;
  const end = at + BigInt(bytes.length);
  const [near, far] = [end, end + ELSEWHERE].map((to) => {
    try {
      return retarget(image.architecture, bytes, at, to);
    } catch {
      throw new ShortBranch(offset, target);
    }
  });
  const first = near?.findIndex((byte, index) => byte !== far?.[index]) ?? -1;
  if (first < 0 || first + WIDTH > bytes.length) throw new ShortBranch(offset, target);
  return first;
}
