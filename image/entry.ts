import type { PeImage } from './image.js';
import type { ImageArchitecture } from './mapped-file.js';
import { isExecutable } from './sections.js';
import { isX64Entry } from './unwind/index.js';

/** Bytes of padding before an x86 or x64 function entry that a trampoline may use: link /FUNCTIONPADMIN:6. */
export const FUNCTION_PADDING = 6;

/** Bytes of a function entry that one store replaces: the short jump, or the ARM64 branch. */
export const FUNCTION_ENTRY_SIZE: Readonly<Record<ImageArchitecture, number>> = { x64: 2, x86: 2, arm64: 4 };

/** Bytes that the jump in the padding takes at least; an architecture without one needs no padding. */
export const PADDING_NEEDED: Readonly<Record<ImageArchitecture, number>> = { x64: 6, x86: 6, arm64: 0 };

const LONGEST_INSTRUCTION = 15;
/** Fill beyond this many bytes is not counted. */
const COUNTED_PADDING = 64;

/** Reads code by RVA, as it is in a file or in memory. */
export type ReadEntryCode = (rva: number, length: number) => Uint8Array;

/** What an entry is judged by; the processor room decodes. */
export interface EntryPlace {
  /** The processor of the code. */
  readonly architecture: ImageArchitecture;
  /** Where the function begins. */
  readonly rva: number;
  /** RVAs between which there is code that can be read: the section, or what of it is in the file. */
  readonly code: { readonly start: number; readonly end: number };
  /** Reads the code. */
  readonly read: ReadEntryCode;
  /** The first RVA behind the last instruction before the entry, as far as anything says where code ends. */
  readonly endOfCodeBefore?: number | undefined;
  /** RVA of an instruction before the entry, from which on there is code; undefined: nothing says where one is. */
  readonly startOfCodeBefore?: number | undefined;
  /** Length and kind of the instruction that the bytes begin with; `invalid` is none. */
  readonly decode: (bytes: Uint8Array) => { readonly length: number; readonly flow: string };
}

/** Bytes right before an entry that are nothing but whole instructions without effect. */
export interface Fill {
  /** Counted up to 64. */
  readonly length: number;
  /** How far before the entry each of its instructions begins, the farthest first. */
  readonly starts: readonly number[];
  /** Is a part of it no int 3, so that code before the entry may run through it into the function? */
  readonly executable: boolean;
}

/** What is so at the entry of a function, whatever generation of hotpatch it is to carry. */
export interface EntryFacts {
  /** What lies before it. */
  readonly fill: Fill;
  /** Does the code before run through the fill into the function? Not, where the fill traps. */
  readonly fallsThrough: boolean;
  /** Its bytes, as far as there are any, and its length: 1 when it is no instruction. */
  readonly firstInstruction: {
    readonly bytes: Uint8Array;
    readonly length: number;
    readonly isInvalid: boolean;
  };
}

/** How many bytes a redirection takes: before the entry, of these for the jump, and at the entry. */
export interface EntryNeed {
  /** Bytes of fill before the entry. */
  readonly padding: number;
  /** Of them, bytes of the jump. */
  readonly jump: number;
  /** Bytes at the entry that are replaced. */
  readonly entry: number;
}

/**
 * What keeps an entry from being redirected; each user has rules of its own for them. `split`: the jump would begin inside
 * a no-operation that the code before runs through.
 */
export type EntryProblem = 'padding' | 'split' | 'firstInstruction' | 'invalid';

/** `E9 rel32`; ARM64 has its jump at the entry. */
const JUMP_SIZE: Readonly<Record<ImageArchitecture, number>> = { x64: 5, x86: 5, arm64: 0 };

/** The modern redirection of an architecture. */
export function entryNeedOf(architecture: ImageArchitecture): EntryNeed {
  return {
    padding: PADDING_NEEDED[architecture],
    jump: JUMP_SIZE[architecture],
    entry: FUNCTION_ENTRY_SIZE[architecture],
  };
}

/**
 * The place of an entry in an image, judged by what its sections, exports and function table say.
 * @param read the code as it is in the file, in memory, or in memory without hotpatches
 */
export function entryPlace(
  image: PeImage,
  architecture: ImageArchitecture,
  rva: number,
  read: ReadEntryCode,
  decode: EntryPlace['decode'],
): EntryPlace {
  const section = image.sections.find(
    (one) => isExecutable(one) && rva >= one.virtualAddress && rva < one.virtualAddress + one.sizeInMemory,
  );
  const start = section?.virtualAddress ?? rva;
  return {
    architecture,
    rva,
    code: { start, end: start + (section?.sizeInMemory ?? 0) },
    read,
    endOfCodeBefore: endOfCodeBefore(image, rva),
    startOfCodeBefore: startOfCodeBefore(image, rva),
    decode,
  };
}

/** Looks at the entry of a function: what lies before it, and its first instruction. */
export function entryFacts(place: EntryPlace): EntryFacts {
  const { rva, code, read, decode } = place;
  const available = Math.max(0, Math.min(LONGEST_INSTRUCTION, code.end - rva));
  const bytes = read(rva, available);
  const { length, flow } = decode(bytes);
  const fill = fillBefore(place);
  return {
    fill,
    fallsThrough: fill.executable && goesOn(flowBefore(place, fill)),
    firstInstruction: { bytes: bytes.slice(0, length), length, isInvalid: flow === 'invalid' },
  };
}

/**
 * Where code before an RVA ends, as far as the function table of x64 says it; not beyond the RVA itself, which may lie
 * inside a function. Undefined: nothing says it.
 */
export function endOfCodeBefore(image: PeImage, rva: number): number | undefined {
  const { begins, ends } = codeEnds(image);
  let low = 0;
  for (let high = begins.length; low < high; ) {
    const middle = (low + high) >> 1;
    if ((begins[middle] ?? rva) < rva) low = middle + 1;
    else high = middle;
  }
  const end = ends[low - 1];
  return end === undefined ? undefined : Math.min(end, rva);
}

/** Where the last function begins that exports, function table or the beginning of its section tell of before an RVA. */
export function startOfCodeBefore(image: PeImage, rva: number): number | undefined {
  const section = image.sectionAt(rva);
  if (section === undefined) return undefined;
  const starts = (image.exports?.functions ?? []).map((entry) => entry.rva).concat(codeEnds(image).begins);
  return starts.reduce((last, start) => (start < rva && start > last ? start : last), section.virtualAddress);
}

interface CodeEnds {
  /** Where functions begin, in ascending order. */
  readonly begins: readonly number[];
  /** The farthest end of any function up to this one. */
  readonly ends: readonly number[];
}

const knownEnds = new WeakMap<PeImage, CodeEnds>();

function codeEnds(image: PeImage): CodeEnds {
  const known = knownEnds.get(image);
  if (known !== undefined) return known;
  const entries = image.functionTable
    .filter(isX64Entry)
    .sort((one, other) => one.beginAddress - other.beginAddress);
  let farthest = 0;
  const found = {
    begins: entries.map(({ beginAddress }) => beginAddress),
    ends: entries.map(({ endAddress }) => {
      farthest = Math.max(farthest, endAddress);
      return farthest;
    }),
  };
  knownEnds.set(image, found);
  return found;
}

/** In the order in which they are told. */
export function entryProblems(
  { fill, fallsThrough, firstInstruction }: EntryFacts,
  need: EntryNeed,
): EntryProblem[] {
  const problems: EntryProblem[] = [];
  if (fill.length < need.padding) problems.push('padding');
  else if (fallsThrough && !fill.starts.includes(need.jump)) problems.push('split');
  if (firstInstruction.isInvalid) problems.push('invalid');
  else if (firstInstruction.length < need.entry) problems.push('firstInstruction');
  return problems;
}

/**
 * Where a thread must not stand, as bytes before the entry, while a jump of `size` bytes is stored into the padding: it
 * would execute the end of the jump, or the beginning of an instruction whose end the jump has replaced. At the jump's
 * own first byte it may stand.
 */
export function unsafePadding({ starts }: Fill, size: number): ReadonlySet<number> {
  const unsafe = new Set<number>();
  if (size === 0) return unsafe;
  for (let before = 1; before < size; before++) unsafe.add(before);
  const first = starts.findLast((start) => start >= size);
  if (first !== undefined && first !== size) unsafe.add(first);
  return unsafe;
}

/** The kind of the last instruction before the fill; undefined when none can be told. */
function flowBefore(
  { rva, read, decode, startOfCodeBefore: start }: EntryPlace,
  fill: Fill,
): string | undefined {
  if (start === undefined) return undefined;
  const code = read(start, Math.max(0, rva - fill.length - start));
  let flow: string | undefined;
  for (let at = 0; at < code.length; ) {
    const facts = decode(code.subarray(at, at + LONGEST_INSTRUCTION));
    if (facts.flow === 'invalid') return undefined;
    flow = facts.flow;
    at += facts.length;
  }
  return flow;
}

/** After a call nothing is executed when the function never returns, which is why there is fill: it is taken for that. */
function goesOn(flow: string | undefined): boolean {
  return flow === 'next' || flow === 'conditionalJump' || flow === 'systemCall';
}

/**
 * int 3 and nop of any length (on ARM64 zero words, which trap) between the code before an entry and the entry: what
 * compilers and linkers fill with. Zero bytes are none on x86 processors: two of them are `add [rax], al`, and one that
 * stands alone is the end of what stands before it.
 */
export function fillBefore(place: Omit<EntryPlace, 'decode'>): Fill {
  const { architecture, rva, code, read, endOfCodeBefore: end = 0 } = place;
  const start = Math.max(code.start, rva - COUNTED_PADDING, end);
  return fillAtEnd(architecture, read(start, Math.max(0, rva - start)));
}

/** How many of the last bytes are fill, however many there are: what is between code of unknown length and what follows. */
export function trailingFill(architecture: ImageArchitecture, bytes: Uint8Array): number {
  return fillAtEnd(architecture, bytes).length;
}

function fillAtEnd(architecture: ImageArchitecture, gap: Uint8Array): Fill {
  const lengthAt = FILL_INSTRUCTION[architecture];
  /** By how far before the entry: the length of the instruction from which only fill follows. */
  const chain = new Map<number, number>();
  let farthest = 0;
  for (let before = 1; before <= gap.length; before++) {
    if (before - farthest > LONGEST_INSTRUCTION) break;
    const length = lengthAt(gap, gap.length - before);
    if (length === 0 || !(length === before || chain.has(before - length))) continue;
    chain.set(before, length);
    farthest = before;
  }
  const starts: number[] = [];
  let executable = false;
  for (let before = farthest; before > 0; before -= chain.get(before) ?? before) {
    starts.push(before);
    executable ||= RUNS_ON[architecture](gap, gap.length - before);
  }
  return { length: farthest, starts, executable };
}

type FillLength = (bytes: Uint8Array, at: number) => number;
type FillTest = (bytes: Uint8Array, at: number) => boolean;

const INT3 = 0xcc;

/** The length of the instruction without effect at a place of some bytes; 0 where there is none. */
const FILL_INSTRUCTION: Readonly<Record<ImageArchitecture, FillLength>> = {
  x64: x86FillLength,
  x86: x86FillLength,
  arm64: (bytes, at) => (bytes.subarray(at, at + 4).every((byte) => byte === 0) ? 4 : 0),
};

const isNoInt3: FillTest = (bytes, at) => bytes[at] !== INT3;

/** Does fill lead on to what is behind it, when somebody runs into it? Words of zeros are no A64 instructions. */
const RUNS_ON: Readonly<Record<ImageArchitecture, FillTest>> = {
  x64: isNoInt3,
  x86: isNoInt3,
  arm64: () => false,
};

/** int 3, and nop in all its lengths: 90 and 0F 1F /0, with prefixes 66 and 2E (Intel SDM, "NOP"). */
function x86FillLength(bytes: Uint8Array, at: number): number {
  if (bytes[at] === INT3) return 1;
  let opcode = at;
  while (bytes[opcode] === 0x66 || bytes[opcode] === 0x2e) opcode++;
  const length = nopLength(bytes, opcode);
  const end = opcode + length;
  return length > 0 && end <= bytes.length && end - at <= LONGEST_INSTRUCTION ? end - at : 0;
}

/** ModR/M addressing forms of the Intel SDM, volume 2, table 2-2; the operand is not read. */
function nopLength(bytes: Uint8Array, opcode: number): number {
  if (bytes[opcode] === 0x90) return 1;
  if (bytes[opcode] !== 0x0f || bytes[opcode + 1] !== 0x1f) return 0;
  const modRm = bytes[opcode + 2];
  if (modRm === undefined || (modRm & 0x38) !== 0) return 0;
  const [mod, rm] = [modRm >> 6, modRm & 7];
  if (mod === 3) return 3;
  const hasSib = rm === 4;
  const base = hasSib ? (bytes[opcode + 3] ?? 0) & 7 : rm;
  const displacement = mod === 1 ? 1 : mod === 2 || base === 5 ? 4 : 0;
  return 3 + Number(hasSib) + displacement;
}
