import { type EntryFacts, entryProblems } from '../entry.js';
import type { ColdpatchPlace } from './coldpatch.js';
import { HOOK_TYPE, type Hotp1, type Hotp1Hook, hookSize, isJump, shortJumpTarget } from './format.js';
import type { Hotp1RuleId } from './rules.js';

/** What a hook is to the functions of the target. */
export type HookPlace = 'entry' | 'padding' | 'pointer' | 'data';

/** RVAs of the entries whose way leads over a hook: where the short jumps stand that lead to its jumps. */
export function entriesOf(hotp1: Hotp1, hook: Hotp1Hook): number[] {
  return jumpsOf(hotp1, hook).flatMap(({ hookRva }) => {
    const short = shortJumps(hotp1).filter((other) => shortJumpTarget(other) === hookRva);
    return short.length === 0 ? [hookRva] : short.map((other) => other.hookRva);
  });
}

/** The jumps that read the pointer that the hook is; else the hook itself. */
export function jumpsOf(hotp1: Hotp1, hook: Hotp1Hook): Hotp1Hook[] {
  if (hook.type !== HOOK_TYPE.AMD64_CNT) return [hook];
  return hotp1.hooks.filter(
    (other) => other.type === HOOK_TYPE.AMD64_IND && continuationOf(hotp1, other) === hook.hookRva,
  );
}

/** RVA in the target of the pointer that an AMD64_IND hook jumps through: where the AMD64_CNT hook of its routine is. */
export function continuationOf(hotp1: Hotp1, { hotpRva }: Hotp1Hook): number {
  const found = hotp1.hooks.find((hook) => hook.type === HOOK_TYPE.AMD64_CNT && hook.hotpRva === hotpRva);
  return found?.hookRva ?? 0;
}

/** RVA in the hotpatch of the routine that a hook leads to, over the jump in the padding where it is a short one; 0: none. */
export function routineOf({ hooks }: Hotp1, hook: Hotp1Hook): number {
  if (hook.type !== HOOK_TYPE.X86_JMP2B) return hook.hotpRva;
  return hooks.find(({ hookRva }) => hookRva === shortJumpTarget(hook))?.hotpRva ?? 0;
}

/** A short jump, or a jump over the first instruction itself, which no short jump leads to: `entry`. */
export function hookPlace(hotp1: Hotp1, hook: Hotp1Hook): HookPlace {
  if (hook.type === HOOK_TYPE.X86_JMP2B) return 'entry';
  if (hook.type === HOOK_TYPE.AMD64_CNT) return 'pointer';
  if (!isJump(hook.type)) return 'data';
  return shortJumps(hotp1).some((other) => shortJumpTarget(other) === hook.hookRva) ? 'padding' : 'entry';
}

/**
 * What /hotpatch and /FUNCTIONPADMIN promise of the bytes that a jump replaces, and these do not keep. One rule for files and
 * for memory.
 * @param factsAt what is so at an RVA of the target
 */
export function hookPlaceProblem(
  hotp1: Hotp1,
  hook: Hotp1Hook,
  factsAt: (rva: number) => EntryFacts,
): Extract<Hotp1RuleId, 'hook.entry' | 'hook.padding'> | undefined {
  const size = hookSize(hook) ?? 0;
  const place = hookPlace(hotp1, hook);
  if (place === 'padding') {
    const problems = entryProblems(factsAt(hook.hookRva + size), { padding: size, jump: size, entry: 0 });
    return problems.some((problem) => problem === 'padding' || problem === 'split')
      ? 'hook.padding'
      : undefined;
  }
  if (place !== 'entry') return undefined;
  const problems = entryProblems(factsAt(hook.hookRva), { padding: 0, jump: 0, entry: size });
  return problems.every((problem) => problem === 'split') ? undefined : 'hook.entry';
}

/**
 * A jump of the coldpatch that a hook must not be stored over: it would replace a part of it, where a thread could stand, or
 * one that serves other functions than the hook, which would be led into its routine.
 */
export function crossedColdplace(
  hotp1: Hotp1,
  hook: Hotp1Hook,
  places: readonly ColdpatchPlace[],
): ColdpatchPlace | undefined {
  const end = hook.hookRva + (hookSize(hook) ?? 0);
  return places.find(({ rva, original }) => {
    if (hook.hookRva >= rva + original.length || rva >= end) return false;
    const served = new Set(places.filter((one) => one.rva === rva).map(({ entry }) => entry));
    const entries = new Set(entriesOf(hotp1, hook));
    return (
      rva !== hook.hookRva || served.size !== entries.size || [...served].some((entry) => !entries.has(entry))
    );
  });
}

const shortJumps = ({ hooks }: Hotp1): Hotp1Hook[] =>
  hooks.filter(({ type }) => type === HOOK_TYPE.X86_JMP2B);
