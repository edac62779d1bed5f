import { INSTRUCTION_ALIGNMENT } from '../architecture.js';
import { type EntryFacts, entryFacts, FUNCTION_ENTRY_SIZE, type ReadEntryCode } from '../entry.js';
import type { PeImage } from '../image.js';
import { isExecutable } from '../sections.js';
import { lastPossibleJump } from './branches.js';
import { endlessCode, type FlowInstruction } from './endless.js';
import type { FunctionPlace } from './functions.js';

/** What the check needs to know of an instruction; the processor room has it. */
export interface InstructionDecoder {
  /** `flow`: `jump`, `conditionalJump` and `call` have a target; `invalid` is no instruction. */
  facts(
    bytes: Uint8Array,
    address: bigint,
  ): { readonly length: number; readonly flow: string; readonly target?: bigint };
  /** The instruction that the bytes begin with, as a disassembler writes it. */
  text(bytes: Uint8Array, address: bigint): string;
}

/** What was seen in the code of all functions. */
export interface CodeSurvey {
  /** RVAs between the bytes that a patch of some function replaces, to which a branch leads, and from where. */
  readonly insideEntries: ReadonlyMap<number, number>;
  /** Functions that jump to their own first byte. */
  readonly loopsToEntry: ReadonlySet<number>;
  /** Of the functions of which that matters. */
  readonly callsOthers: ReadonlySet<number>;
}

const LONGEST_INSTRUCTION = 15;

/**
 * Looks through every function from its first byte to its end, or to the next function. Functions in which no byte can be
 * a jump that matters are not decoded. `callsMatter`: whether {@link CodeSurvey.callsOthers} must tell of the function.
 */
export function surveyCode(
  image: PeImage,
  functions: readonly FunctionPlace[],
  decoder: InstructionDecoder,
  callsMatter: (place: FunctionPlace) => boolean,
): CodeSurvey {
  const { architecture } = image;
  const entrySize = FUNCTION_ENTRY_SIZE[architecture];
  const step = INSTRUCTION_ALIGNMENT[architecture];
  const inside = new Set<number>();
  for (const { rva } of functions) for (let by = step; by < entrySize; by += step) inside.add(rva + by);
  const insideEntries = new Map<number, number>();
  const loopsToEntry = new Set<number>();
  const callsOthers = new Set<number>();
  const { imageBase } = image.optionalHeader;

  for (const [i, place] of functions.entries()) {
    const code = functionBytes(image, place, functions[i + 1]);
    const matters = (rva: number) => rva === place.rva || inside.has(rva);
    const lastJump = lastPossibleJump(architecture, code, place.rva, matters);
    const last = callsMatter(place) ? code.length - 1 : lastJump;
    for (let at = 0; at <= last; ) {
      const rva = place.rva + at;
      const facts = decoder.facts(code.subarray(at, at + LONGEST_INSTRUCTION), imageBase + BigInt(rva));
      if (facts.flow === 'invalid') break;
      if (facts.flow === 'call' || facts.flow === 'indirectCall') callsOthers.add(place.rva);
      else if (facts.target !== undefined) {
        const target = Number(facts.target - imageBase);
        if (target === place.rva) loopsToEntry.add(place.rva);
        if (inside.has(target)) insideEntries.set(target, rva);
      }
      at += facts.length;
    }
  }
  return { insideEntries, loopsToEntry, callsOthers };
}

/** The function's bytes in its own section: to its end, and not beyond the next function. */
function functionBytes(image: PeImage, place: FunctionPlace, next: FunctionPlace | undefined): Uint8Array {
  const section = image.sectionAt(place.rva);
  if (section === undefined) return new Uint8Array(0);
  const endOfData = section.virtualAddress + section.fileSize;
  const end = Math.min(place.end ?? endOfData, next?.rva ?? endOfData, endOfData);
  return end > place.rva ? image.read(place.rva, end - place.rva) : new Uint8Array(0);
}

/** Offset of code of the function that never leaves it, as far as it can be decoded. */
export function neverLeaves(
  image: PeImage,
  place: FunctionPlace,
  next: FunctionPlace | undefined,
  decoder: InstructionDecoder,
): number | undefined {
  const code = functionBytes(image, place, next);
  const start = image.optionalHeader.imageBase + BigInt(place.rva);
  const instructions: FlowInstruction[] = [];
  for (let offset = 0; offset < code.length; ) {
    const facts = decoder.facts(code.subarray(offset, offset + LONGEST_INSTRUCTION), start + BigInt(offset));
    const { length, flow, target } = facts;
    const to = target === undefined ? undefined : Number(target - start);
    const branch = to !== undefined && to >= 0 && to < code.length ? to : undefined;
    instructions.push({ offset, length, flow, branch });
    if (flow === 'invalid') break;
    offset += length;
  }
  return endlessCode(instructions);
}

/** What is so at a function's entry in the file, with the code that `read` gives. */
export function entryInFile(
  image: PeImage,
  { rva }: FunctionPlace,
  before: FunctionPlace | undefined,
  decoder: InstructionDecoder,
  read: ReadEntryCode,
): EntryFacts {
  const section = image.sectionAt(rva);
  const isCode = section !== undefined && isExecutable(section);
  const start = section?.virtualAddress ?? rva;
  return entryFacts({
    architecture: image.architecture,
    rva,
    code: { start: isCode ? start : rva, end: start + (section?.fileSize ?? 0) },
    read,
    endOfCodeBefore: before?.end ?? before?.rva,
    startOfCodeBefore: before?.rva,
    decode: (bytes) => decoder.facts(bytes, image.optionalHeader.imageBase + BigInt(rva)),
  });
}
