import * as v from 'valibot';
import type { HotPatch } from '../../engine/index.js';
import { hotpatchCommands } from '../commands/hotpatch.js';
import { type DapContext, type DapHandler, handler } from './handler.js';

/** Requests of this debugger's own: a hotpatch is applied or taken back where the thread stands. */
export const hotpatchRequests: Readonly<Record<string, DapHandler>> = {
  'hotpatch/apply': handler(v.object({ path: v.string() }), ({ path }, context) =>
    run(context, '.patch', path),
  ),
  'hotpatch/revert': handler(v.object({ name: v.optional(v.string()) }), ({ name = '' }, context) =>
    run(context, '.unpatch', name),
  ),
  'hotpatch/patches': (context) => ({ body: patches(context) }),
};

function run(context: DapContext, name: string, args: string) {
  const { view } = context.scope;
  hotpatchCommands.find((command) => command.name === name)?.run({ view, args, select: () => undefined });
  return { body: patches(context), isChanged: true };
}

function patches({ scope: { view } }: DapContext): object {
  const all: readonly HotPatch[] = view.lab.engine.patches;
  return { patches: all.map(({ name, state, status }) => ({ name, state, status: status.name })) };
}
