import { instructionFacts } from '../../cpu/index.js';
import type { DebugCommand } from '../command.js';
import { DebugError } from '../error.js';
import { instructionsBetween } from '../listing.js';
import { formatPosition, parsePosition } from '../position.js';
import type { Goal } from '../stop.js';
import type { View } from '../view.js';
import { countOf } from './execution.js';

export const travelCommands: readonly DebugCommand[] = [
  {
    name: 't-',
    usage: 't- [COUNT]',
    help: 'trace back: undo one instruction of this thread',
    run: ({ view, args }) => traceBack(view, countOf(args, view)),
  },
  {
    name: 'p-',
    usage: 'p-',
    help: 'step back: undo one instruction of this thread, over calls',
    run: ({ view }) => stepBack(view),
  },
  {
    name: 'g-',
    usage: 'g-',
    help: 'go back, to the last breakpoint (after ba: to the last access) or to the start',
    run: ({ view }) => goBack(view),
  },
  {
    name: '!tt',
    usage: '!tt [SEQUENCE:STEPS]',
    help: 'say which moment this is, or go to another one; !tt 0:0 is the start',
    run: ({ view, args }) => {
      if (args === '') return [`Time Travel Position: ${formatPosition(view.stop.position)}`];
      const to = parsePosition(args);
      if (to === undefined) throw new DebugError(`'${args}' is not a position such as 1F:A`);
      return to.sequence === 0 ? { kind: 'start' } : { kind: 'travel', to };
    },
  },
];

export function traceBack(view: View, count = 1): Goal {
  let to = view.stop.position;
  for (let left = count; left > 0; left--) {
    const earlier = view.run.history.before(to, view.thread);
    if (earlier === undefined) throw new DebugError('this is where the thread began');
    to = earlier;
  }
  return { kind: 'travel', to };
}

/** Back to the last breakpoint, or the start. */
export function goBack(view: View): Goal {
  const { thread, stop } = view;
  const origin = { thread: thread.id, executed: view.run.executed(thread) };
  return { kind: 'searchBack', before: stop.position, origin };
}

/** Over a call: to the call instruction right before this one, when the last instruction executed was a return. */
export function stepBack(view: View): Goal {
  const { thread, stop, pc } = view;
  const call = callBefore(view, pc);
  if (call === undefined) return traceBack(view);
  const origin = { thread: thread.id, executed: view.run.executed(thread) };
  return {
    kind: 'searchBack',
    before: stop.position,
    origin,
    call: { thread: thread.id, address: call, highestSp: thread.sp, otherwise: traceBack(view) },
  };
}

/** The call instruction that ends at `pc`, if there is one in the same function. */
function callBefore(view: View, pc: bigint): bigint | undefined {
  const image = view.imageAt(pc);
  const near = image?.symbols.byAddress(image.rva(pc));
  if (near === undefined || near.offset === 0) return undefined;
  const last = instructionsBetween(view, pc - BigInt(near.offset), pc).at(-1);
  if (last === undefined || last.address + BigInt(last.length) !== pc) return undefined;
  const { flow } = instructionFacts(view.architecture.name, last.bytes, last.address);
  return flow === 'call' || flow === 'indirectCall' ? last.address : undefined;
}
