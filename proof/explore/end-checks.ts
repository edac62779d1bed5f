import type { EngineNode } from './engine-graph.js';
import type { CallPhase } from './local-states.js';
import type { Model } from './model.js';
import type { Broken } from './properties.js';
import type { Action } from './schedule.js';
import type { StateSet } from './state-set.js';
import { LOCAL_STATES, type Transitions } from './transitions.js';

/** Receives a broken property, the state in which it is broken, and the action by which. */
export type Report = (broken: Broken, state: number, action: Action) => void;

/** With the engine done, every processor must come to the end of its call by itself. */
export function checkThatCallsEnd(
  states: StateSet,
  transitions: Transitions,
  processors: number,
  report: Report,
): void {
  const { locals } = transitions;
  const ends = new Set<number>();
  for (let state = 0; state < states.size; state++) {
    const global = states.high(state) >>> 16;
    if (!transitions.global(global).node.committed) continue;
    const low = states.low(state);
    const all = [low & 0xffff, low >>> 16, states.high(state) & 0xffff].slice(0, processors);
    for (const [processor, first] of all.entries()) {
      const path: number[] = [];
      let key = first + LOCAL_STATES * global;
      const seen = new Set<number>();
      while (key >= 0 && !ends.has(key) && !seen.has(key)) {
        seen.add(key);
        path.push(key);
        const local = key % LOCAL_STATES;
        if (isBetweenCalls(locals.state(local).phase)) break;
        key = transitions.next(local, Math.floor(key / LOCAL_STATES));
      }
      const isLoop = key >= 0 && !ends.has(key) && !isBetweenCalls(locals.state(key % LOCAL_STATES).phase);
      if (isLoop)
        report({ rule: 'stuck', text: 'the call never ends' }, state, { actor: 'processor', processor });
      for (const step of path) ends.add(step);
    }
  }
}

/** After a revert the base has its original bytes. */
export function checkRestored(states: StateSet, model: Model, report: Report): void {
  if (model.recording.operation !== 'revert') return;
  for (let state = 0; state < states.size; state++) {
    const { node } = model.transitions.global(states.high(state) >>> 16);
    if (!node.committed || !isNotRestored(model, node)) continue;
    const broken = { rule: 'restored', text: 'the bytes of the base are not the original ones' } as const;
    report(broken, state, { actor: 'engine', edge: -1 });
    return;
  }
}

/** Jumps in the padding may stay where a processor stood in them. */
export function isNotRestored(
  { recording, graph }: Pick<Model, 'recording' | 'graph'>,
  { memory }: EngineNode,
): boolean {
  const { original, before, redirections } = recording;
  const isEntry = (place: string, address: bigint) =>
    redirections.some(
      (one) => one.place === place && address >= one.entry && address < one.entry + BigInt(one.before.length),
    );
  return graph.pages.some(({ place, addresses }, page) => {
    const contents = graph.contents(page, memory[page] ?? 0);
    return addresses.some((address, index) => {
      const wanted = original(place, address);
      if (wanted === undefined || contents[index] === wanted) return false;
      return isEntry(place, address) || contents[index] !== before(place, address);
    });
  });
}

function isBetweenCalls(phase: CallPhase): boolean {
  return phase === 'idle' || phase === 'finished';
}
