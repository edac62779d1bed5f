import * as v from 'valibot';
import type { HotPatch } from '../../engine/index.js';
import { hotpatchCommands } from '../commands/hotpatch.js';
import { DebugError } from '../error.js';
import { type DapContext, type DapHandler, handler } from './handler.js';
import { stateOf } from './state.js';

/** Requests of this debugger's own: a hotpatch is applied or taken back where the thread stands. */
export const hotpatchRequests: Readonly<Record<string, DapHandler>> = {
  'hotpatch/apply': handler(v.object({ path: v.string() }), ({ path }, context) => {
    if (context.isIdle) context.live?.apply(path);
    else run(context, '.patch', path);
    return { body: patches(context), isChanged: true };
  }),
  'hotpatch/revert': handler(v.object({ name: v.optional(v.string()) }), ({ name = '' }, context) => {
    if (context.isIdle) context.live?.revert(name);
    else run(context, '.unpatch', name);
    return { body: patches(context), isChanged: true };
  }),
  'hotpatch/patches': (context) => ({ body: patches(context) }),
  /** Calls a function of a live machine; while another call stands still, in a thread beside it. */
  'hotpatch/call': handler(v.object({ call: v.string() }), ({ call: text }, context) => {
    const { live, isIdle, scope, session } = context;
    if (live === undefined)
      throw new DebugError('only a machine that was launched with an image and a call can be called');
    const call = live.read(text);
    if (isIdle) return { call };
    session.act(() => live.start(call), scope.view.thread);
    return { isChanged: true };
  }),
  'hotpatch/state': handler(
    v.object({ functions: v.optional(v.array(v.string())), threadId: v.optional(v.number()) }),
    ({ functions = [], threadId }, { scope, live, isIdle }) => {
      const results = live?.results ?? [];
      return { body: { isIdle, results, ...stateOf(scope.threadView(threadId), functions, isIdle) } };
    },
  ),
};

function run({ scope: { view } }: DapContext, name: string, args: string): void {
  hotpatchCommands.find((command) => command.name === name)?.run({ view, args, select: () => undefined });
}

function patches({ scope: { view } }: DapContext): object {
  const all: readonly HotPatch[] = view.lab.engine.patches;
  return { patches: all.map(({ name, state, status }) => ({ name, state, status: status.name })) };
}
