import { instructionFacts } from '../cpu/index.js';
import {
  type EntryFacts,
  type EntryNeed,
  endOfCodeBefore,
  entryFacts,
  entryNeedOf,
  FUNCTION_ENTRY_SIZE,
  type ImageArchitecture,
  type EntryProblem as Problem,
  entryProblems as problemsOf,
} from '../image/index.js';
import type { CodeFunction, Program } from './program.js';
import type { BuildRuleId } from './rules.js';

export interface EntryProblem {
  readonly rule: BuildRuleId;
  readonly text: string;
}

/** Bytes that the branch at an entry must not reach: B has 26 bits of signed distance in words. The others' jump near. */
const REACH: Readonly<Record<ImageArchitecture, number>> = {
  x64: Number.POSITIVE_INFINITY,
  x86: Number.POSITIVE_INFINITY,
  arm64: 1 << 27,
};

/** Does code hold addresses, which the loader relocates? The others' code is relative to itself. */
const HAS_ADDRESSES_IN_CODE: Readonly<Record<ImageArchitecture, boolean>> = {
  x64: false,
  x86: true,
  arm64: false,
};

/**
 * Bytes of a field of IMAGE_REL_BASED_HIGHLOW that another load address changes: its upper half, because image bases are
 * multiples of 64 KB (PE format, ImageBase).
 */
const RELOCATED_START = 2;
const RELOCATED_END = 4;

/** What is so at the entry of a function of a build. */
export function entryFactsIn(program: Program, code: CodeFunction, need: EntryNeed): EntryFacts {
  const { image } = program;
  const { rva } = code;
  const neighbour = neighbourOf(program, code, need);
  const ends = neighbour === undefined ? undefined : Math.min(neighbour.rva + neighbour.size, rva);
  const section = image.sectionAt(rva);
  return entryFacts({
    architecture: image.architecture,
    rva,
    code: {
      start: section?.virtualAddress ?? rva,
      end: Math.min(rva + code.size, (section?.virtualAddress ?? rva) + (section?.fileSize ?? 0)),
    },
    read: (at, length) => image.read(at, length),
    endOfCodeBefore: ends ?? endOfCodeBefore(image, rva),
    startOfCodeBefore: program.functionBefore(rva)?.rva,
    decode: (bytes) => instructionFacts(image.architecture, bytes, BigInt(rva)),
  });
}

/** The function that lies in the bytes before the entry that a redirection takes. */
function neighbourOf(program: Program, code: CodeFunction, { padding }: EntryNeed): CodeFunction | undefined {
  const found = program.functionAt(code.rva - 1) ?? program.functionAt(code.rva - padding);
  return found === code ? undefined : found;
}

/** What the problems of an entry are, in words. */
export function entryProblemTexts(
  program: Program,
  code: CodeFunction,
  need: EntryNeed,
): { readonly problem: Problem; readonly text: string }[] {
  const { image } = program;
  const facts = entryFactsIn(program, code, need);
  const neighbour = neighbourOf(program, code, need);
  const before =
    code.rva >= need.padding ? image.read(code.rva - need.padding, need.padding) : new Uint8Array(0);
  return problemsOf(facts, need).map((problem) => {
    if (problem === 'split')
      return {
        problem,
        text: 'the jump would begin inside a no-operation that the function before runs through',
      };
    if (problem !== 'padding')
      return { problem, text: `it begins with ${hexBytes(image.read(code.rva, 1))}` };
    const text =
      neighbour === undefined
        ? `the ${need.padding} bytes before it are ${hexBytes(before)}`
        : `${neighbour.name} ends less than ${need.padding} bytes before it`;
    return { problem, text };
  });
}

const RULES: Readonly<Record<Problem, BuildRuleId>> = {
  padding: 'entry.padding',
  split: 'entry.padding',
  firstInstruction: 'entry.firstInstruction',
  invalid: 'entry.firstInstruction',
};

/** What keeps a function from carrying a redirection, even while nothing runs in it. */
export function placementProblems(program: Program, code: CodeFunction): EntryProblem[] {
  const need = entryNeedOf(program.image.architecture);
  return entryProblemTexts(program, code, need).map(({ problem, text }) => ({ rule: RULES[problem], text }));
}

/** What keeps a function of the running base from being redirected. */
export function entryProblems(program: Program, code: CodeFunction, reserveSize: number): EntryProblem[] {
  const { image } = program;
  const { architecture } = image;
  const problems = placementProblems(program, code);
  const entrySize = FUNCTION_ENTRY_SIZE[architecture];
  for (const { offset, branch, flow } of program.stream(code).instructions) {
    if (branch === undefined || branch >= entrySize) continue;
    const at = `the branch at +0x${offset.toString(16)}`;
    if (branch > 0) problems.push({ rule: 'entry.branch', text: `${at} leads to +0x${branch.toString(16)}` });
    else if (flow !== 'call') problems.push({ rule: 'entry.loop', text: `${at} leads to the entry` });
  }
  const [relocation] = HAS_ADDRESSES_IN_CODE[architecture]
    ? program.relocationsIn(code.rva - RELOCATED_END + 1, RELOCATED_END - RELOCATED_START + entrySize - 1)
    : [];
  if (relocation !== undefined)
    problems.push({
      rule: 'entry.relocation',
      text: `a base relocation changes the bytes from ${signedHex(relocation + RELOCATED_START - code.rva)} on`,
    });
  const distance = image.optionalHeader.sizeOfImage + reserveSize - code.rva;
  if (distance >= REACH[architecture])
    problems.push({
      rule: 'entry.range',
      text: `the end of the HPAT is 0x${distance.toString(16)} bytes away`,
    });
  return problems;
}

function signedHex(offset: number): string {
  return `${offset < 0 ? '-' : '+'}0x${Math.abs(offset).toString(16)}`;
}

export function hexBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ') || 'outside the image';
}
