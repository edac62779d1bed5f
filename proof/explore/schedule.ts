import type { ArchitectureName } from '../../cpu/index.js';
import { LOCAL_STATES, type Transitions } from './transitions.js';

/** Who does the next step. `edge`: which of the engine's possible steps. `interrupt`: one that serialises the processor. */
export type Action =
  | { readonly actor: 'engine'; readonly edge: number }
  | { readonly actor: 'processor'; readonly processor: number }
  | { readonly actor: 'interrupt'; readonly processor: number };

/** An action with what it does, for people. */
export type ScheduledAction = Action & {
  /** The engine's step, or where the processor is: `base!f+0x2`. */
  readonly text: string;
  /** The instruction that the processor executes. */
  readonly address?: bigint;
  readonly bytes?: Uint8Array;
  /** Nobody else can notice it: when it is done does not matter. */
  readonly alone?: true;
};

/** One interleaving, from the first step on. */
export interface Schedule {
  readonly subject: string;
  readonly protocol: string;
  readonly architecture: ArchitectureName;
  readonly processors: number;
  readonly fetch: 'coherent' | 'weak';
  readonly actions: readonly ScheduledAction[];
}

export interface StateKey {
  readonly low: number;
  readonly high: number;
}

export interface ScheduleContext extends Omit<Schedule, 'actions'> {
  readonly transitions: Transitions;
  readonly firstGlobal: number;
}

interface Position {
  readonly locals: readonly number[];
  readonly global: number;
}

/** Names the processors of a path of states, which the states themselves do not tell apart. */
export function scheduleTo(path: readonly StateKey[], last: Action, context: ScheduleContext): Schedule {
  const { transitions, processors } = context;
  let position: Position = {
    locals: Array.from({ length: processors }, (_, processor) => transitions.idle(processor)),
    global: context.firstGlobal,
  };
  const actions: ScheduledAction[] = [];
  for (const key of path.slice(1)) {
    const wanted = `${key.low} ${key.high}`;
    const step = [...successors(position, context)].find(({ to }) => keyOf(to) === wanted);
    if (step === undefined) throw new Error('a path of the search leads through an unreachable state');
    actions.push(step.action);
    position = step.to;
  }
  const at = path.at(-1);
  if (at === undefined) return { ...partOf(context), actions };
  if (last.actor === 'engine') {
    const text = transitions.global(position.global).node.edges[last.edge]?.text;
    if (text !== undefined) actions.push({ ...last, text });
    return { ...partOf(context), actions };
  }
  const sorted = [...position.locals].sort((a, b) => a - b);
  const processor = position.locals.indexOf(sorted[last.processor] ?? -1);
  actions.push(describeProcessor(position, processor, last.actor, context));
  return { ...partOf(context), actions };
}

function partOf({ subject, protocol, architecture, processors, fetch }: ScheduleContext) {
  return { subject, protocol, architecture, processors, fetch };
}

function* successors({ locals, global }: Position, context: ScheduleContext) {
  const { transitions, fetch } = context;
  const { node, shared } = transitions.global(global);
  for (const [index, edge] of node.edges.entries()) {
    const next = locals.map((local) => transitions.afterEngine(local, edge));
    const action: ScheduledAction = { actor: 'engine', edge: index, text: edge.text };
    yield { action, to: { locals: next, global: transitions.globalId(edge.to, shared) } };
  }
  for (const [processor, local] of locals.entries()) {
    if (transitions.isFinished(local)) continue;
    const next = transitions.next(local, global);
    const moved = (to: number, of = global): Position => ({
      locals: locals.map((other, index) => (index === processor ? to : other)),
      global: of,
    });
    if (next >= 0)
      yield {
        action: describeProcessor({ locals, global }, processor, 'processor', context),
        to: moved(next % LOCAL_STATES, Math.floor(next / LOCAL_STATES)),
      };
    if (fetch === 'weak' && transitions.isBehind(local, node))
      yield {
        action: describeProcessor({ locals, global }, processor, 'interrupt', context),
        to: moved(transitions.serialised(local)),
      };
  }
}

function describeProcessor(
  { locals, global }: Position,
  processor: number,
  actor: 'processor' | 'interrupt',
  { transitions }: ScheduleContext,
): ScheduledAction {
  const local = locals[processor] ?? 0;
  const text = transitions.describe(local);
  if (actor === 'interrupt') return { actor, processor, text };
  const { address, bytes } = transitions.instruction(local, transitions.global(global).node);
  return { actor, processor, text, address, bytes };
}

/** The key of a state, see Search. */
function keyOf({ locals, global }: Position): string {
  const [a = 0, b = 0, c = 0] = [...locals].sort((x, y) => x - y);
  if (locals.length === 1) return `${a} ${global * LOCAL_STATES}`;
  return `${a + b * LOCAL_STATES} ${c + global * LOCAL_STATES}`;
}
