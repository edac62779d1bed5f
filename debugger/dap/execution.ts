import * as v from 'valibot';
import { visibleText } from '../../image/index.js';
import { isGoal, isWalk } from '../command.js';
import { goUp, stepOver, trace } from '../commands/execution.js';
import { parseCommand } from '../commands/index.js';
import { goBack, stepBack } from '../commands/travel.js';
import { DebugError } from '../error.js';
import { evaluate } from '../expression.js';
import { lineStep, lineStepBack } from '../line-step.js';
import type { Goal } from '../stop.js';
import type { View } from '../view.js';
import { type DapHandler, handler, referenceTo } from './handler.js';

const ofThread = v.object({
  threadId: v.optional(v.number()),
  granularity: v.optional(v.picklist(['statement', 'line', 'instruction'])),
});

/** Steps by lines where there are some, unless instructions are asked for. */
function stepping(byLine: (view: View) => Goal, byInstruction: (view: View) => Goal): DapHandler {
  return handler(ofThread, ({ threadId, granularity }, { scope }) => {
    const view = scope.threadView(threadId);
    const image = view.imageAt(view.pc);
    const hasLine = image?.symbols.lines?.byAddress(image.rva(view.pc)) !== undefined;
    return { goal: granularity !== 'instruction' && hasLine ? byLine(view) : byInstruction(view) };
  });
}

export const executionRequests: Readonly<Record<string, DapHandler>> = {
  configurationDone: ({ arguments: args }) =>
    v.is(v.object({ stopOnEntry: v.literal(true) }), args) ? {} : { goal: { kind: 'go' } },
  continue: () => ({ goal: { kind: 'go' }, body: { allThreadsContinued: true } }),
  next: stepping((view) => lineStep(view, false), stepOver),
  stepIn: stepping((view) => lineStep(view, true), trace),
  stepOut: handler(ofThread, ({ threadId }, { scope }) => ({ goal: goUp(scope.threadView(threadId)) })),
  stepBack: stepping(lineStepBack, stepBack),
  reverseContinue: handler(ofThread, ({ threadId }, { scope }) => ({
    goal: goBack(scope.threadView(threadId)),
  })),
  /** The run has stopped for it; telling so is all. */
  pause: () => ({}),
  evaluate: handler(
    v.object({
      expression: v.string(),
      frameId: v.optional(v.number()),
      context: v.optional(v.string()),
    }),
    ({ expression, frameId, context }, { scope }) => {
      const view = scope.viewOf(frameId);
      const parsed = context === 'repl' ? parseCommand(expression) : undefined;
      if (parsed !== undefined) {
        const result = parsed.command.run({ view, args: parsed.args, select: () => undefined });
        if (isWalk(result)) throw new DebugError(`${parsed.command.name} is for the prompt of hotpatch step`);
        if (isGoal(result)) return { goal: result, body: { result: '', variablesReference: 0 } };
        return { body: { result: visibleText(result.join('\n')), variablesReference: 0 }, isChanged: true };
      }
      const value = evaluate(expression, view);
      const name = view.nameOf(value);
      const result = name === undefined ? view.format(value) : `${view.format(value)} ${name}`;
      return { body: { result, variablesReference: 0, memoryReference: referenceTo(value) } };
    },
  ),
};
