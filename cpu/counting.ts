import { BlockLog } from './unicorn/block-log.js';

/**
 * How an engine knows what it has executed: `instructions`, by counting each, so that it stops anywhere; `blocks`, by the
 * blocks that it enters, so that it stops between two of them or where something happens. Unicorn cannot change from
 * one to the other without forgetting all translated code: a processor has an engine of each kind that it has needed.
 */
export type Counting = 'instructions' | 'blocks';

/** What the environment variable HOTPATCH_COUNTING asks for, by default `blocks`, as far as this host permits it. */
export function defaultCounting(): Counting {
  const isAsked = process.env.HOTPATCH_COUNTING !== 'instructions';
  return isAsked && BlockLog.isPossible ? 'blocks' : 'instructions';
}
