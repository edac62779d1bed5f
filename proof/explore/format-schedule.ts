import { disassemble } from '../../cpu/index.js';
import { KernelError } from '../../loader/index.js';
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
    message: `'${text}' is not a step of a schedule`,
    hint: 'write engine, engine:1, processor:0 or interrupt:0',
  });
}

/** @throws RangeError for what no schedule says */
export function parseActions(texts: readonly string[]): Action[] {
  return texts.flatMap((text) => {
    const [, one = text, count = '1'] = /^(.*)\*(\d+)$/.exec(text) ?? [];
    if (Number(count) > MOST_STEPS) throw new RangeError(`'${text}' are more steps than ${MOST_STEPS}`);
    return new Array<Action>(Number(count)).fill(parseAction(one));
  });
}

const MOST_STEPS = 10_000_000;

/** The schedule for people, one action a line, with disassembly; of what nobody else can notice the beginning and the end. */
export async function formatSchedule(schedule: Schedule): Promise<string[]> {
  const { actions } = schedule;
  const lines: string[] = [];
  for (let index = 0; index < actions.length; index++) {
    const action = actions[index];
    if (action === undefined) break;
    const end = endOfRun(actions, index);
    const isLong = end - index > SHOWN_OF_RUN;
    const number = String(index + 1).padStart(4);
    if (isLong && action.actor === 'processor') {
      const who = `cpu ${action.processor}`.padEnd(13);
      lines.push(
        `${number}  ${who}runs on by itself for ${end - index} steps, to ${actions[end - 1]?.text ?? ''}`,
      );
      index = end - 1;
      continue;
    }
    lines.push(`${number}  ${await formatAction(schedule, action)}`);
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
  if (actor === 'engine') return `engine       ${text}`;
  const who = `cpu ${action.processor}`.padEnd(13);
  if (actor === 'interrupt') return `${who}is interrupted at ${text}, and so serialised`;
  const { address = 0n, bytes = new Uint8Array() } = action;
  const [instruction] =
    bytes.length === 0 ? [] : await disassemble(architecture, bytes, address, { count: 1 });
  const hex = Buffer.from(bytes).toString('hex');
  return `${who}${text.padEnd(28)} ${hex.padEnd(20)} ${instruction?.text ?? 'nothing can be fetched here'}`;
}
