import { partsOfRegister } from '../../cpu/index.js';
import { redirectedFunctions } from '../compare.js';
import type { Examination } from '../examination.js';
import { parameterRegisters } from '../pdb-facts.js';
import type { CodeFunction, Program } from '../program.js';
import { conventionOf, isLive, liveBefore, mayChange, registerFlow } from '../register-flow.js';

/**
 * Compilers leave out what a function of the base ignores: a parameter that nobody reads is not set by callers in the same
 * object, a result that nobody uses is not computed. Callers of the base that are in flight when the hotpatch lands call
 * the fixed function with what they were compiled for.
 */
export function checkConventions(examination: Examination): void {
  const { comparison, findings } = examination;
  const { base, fixed } = comparison;
  const callers = callersOf(base);
  const fixedCallers = callersOf(fixed);
  const parameters = {
    base: base.source.pdb && parameterRegisters(base.source.pdb),
    fixed: fixed.source.pdb && parameterRegisters(fixed.source.pdb),
  };
  const changed = new Set(
    comparison.functions.flatMap(({ verdict, base: code }) =>
      code !== undefined && verdict !== 'unchanged' ? code : [],
    ),
  );
  for (const { base: from, fixed: to } of redirectedFunctions(comparison)) {
    if (from === undefined || to === undefined) continue;
    const here = callers.get(from) ?? [];
    if (here.length === 0) continue;
    const report = (text: string) => findings.report('function.convention', text, from.name);
    const [before, after] = [registerFlow(base, from), registerFlow(fixed, to)];
    const inFlight = here.filter(({ code }) => changed.has(code));
    for (const register of after.liveIn) {
      if (before.liveIn.has(register)) continue;
      const needed = partsOfRegister(register).filter((part) => after.liveInParts.has(part));
      const guilty = unsetIn(base, from, { register, needed }, callers, changed);
      if (guilty !== undefined)
        report(
          `it reads ${conventionOf(base).manualName(register)} now, which ${guilty.name} of the base does not set before its call`,
        );
    }
    const [slot] = [...after.stackParameters].filter((at) => !before.stackParameters.has(at));
    const [caller] = inFlight;
    if (slot !== undefined && caller !== undefined)
      report(
        `it reads the parameter at +0x${slot.toString(16)} of the stack now, which ${caller.code.name} of the base may not set`,
      );
    const reader = inFlight.find((site) => readsResult(base, site));
    const isResultGone =
      (before.definesResult && !after.definesResult) ||
      (to.isStatic && !(fixedCallers.get(to) ?? []).some((site) => readsResult(fixed, site)));
    if (reader !== undefined && isResultGone)
      report(`nothing of the fix uses its result, which ${reader.code.name} of the base reads`);
    if (inFlight.length > 0)
      for (const text of movedParameters(parameters.base?.get(from.rva), parameters.fixed?.get(to.rva)))
        report(`${text}, and ${inFlight[0]?.code.name} of the base may be in flight`);
    for (const { code, index } of here) {
      // No compiler keeps over a call what the function that it knows changes.
      const register = reliesOn(base, code, index).find(
        (name) => mayChange(fixed, to, name) && !mayChange(base, from, name),
      );
      if (register !== undefined)
        report(
          `${code.name} of the base keeps something in ${conventionOf(base).manualName(register)} over its call, which it changes now`,
        );
    }
  }
}

type Parameters = ReadonlyMap<string, number> | undefined;

/** Parameters that are in another register, or in one that holds another parameter in the base. */
function movedParameters(before: Parameters, after: Parameters): string[] {
  if (before === undefined || after === undefined) return [];
  return [...after].flatMap(([name, register]) => {
    const was = before.get(name);
    if (was !== undefined)
      return was === register ? [] : [`its parameter ${name} is in another register now`];
    const other = [...before].find(([, place]) => place === register)?.[0];
    return other === undefined ? [] : [`its parameter ${name} is where ${other} was`];
  });
}

/** A register that a function reads, and what of it. */
interface Need {
  readonly register: string;
  readonly needed: readonly string[];
}

interface CallSite {
  readonly code: CodeFunction;
  /** Index of the instruction in the function. */
  readonly index: number;
}

function callersOf(program: Program): ReadonlyMap<CodeFunction, readonly CallSite[]> {
  const callers = new Map<CodeFunction, CallSite[]>();
  for (const code of program.functions) {
    const { instructions } = program.stream(code);
    for (let index = 0; index < instructions.length; index++)
      for (const { kind, target } of instructions[index]?.references ?? []) {
        if (kind === 'data') continue;
        const callee = program.functionAt(target);
        if (callee?.rva !== target || callee === code) continue;
        const list = callers.get(callee);
        if (list === undefined) callers.set(callee, [{ code, index }]);
        else list.push({ code, index });
      }
  }
  return callers;
}

/**
 * A function of the base that calls without setting a register on purpose. One that is the same in both builds sets it, or
 * passes on what its own callers set.
 */
function unsetIn(
  base: Program,
  of: CodeFunction,
  need: Need,
  callers: ReadonlyMap<CodeFunction, readonly CallSite[]>,
  changed: ReadonlySet<CodeFunction>,
  seen = new Set<CodeFunction>(),
): CodeFunction | undefined {
  if (seen.has(of)) return undefined;
  seen.add(of);
  for (const { code, index } of callers.get(of) ?? []) {
    const state = stateAt(base, code, index, need);
    if (state === 'set') continue;
    if (state === 'passed') {
      const guilty = unsetIn(base, code, need, callers, changed, seen);
      if (guilty !== undefined) return guilty;
      if (registerFlow(base, code).liveIn.has(need.register) || !changed.has(code)) continue;
    }
    if (changed.has(code)) return code;
  }
  return undefined;
}

/**
 * What a register holds before a call: `set` by an instruction that names it and that nothing else reads, `passed` as it
 * came in, `left` by something else.
 */
function stateAt(
  program: Program,
  code: CodeFunction,
  call: number,
  { register, needed }: Need,
): 'set' | 'passed' | 'left' {
  const { steps } = registerFlow(program, code);
  const { clobbered, results } = conventionOf(program);
  const isKilled =
    clobbered.includes(register) ||
    results.includes(register) ||
    register === 'rdx' ||
    /^[xv]\d/.test(register);
  const before: ('set' | 'passed' | 'left' | undefined)[] = steps.map(() => undefined);
  const work: { index: number; state: 'set' | 'passed' | 'left' }[] = [{ index: 0, state: 'passed' }];
  for (let item = work.pop(); item !== undefined; item = work.pop()) {
    const known = before[item.index];
    const state = known === undefined || known === item.state ? item.state : 'left';
    const step = steps[item.index];
    if (step === undefined || known === state) continue;
    before[item.index] = state;
    const after =
      step.leaves === 'call'
        ? isKilled
          ? 'left'
          : state
        : needed.every((part) => step.writtenParts.includes(part))
          ? step.implicit.includes(register)
            ? 'left'
            : 'set'
          : step.changes.includes(register) || (state === 'set' && step.reads.includes(register))
            ? 'left'
            : state;
    for (const index of step.next) work.push({ index, state: after });
  }
  return before[call] ?? 'left';
}

function readsResult(program: Program, { code, index }: CallSite): boolean {
  const { steps } = registerFlow(program, code);
  const { results, clobbered } = conventionOf(program);
  const step = steps[index];
  // A tail call hands the result to its own caller.
  if (step === undefined || step.leaves === 'tail') return true;
  const live = liveBefore(steps, () => new Set(), new Set([...clobbered, ...results]));
  return step.next.some((next) => results.some((name) => isLive(live[next] ?? new Set(), name)));
}

/** Registers that a call may change, and whose values the caller reads after it all the same. */
function reliesOn(program: Program, code: CodeFunction, index: number): string[] {
  const { steps } = registerFlow(program, code);
  const { clobbered } = conventionOf(program);
  const step = steps[index];
  if (step === undefined || step.leaves !== 'call') return [];
  const live = liveBefore(steps, () => new Set(), new Set());
  return clobbered.filter((name) => step.next.some((next) => isLive(live[next] ?? new Set(), name)));
}
