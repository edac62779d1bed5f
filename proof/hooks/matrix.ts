import { type CallOutcome, type HookedProgram, HookMachine } from './machine.js';
import type { InlineHook } from './shapes.js';

/** Where a hook is set: before the hotpatch, or after it at one of three places. */
export const HOOK_PLACES = ['before', 'entry', 'padding', 'patch image'] as const;
export type HookPlace = (typeof HOOK_PLACES)[number];

/** What happens then. */
export const HOOK_SEQUELS = ['call', 'unhook', 'revert', 'revert, unhook', 'cumulative patch'] as const;
export type HookSequel = (typeof HOOK_SEQUELS)[number];

/** What a call of the function is like in the end. */
export type HookVerdict =
  /** The hook sees the call, and the code that is in force runs. */
  | 'works'
  /** No hook any more, and the right code. */
  | 'clean'
  | 'hook lost'
  /** Code runs that is no longer, or not yet, in force: an old bug is back, or a patch that was taken back lives on. */
  | 'wrong code'
  | 'crash'
  | `hook refused`
  | `STATUS_${string}`;

export interface HookCase {
  readonly hook: InlineHook;
  readonly place: HookPlace;
  readonly sequel: HookSequel;
}

/** Runs one combination on a machine of its own. */
export function runHookCase(program: HookedProgram, { hook, place, sequel }: HookCase): HookVerdict {
  using machine = new HookMachine(program);
  let current: 'base' | 1 | 2 = 1;
  if (place === 'before') {
    if (!machine.hook(hook, machine.function)) return 'hook refused';
    const status = machine.patch(1);
    // What happens then is asked all the same: is everything as it was?
    if (status !== undefined) {
      if (sequel === 'call') return status as HookVerdict;
      current = 'base';
    }
  } else {
    const status = machine.patch(1);
    if (status !== undefined) throw new Error(`the hotpatch alone is refused: ${status}`);
    const at = {
      entry: machine.function,
      padding: machine.function - 5n,
      'patch image': machine.patchFunction,
    }[place];
    if (!machine.hook(hook, at)) return 'hook refused';
  }
  let isHooked = true;
  for (const step of stepsOf(sequel)) {
    const status = step === 'revert' ? machine.revert() : step === 'patch' ? machine.patch(2) : undefined;
    if (status !== undefined) return status as HookVerdict;
    if (step === 'unhook') {
      machine.unhook();
      isHooked = false;
    }
    if (step === 'revert') current = 'base';
    if (step === 'patch') current = 2;
  }
  return judge(machine.call(), current, isHooked);
}

function stepsOf(sequel: HookSequel): readonly ('unhook' | 'revert' | 'patch')[] {
  switch (sequel) {
    case 'call':
      return [];
    case 'unhook':
      return ['unhook'];
    case 'revert':
      return ['revert'];
    case 'revert, unhook':
      return ['revert', 'unhook'];
    case 'cumulative patch':
      return ['patch'];
  }
}

function judge(outcome: CallOutcome, current: 'base' | 1 | 2, isHooked: boolean): HookVerdict {
  if (outcome.crashed) return 'crash';
  if (outcome.code !== current) return 'wrong code';
  if (isHooked) return outcome.hooked ? 'works' : 'hook lost';
  return outcome.hooked ? 'wrong code' : 'clean';
}
