/** A worker process: does the units that its parent sends, one after the other, and ends with it. */
import { noteRunsAsAsked } from '../loader/index.js';
import { performUnit } from './perform.js';
import type { FromWorker, ToWorker } from './pool.js';

noteRunsAsAsked();
process.on('message', ({ unit, folder }: ToWorker) => {
  const started = performance.now();
  performUnit(unit, folder)
    .then(
      (outcome): FromWorker => ({ outcome, seconds: (performance.now() - started) / 1000 }),
      (error: unknown): FromWorker => ({ error: describe(error) }),
    )
    .then((answer) => process.send?.(answer));
});
process.on('disconnect', () => process.exit(0));
// Ctrl+C goes to the whole group of a terminal; the parent says when to end.
process.on('SIGINT', () => undefined);
process.send?.({ ready: true } satisfies FromWorker);

function describe(error: unknown) {
  const text = (value: unknown) => (typeof value === 'string' ? value : undefined);
  if (!(error instanceof Error)) return { message: String(error), rule: undefined, hint: undefined };
  return {
    message: error.message,
    rule: 'rule' in error ? text(error.rule) : undefined,
    hint: 'hint' in error ? text(error.hint) : undefined,
  };
}
