import { disassemble } from '../../cpu/index.js';
import { KernelError } from '../../loader/index.js';
import { refuse } from '../refuse.js';
import type { Action, Schedule, ScheduledAction } from './schedule.js';

/** A schedule as a JSON document, complete enough to be replayed. */
export interface ScheduleDocument {
  readonly protocol: string;
  readonly processors: number;
  readonly fetch: 'coherent' | 'weak';
  /** `engine`, `engine:1`, `processor:0`, `interrupt:2`: who does the next step; `processor:0*25`: 25 steps in a row. */
  readonly actions: readonly string[];
}

export function scheduleDocument({ protocol, processors, fetch, actions }: Schedule): ScheduleDocument {
  const texts: string[] = [];
  for (let index = 0; index < actions.length; ) {
    const text = actionText(actions[index] as Action);
    let end = index + 1;
    for (let next = actions[end]; next !== undefined && actionText(next) === text; next = actions[end]) end++;
    const count = end - index;
    if (count < LONG_RUN) texts.push(...new Array<string>(count).fill(text));
    else texts.push(`${text}*${count}`);
    index = end;
  }
  return { protocol, processors, fetch, actions: texts };
}

/** So many equal steps are written as one. */
const LONG_RUN = 10;

function actionText(action: Action): string {
  if (action.actor !== 'engine') return `${action.actor}:${action.processor}`;
  return action.edge === 0 ? 'engine' : `engine:${action.edge}`;
}

/** @throws KernelError `schedule.step` for what no schedule says */
export function parseAction(text: string): Action {
  const [, actor, number] = /^(engine|processor|interrupt)(?::(\d+))?$/.exec(text) ?? [];
  if (actor === 'engine') return { actor, edge: Number(number ?? 0) };
  if ((actor === 'processor' || actor === 'interrupt') && number !== undefined)
    return { actor, processor: Number(number) };
  throw new KernelError({
    rule: 'schedule.step',
    status: 'STATUS_INVALID_PARAMETER',
    place: text,
    message: `'${text}' is not a step of a schedule`,
    hint: 'write engine, engine:1, processor:0 or interrupt:0',
  });
}

/** @throws KernelError `schedule.step` for what no schedule says */
export function parseActions(texts: readonly string[]): Action[] {
  return texts.flatMap((text) => {
    const [, one = text, count = '1'] = /^(.*)\*(\d+)$/.exec(text) ?? [];
    if (Number(count) > MOST_STEPS)
      throw refuse('schedule.step', `'${text}' are more steps than ${MOST_STEPS}`);
    return new Array<Action>(Number(count)).fill(parseAction(one));
  });
}

const MOST_STEPS = 10_000_000;

/** One line of a schedule for people. */
interface ScheduleLine {
  readonly number: number;
  /** Undefined: the engine. */
  readonly processor: number | undefined;
  readonly kind: 'step' | 'run' | 'interrupt';
  readonly text: string;
}

/** The schedule for people, one action a line, with disassembly; of what nobody else can notice the beginning and the end. */
export async function formatSchedule(schedule: Schedule): Promise<string[]> {
  return (await linesOf(schedule)).map(({ number, processor, text }) => {
    const who = processor === undefined ? 'engine' : `cpu ${processor}`;
    return `${String(number).padStart(4)}  ${who.padEnd(13)}${text}`;
  });
}

const LANE = 8;
const MARKS = { step: '*', run: ':', interrupt: '!' } as const;

/**
 * The schedule as a picture: a lane for the engine and one for each processor, time downward. `*` does a step, `:` runs on by
 * itself, `!` is interrupted; `|` stands still.
 */
export async function formatLanes(schedule: Schedule): Promise<string[]> {
  const actors = [undefined, ...Array.from({ length: schedule.processors }, (_, processor) => processor)];
  const lanes = (cell: (actor: number | undefined) => string) =>
    actors.map((actor) => cell(actor).padEnd(LANE)).join('');
  const heading = lanes((actor) => (actor === undefined ? 'engine' : `cpu ${actor}`));
  const lines = await linesOf(schedule);
  return [
    `      ${heading}`.trimEnd(),
    ...lines.map(({ number, processor, kind, text }) => {
      const row = lanes((actor) => `  ${actor === processor ? MARKS[kind] : '|'}`);
      return `${String(number).padStart(4)}  ${row}${text}`;
    }),
  ];
}

async function linesOf(schedule: Schedule): Promise<ScheduleLine[]> {
  const { actions } = schedule;
  const lines: ScheduleLine[] = [];
  for (let index = 0; index < actions.length; index++) {
    const action = actions[index];
    if (action === undefined) break;
    const end = endOfRun(actions, index);
    const number = index + 1;
    if (end - index > SHOWN_OF_RUN && action.actor === 'processor') {
      const text = `runs on by itself for ${end - index} steps, to ${actions[end - 1]?.text ?? ''}`;
      lines.push({ number, processor: action.processor, kind: 'run', text });
      index = end - 1;
      continue;
    }
    lines.push({
      number,
      processor: action.actor === 'engine' ? undefined : action.processor,
      kind: action.actor === 'interrupt' ? 'interrupt' : 'step',
      text: await formatAction(schedule, action),
    });
  }
  return lines;
}

/** Runs that nobody else can notice are shown whole up to so many steps. */
const SHOWN_OF_RUN = 12;

/** First action behind those in a row that nobody but one processor can notice; the last action of all is none of them. */
function endOfRun(actions: readonly ScheduledAction[], start: number): number {
  const first = actions[start];
  let end = start;
  while (
    end < actions.length - 1 &&
    first?.actor === 'processor' &&
    actions[end]?.alone === true &&
    isBy(actions[end], first.processor)
  )
    end++;
  return end;
}

function isBy(action: ScheduledAction | undefined, processor: number): boolean {
  return action?.actor === 'processor' && action.processor === processor;
}

async function formatAction({ architecture }: Schedule, action: ScheduledAction): Promise<string> {
  const { actor, text } = action;
  if (actor === 'engine') return text;
  if (actor === 'interrupt') return `is interrupted at ${text}, and so serialised`;
  const { address = 0n, bytes = new Uint8Array() } = action;
  const [instruction] =
    bytes.length === 0 ? [] : await disassemble(architecture, bytes, address, { count: 1 });
  const hex = Buffer.from(bytes).toString('hex');
  return `${text.padEnd(28)} ${hex.padEnd(20)} ${instruction?.text ?? 'nothing can be fetched here'}`;
}
