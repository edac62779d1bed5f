import { type HookedProgram, HookMachine } from './machine.js';
import type { InlineHook } from './shapes.js';

/** A thread stands in the function when its entry is changed, and goes on. */
export interface EntryRace {
  /** `hp_entry+0x2; the hook is stored; the thread goes on` */
  readonly schedule: string;
  /** Instructions of the function that the thread had executed. */
  readonly instructions: number;
  readonly ends: 'returns' | 'crash';
}

const MOST = 6;

/**
 * Every place among the first instructions at which a thread may stand while the entry is changed without suspending it,
 * nearest first: by a hook, or by the hotpatch engine.
 */
export function entryRaces(program: HookedProgram, by: InlineHook | 'hotpatch'): EntryRace[] {
  return Array.from({ length: MOST }, (_, instructions) => {
    using machine = new HookMachine(program);
    const thread = machine.inside(instructions);
    const offset = thread.at - machine.function;
    if (by === 'hotpatch') machine.patch(1);
    else if (!machine.hook(by, machine.function)) throw new RangeError(`${by.name} refuses the function`);
    const what = by === 'hotpatch' ? 'the hotpatch is applied' : 'the hook is stored';
    return {
      schedule: `${program.function}+0x${offset.toString(16)}; ${what}; the thread goes on`,
      instructions,
      ends: thread.go(),
    };
  });
}
