import {
  type EntryProblem,
  HOOK_FORM_NEEDS,
  HOOK_OPTION,
  HOOK_TYPE,
  type HookForm,
  type Hotp1HookInput,
  type Hotp1ValidationInput,
  pointerCells,
  VALIDATION_HOOK_ONLY,
} from '../../image/index.js';
import { entryProblemTexts } from '../entry.js';
import type { Findings } from '../finding.js';
import type { CodeFunction, Program } from '../program.js';
import type { BuildRuleId } from '../rules.js';

export interface HookedFunction {
  readonly base: CodeFunction;
  readonly fixed: CodeFunction;
}

export interface HookSet {
  readonly hooks: readonly Hotp1HookInput[];
  readonly validations: readonly Hotp1ValidationInput[];
}

/** Hooks and validations for every function that the fix changes. The order of the hooks is that of their stores. */
export function hookFunctions(
  program: Program,
  functions: readonly HookedFunction[],
  form: HookForm,
): HookSet {
  const hooks: Hotp1HookInput[] = [];
  const validations: Hotp1ValidationInput[] = [];
  const cells = form === 'indirect' ? cellsOf(program, functions) : undefined;
  const { padding: size, entry: entrySize } = HOOK_FORM_NEEDS[form];
  for (const [index, { base, fixed }] of functions.entries()) {
    const padding = base.rva - size;
    const validation = validations.length;
    validations.push({
      source: Uint8Array.from(program.image.read(padding, size)),
      targetRva: padding,
      optionFlags: VALIDATION_HOOK_ONLY,
    });
    const common = { hookRva: padding, hotpRva: fixed.rva, validation };
    const cell = cells?.[index];
    if (cell === undefined)
      hooks.push({ ...common, type: HOOK_TYPE.X86_JMP, options: size | HOOK_OPTION.WITHIN_2GB });
    else {
      hooks.push({ type: HOOK_TYPE.AMD64_CNT, hookRva: cell, hotpRva: fixed.rva });
      hooks.push({ ...common, type: HOOK_TYPE.AMD64_IND, options: size });
    }
    const back = -(size + entrySize) & 0xff;
    hooks.push({ type: HOOK_TYPE.X86_JMP2B, options: entrySize, hookRva: base.rva, hotpRva: back });
    for (const { rva, length } of fixedRanges(program, base))
      validations.push({ source: Uint8Array.from(program.image.read(rva, length)), targetRva: rva });
  }
  return { hooks, validations };
}

/** ByteCount of a validation is a word. */
const LONGEST_VALIDATION = 0xffff;

/** Parts of a function that are the same wherever the image lies: between its base relocations. */
function fixedRanges(program: Program, code: CodeFunction): { rva: number; length: number }[] {
  const ranges: { rva: number; length: number }[] = [];
  let rva = code.rva;
  for (const relocation of [...program.relocationsIn(code.rva, code.size), code.rva + code.size]) {
    for (; rva < relocation; rva += LONGEST_VALIDATION)
      ranges.push({ rva, length: Math.min(LONGEST_VALIDATION, relocation - rva) });
    rva = relocation + program.image.pointerSize;
  }
  return ranges;
}

/**
 * A pointer for each function. Which one depends on the function's place among all of the target, so that hotpatches of
 * different functions, made independently, do not share one where there is room; those of one function do.
 */
function cellsOf({ image, functions }: Program, hooked: readonly HookedFunction[]): number[] {
  const cells = pointerCells(image);
  const entries = [...new Set(functions.map(({ rva }) => rva))].sort((a, b) => a - b);
  const taken = new Set<number>();
  return hooked.map(({ base }) => {
    let index = entries.indexOf(base.rva) % cells.length;
    while (taken.has(index)) index = (index + 1) % cells.length;
    taken.add(index);
    return cells[index] ?? 0;
  });
}

const ENTRY_RULES: Readonly<Record<EntryProblem, BuildRuleId>> = {
  padding: 'hotp1.padding',
  split: 'hotp1.padding',
  firstInstruction: 'hotp1.entry',
  invalid: 'hotp1.entry',
};

/** What keeps a function of the target from being hooked: padding, first instruction, branches, relocations. */
export function checkEntry(program: Program, code: CodeFunction, form: HookForm, findings: Findings): void {
  const need = HOOK_FORM_NEEDS[form];
  for (const { problem, text } of entryProblemTexts(program, code, need))
    findings.report(ENTRY_RULES[problem], text, code.name);
  checkFlow(program, code, need.entry, findings);
  const [relocation] = program.relocationsIn(code.rva - need.padding, need.padding + need.entry);
  if (relocation !== undefined)
    findings.report('hotp1.entry', `a base relocation is at RVA 0x${relocation.toString(16)}`, code.name);
}

/** What only the code of a whole function tells: branches into the bytes at its entry that a jump replaces. */
export function checkFlow(program: Program, code: CodeFunction, size: number, findings: Findings): void {
  for (const { offset, branch, flow } of program.stream(code).instructions) {
    if (branch === undefined || branch >= size) continue;
    const at = `the branch at +0x${offset.toString(16)}`;
    if (branch > 0) findings.report('hotp1.entry', `${at} leads into it`, code.name);
    else if (flow !== 'call') findings.report('entry.loop', `${at} leads to the entry`, code.name);
  }
}
