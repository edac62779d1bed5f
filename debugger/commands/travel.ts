import { callBefore, traceBack } from '../backwards.js';
import type { DebugCommand } from '../command.js';
import { DebugError } from '../error.js';
import { lineStepBack } from '../line-step.js';
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
    run: ({ view }) => (view.session.stepsByLine ? lineStepBack(view) : stepBack(view)),
  },
  {
    name: 'g-',
    usage: 'g-',
    help: 'go back, to the last breakpoint (after ba: to the last access) or to the start',
    run: ({ view }) => goBack(view),
  },
  {
    name: '.restart',
    usage: '.restart',
    help: 'begin the scenario again; breakpoints stay',
    run: () => ({ kind: 'start' }),
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
