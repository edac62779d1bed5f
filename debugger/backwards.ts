import { instructionFacts } from '../cpu/index.js';
import { DebugError } from './error.js';
import { instructionsBetween } from './listing.js';
import type { Goal } from './stop.js';
import type { View } from './view.js';

export function traceBack(view: View, count = 1): Goal {
  let to = view.stop.position;
  for (let left = count; left > 0; left--) {
    const earlier = view.run.history.before(to, view.thread);
    if (earlier === undefined) throw new DebugError('this is where the thread began');
    to = earlier;
  }
  return { kind: 'travel', to };
}

/** The call instruction that ends at `pc`, if there is one in the same function. */
export function callBefore(view: View, pc: bigint): bigint | undefined {
  const image = view.imageAt(pc);
  const near = image?.symbols.byAddress(image.rva(pc));
  if (near === undefined || near.offset === 0) return undefined;
  const last = instructionsBetween(view, pc - BigInt(near.offset), pc).at(-1);
  if (last === undefined || last.address + BigInt(last.length) !== pc) return undefined;
  const { flow } = instructionFacts(view.architecture.name, last.bytes, last.address);
  return flow === 'call' || flow === 'indirectCall' ? last.address : undefined;
}
