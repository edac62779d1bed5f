import { instructionLength } from '../cpu/index.js';
import type { CodeFunction, Program } from './program.js';
import type { BuildRuleId } from './rules.js';

export interface EntryProblem {
  readonly rule: BuildRuleId;
  readonly text: string;
}

/** Bytes before an x64 or x86 entry that the trampoline may use (link /FUNCTIONPADMIN:6). */
const PADDING = 6;
const FILL = new Set([0xcc, 0x90, 0x00]);
/** Bytes that one store replaces. */
const ENTRY_SIZE = { x64: 2, x86: 2, arm64: 4 } as const;
/** Reach of B: 26 bits of signed distance in words. */
const ARM64_REACH = 1 << 27;

/** What keeps a function from carrying a redirection, even while nothing runs in it. */
export function placementProblems(program: Program, code: CodeFunction): EntryProblem[] {
  const { image } = program;
  const problems: EntryProblem[] = [];
  if (image.architecture === 'arm64') return problems;
  const before = code.rva >= PADDING ? image.read(code.rva - PADDING, PADDING) : new Uint8Array(0);
  const neighbour = program.functionAt(code.rva - 1) ?? program.functionAt(code.rva - PADDING);
  if (before.length < PADDING || !before.every((byte) => FILL.has(byte)))
    problems.push({ rule: 'entry.padding', text: `the ${PADDING} bytes before it are ${hexBytes(before)}` });
  else if (neighbour !== undefined && neighbour !== code)
    problems.push({
      rule: 'entry.padding',
      text: `${neighbour.name} ends less than ${PADDING} bytes before it`,
    });
  const length = instructionLength(image.architecture, image.read(code.rva, Math.min(15, code.size)), 0n);
  if (length < 2)
    problems.push({
      rule: 'entry.firstInstruction',
      text: `it begins with ${hexBytes(image.read(code.rva, 1))}`,
    });
  return problems;
}

/** What keeps a function of the running base from being redirected. */
export function entryProblems(program: Program, code: CodeFunction, reserveSize: number): EntryProblem[] {
  const { image } = program;
  const { architecture } = image;
  const problems = placementProblems(program, code);
  const entrySize = ENTRY_SIZE[architecture];
  for (const { offset, branch, flow } of program.stream(code).instructions) {
    if (branch === undefined || branch >= entrySize) continue;
    const at = `the branch at +0x${offset.toString(16)}`;
    if (branch > 0) problems.push({ rule: 'entry.branch', text: `${at} leads to +0x${branch.toString(16)}` });
    else if (flow !== 'call') problems.push({ rule: 'entry.loop', text: `${at} leads to the entry` });
  }
  const [relocation] = program.relocationsIn(
    code.rva - image.pointerSize + 1,
    image.pointerSize + entrySize - 1,
  );
  if (relocation !== undefined && architecture === 'x86')
    problems.push({
      rule: 'entry.relocation',
      text: `a base relocation changes the bytes at +0x${(relocation - code.rva).toString(16)}`,
    });
  const distance = image.optionalHeader.sizeOfImage + reserveSize - code.rva;
  if (architecture === 'arm64' && distance >= ARM64_REACH)
    problems.push({
      rule: 'entry.range',
      text: `the end of the HPAT is 0x${distance.toString(16)} bytes away`,
    });
  return problems;
}

function hexBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ') || 'outside the image';
}
