import type { DebugCommand, Walk } from '../command.js';
import type { Goal } from '../stop.js';
import type { View } from '../view.js';
import { nextInstruction, stepOver, trace } from './execution.js';

/** `wt` ends after so many instructions. */
const LONGEST_WALK = 100_000;

const CALLS: ReadonlySet<string> = new Set(['call', 'indirectCall']);
const RETURNS: ReadonlySet<string> = new Set(['return']);

export const walkCommands: readonly DebugCommand[] = [
  {
    name: 'pc',
    usage: 'pc',
    help: 'step to the next call instruction, over calls',
    run: ({ view }) => walkTo(view, CALLS, stepOver),
  },
  {
    name: 'tc',
    usage: 'tc',
    help: 'trace to the next call instruction, into calls',
    run: ({ view }) => walkTo(view, CALLS, trace),
  },
  {
    name: 'pt',
    usage: 'pt',
    help: 'step to the next return instruction, over calls',
    run: ({ view }) => walkTo(view, RETURNS, stepOver),
  },
  {
    name: 'tt',
    usage: 'tt',
    help: 'trace to the next return instruction, into calls',
    run: ({ view }) => walkTo(view, RETURNS, trace),
  },
  {
    name: 'wt',
    usage: 'wt',
    help: 'watch trace: run until this function has returned, and tell what it went through',
    run: ({ view }) => watchTrace(view),
  },
];

function walkTo(start: View, flows: ReadonlySet<string>, step: (view: View) => Goal): Walk {
  const begun = start.run.executed(start.thread);
  return {
    next: (view) => {
      const executed = view.run.executed(view.thread) - begun;
      return executed > 0 && flows.has(nextInstruction(view).flow) ? [] : step(view);
    },
  };
}

interface Call {
  readonly address: bigint;
  readonly sp: bigint;
}

interface Visit {
  readonly name: string;
  readonly depth: number;
  instructions: number;
}

/**
 * Instructions of each stretch in one function, with how deep it was called; hops of a trampoline are stretches too. A
 * function that was called by nobody is left at its return.
 */
function watchTrace(start: View): Walk {
  const caller = start.stack()[1];
  const { thread } = start;
  const begun = start.run.executed(thread);
  const to = caller === undefined ? 'its end' : `return address ${start.describe(caller.pc)}`;
  const title = `Tracing ${start.describe(start.pc)} to ${to}`;
  const visits: Visit[] = [];
  /** Where calls return to, and the stack pointer that they were made with: simulated exports return by no instruction. */
  const calls: Call[] = [];
  return {
    next: (view) => {
      const executed = view.run.executed(view.thread) - begun;
      const { flow, length } = nextInstruction(view);
      while (hasReturned(view, calls.at(-1))) calls.pop();
      const depth = calls.length;
      const isOver =
        caller === undefined
          ? depth === 0 && RETURNS.has(flow)
          : view.pc === caller.pc && thread.sp >= caller.sp;
      if (isOver || executed >= LONGEST_WALK) return [title, ...summary(visits, executed), ...cut(isOver)];
      const name = functionName(view);
      const last = visits.at(-1);
      if (last?.name === name && last.depth === depth) last.instructions++;
      else visits.push({ name, depth, instructions: 1 });
      if (CALLS.has(flow)) calls.push({ address: view.pc + BigInt(length), sp: thread.sp });
      return trace(view);
    },
  };
}

/** Where the caller's stack pointer says nothing, its address does; but where a simulated export returns to is not seen. */
function hasReturned({ pc, thread, architecture }: View, call: Call | undefined): boolean {
  if (call === undefined) return false;
  const isDecided = architecture.returnAddressSize > 0 || pc === call.address;
  return isDecided ? thread.sp >= call.sp : thread.sp > call.sp;
}

const cut = (isOver: boolean): string[] => (isOver ? [] : [`ended after ${LONGEST_WALK} instructions`]);

function summary(visits: readonly Visit[], executed: number): string[] {
  const width = Math.max(...visits.map(({ instructions }) => `${instructions}`.length), 4);
  return [
    ...visits.map(
      ({ name, depth, instructions }) =>
        `${`${instructions}`.padStart(width)} [${`${depth}`.padStart(2)}] ${'  '.repeat(Math.max(0, depth))}${name}`,
    ),
    `${executed} instructions were executed`,
  ];
}

/** Without the offset, but for padding and slots, which belong to no function. */
function functionName(view: View): string {
  return view.describe(view.pc).replace(/\+0x[\da-f]+$/, '');
}
