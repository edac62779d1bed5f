import type { EngineGraph, EngineNode } from '../explore/engine-graph.js';
import { endsOf } from '../explore/properties.js';
import type { WholeCode } from '../explore/whole-code.js';
import { refuse } from '../refuse.js';
import type { GuestPoint } from './guest-points.js';
import type { CallRunner } from './run-through.js';

interface AloneRun {
  readonly result: number;
  /** Instructions and calls of simulated exports. */
  readonly steps: number;
}

/** What a call does by itself, before and after the operation. */
export interface Alone {
  readonly before: AloneRun;
  readonly after: AloneRun;
  /** Something that it changes is still so when the next call begins. */
  readonly changesData: boolean;
}

/** Makes the call at both ends of the protocol; what it executes of the changed bytes is whole. */
export function runAlone(
  runner: CallRunner,
  graph: EngineGraph,
  firstShared: number,
  whole: WholeCode,
): Alone {
  const { first, last } = endsOf(graph);
  let changesData = false;
  const at = (node: EngineNode): AloneRun => {
    const view = graph.pages.map(() => 0);
    let point = runner.initial;
    let shared = firstShared;
    let steps = 0;
    for (;;) {
      const run = runner.run(point, view, node, shared);
      steps += run.steps;
      whole.add(run.first);
      if (run.usesShared) shared = run.sharedAfter;
      const { end } = run;
      if (end.kind === 'fault')
        throw refuse('exploration.call', `the call does not return even when it runs alone: ${end.text}`);
      if (end.kind === 'waiting')
        throw refuse(
          'exploration.call',
          `the call does not return when it runs alone: it waits for ${end.reason}`,
        );
      if (end.kind === 'endless' || steps > MOST_STEPS)
        throw refuse('exploration.call', `the call does not return within ${steps} instructions`);
      if (end.kind === 'returned') {
        changesData ||= end.point !== runner.initial || shared !== firstShared;
        return { result: end.result, steps };
      }
      point = end.point;
    }
  };
  return { before: at(first), after: at(last), changesData };
}

const MOST_STEPS = 100_000_000;

/** What breaks a call that is made after the operation, where another one was made before it: nothing comes between. */
export function faultInSequence(
  runner: CallRunner,
  graph: EngineGraph,
  firstShared: number,
): string | undefined {
  const { first, last } = endsOf(graph);
  const view = graph.pages.map(() => 0);
  let point = runner.initial;
  let shared = firstShared;
  for (const node of [first, last])
    for (;;) {
      const { end, usesShared, sharedAfter } = runner.run(point, view, node, shared);
      if (end.kind === 'fault') return end.text;
      if (end.kind !== 'stopped' && end.kind !== 'returned') return undefined;
      if (usesShared) shared = sharedAfter;
      point = end.point;
      if (end.kind === 'returned') break;
    }
  return undefined;
}

/** What the call returns when it goes on alone from a point; undefined when it does not return. */
export function resultFrom(
  runner: CallRunner,
  graph: EngineGraph,
  node: EngineNode,
  from: { readonly point: GuestPoint; readonly shared: number },
): number | undefined {
  const view = graph.pages.map(() => 0);
  let { point, shared } = from;
  for (let steps = 0; steps < MOST_STEPS; ) {
    const run = runner.run(point, view, node, shared);
    steps += run.steps;
    if (run.usesShared) shared = run.sharedAfter;
    if (run.end.kind === 'returned') return run.end.result;
    if (run.end.kind !== 'stopped') return undefined;
    point = run.end.point;
  }
  return undefined;
}
